//! Webhooks: how soon what happens is told to many endpoints, and how much memory that takes.
//!
//! Every tenant has ten endpoints, each of which is told every event of the tenant. They are one receiver of this
//! process, which takes whatever comes.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::daemon::Target;
use super::load::{self, Load, Outgoing};
use super::report::WebhooksReport;
use super::work::Turns;
use super::{accepted, memory, per_sec};
use crate::progress;

/// Endpoints of each tenant.
const OF_TENANT: u64 = 10;
/// Without a post for so long, the run has failed.
const PATIENCE: Duration = Duration::from_secs(120);
const TAKEN: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";

/// Has events happen, and waits until every endpoint was told each of its tenant's.
///
/// # Errors
/// When the daemon refuses what is needed, or stops telling.
pub fn measure(target: &Target, pid: Option<u32>, endpoints: u64, events: u64) -> anyhow::Result<WebhooksReport> {
    let tenants = endpoints.div_ceil(OF_TENANT).max(1);
    let receiver = Receiver::open()?;
    let bar = progress::waiting("subscribing endpoints");
    let mut batches = Vec::new();
    for n in 0..tenants {
        let key = subscribed(target, &receiver, n)?;
        batches.push(batch(&target.host, &key, events / tenants));
    }
    bar.finish_and_clear();
    let before = memory(pid);
    let bar = progress::waiting("telling events");
    let since = Instant::now();
    let load = Load { connections: 4, time: Duration::MAX, pace: None, mark_every: None };
    let measured = load::run(target.address, &load, &mut Turns::of(batches).once())?;
    accepted(&measured)?;
    let deliveries = measured.commands * OF_TENANT;
    receiver.wait(deliveries)?;
    let took = since.elapsed();
    bar.finish_and_clear();
    Ok(WebhooksReport {
        endpoints: tenants * OF_TENANT,
        events: measured.commands,
        deliveries,
        secs: took.as_secs_f64(),
        deliveries_per_sec: per_sec(deliveries, took),
        events_per_sec: per_sec(measured.commands, measured.took),
        memory_before: before,
        memory: memory(pid),
    })
}

/// Makes a tenant whose endpoints are told every mission that is opened, and gives its key.
fn subscribed(target: &Target, receiver: &Receiver, n: u64) -> anyhow::Result<Zeroizing<String>> {
    let name = format!("bench-hooks-{n}");
    let made = target.command("CreateTenant", &json!({ "slug": name, "name": name }))?;
    let key = made.get("shown_once").and_then(|it| it.get("api_key")).and_then(Value::as_str);
    let key = Zeroizing::new(key.context("the daemon's answer names no key")?.to_owned());
    let tenant = Target::new(&format!("http://{}", target.host), key.clone())?;
    for place in 0..OF_TENANT {
        let url = format!("{}/{n}/{place}", receiver.url);
        tenant.command("Subscribe", &json!({ "url": url, "events": ["MissionOpened"] }))?;
    }
    Ok(key)
}

fn batch(host: &str, key: &str, lines: u64) -> Outgoing {
    let body = "{\"command\":\"OpenMission\",\"params\":{}}\n".repeat(usize::try_from(lines).unwrap_or(usize::MAX));
    let length = body.len();
    let head = format!("POST /v1/commands HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n");
    let text = format!("{head}Content-Type: application/x-ndjson\r\nContent-Length: {length}\r\n\r\n{body}");
    Outgoing { bytes: text.into_bytes().into(), commands: lines, is_lines: true }
}

/// Takes every post, a thread for each connection; the daemon bounds how many those are.
struct Receiver {
    url: String,
    taken: Arc<AtomicU64>,
}

impl Receiver {
    fn open() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}", listener.local_addr()?);
        let taken = Arc::new(AtomicU64::new(0));
        let count = taken.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let count = count.clone();
                // A connection that breaks off is the daemon's to try again.
                thread::spawn(move || drop(take(stream, &count)));
            }
        });
        Ok(Self { url, taken })
    }

    /// Waits until so many posts were taken.
    fn wait(&self, wanted: u64) -> anyhow::Result<()> {
        let (mut taken, mut since) = (0, Instant::now());
        while taken < wanted {
            thread::sleep(Duration::from_millis(20));
            let now = self.taken.load(Ordering::Relaxed);
            if now > taken {
                (taken, since) = (now, Instant::now());
            } else if since.elapsed() > PATIENCE {
                bail!("the daemon told {now} of {wanted} events and then none for {} s", PATIENCE.as_secs());
            }
        }
        Ok(())
    }
}

/// Answers what comes on a connection until it ends.
fn take(mut stream: TcpStream, count: &AtomicU64) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut held, mut buffer) = (Vec::new(), vec![0; 16 * 1024]);
    loop {
        while let Some(length) = request(&held) {
            held.drain(..length);
            stream.write_all(TAKEN)?;
            count.fetch_add(1, Ordering::Relaxed);
        }
        match stream.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => held.extend_from_slice(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// How long the request at the beginning is, once it is whole.
fn request(held: &[u8]) -> Option<usize> {
    const END: &[u8] = b"\r\n\r\n";
    let head = memchr::memmem::find(held, END)? + END.len();
    let text = std::str::from_utf8(held.get(..head)?).ok()?;
    let mut fields = text.lines().filter_map(|line| line.split_once(": "));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?.1.parse::<usize>().ok()?;
    (held.len() >= head + length).then_some(head + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_whole_with_its_last_byte() {
        let whole = b"POST /1/2 HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello";
        for cut in 0..whole.len() {
            assert_eq!(request(&whole[..cut]), None, "{cut}");
        }
        assert_eq!(request(whole), Some(whole.len()));
        assert_eq!(request(&[&whole[..], b"POST"].concat()), Some(whole.len()));
    }
}
