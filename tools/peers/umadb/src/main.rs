//! `serve DIR ADDR:PORT` is UmaDB's own server; `load ADDR:PORT CLIENTS EVENTS SECS` appends EVENTS events at a time from
//! CLIENTS connections, each waiting for its answer before the next, and prints events a second.

use std::error::Error;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use umadb_client::UmaDbClient;
use umadb_dcb::{DcbEvent, DcbEventStoreAsync as _};
use umadb_server::{ServerOptions, StorageOptions, start_server_with_options};

/// About what Chancery's command says.
const DATA: &[u8] = br#"{"chain":"7","layer":"EXECUTION","event":"EXECUTION_tool_call","agent_text":"aid_01m87xmbr5fccbwh03yw44at68","mission_text":"bench","data":{"tool":"read_invoice","result":"success","n":1}}"#;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match arguments.as_slice() {
        ["serve", dir, address] => runtime.block_on(async {
            let (stop, stopping) = oneshot::channel();
            tokio::spawn(async move {
                let mut told = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
                told.recv().await;
                let _ = stop.send(());
                std::io::Result::Ok(())
            });
            let storage = StorageOptions::default().db_path(dir);
            let options = ServerOptions { listen_addr: (*address).to_owned(), tls: None, api_key: None, storage };
            start_server_with_options(options, stopping).await
        }),
        ["load", address, clients, events, secs] => {
            let (clients, events, secs) = (clients.parse()?, events.parse()?, secs.parse()?);
            println!("{:.0}", runtime.block_on(load(address, clients, events, Duration::from_secs_f64(secs)))?);
            Ok(())
        }
        _ => Err("serve DIR ADDR:PORT, or load ADDR:PORT CLIENTS EVENTS SECS".into()),
    }
}

async fn load(address: &str, clients: usize, events: usize, time: Duration) -> Result<f64, Box<dyn Error>> {
    let mut connections = Vec::new();
    for _ in 0..clients {
        connections.push(UmaDbClient::new(format!("http://{address}")).connect_async().await?);
    }
    let began = Instant::now();
    let appending: Vec<_> = connections
        .into_iter()
        .enumerate()
        .map(|(number, client)| {
            tokio::spawn(async move {
                let mut appended = 0;
                while began.elapsed() < time {
                    let event =
                        || DcbEvent::default().event_type("tool_call").tags([format!("chain:{number}")]).data(DATA);
                    client
                        .append((0..events).map(|_| event()).collect(), None, None)
                        .await
                        .map_err(|it| it.to_string())?;
                    appended += events;
                }
                Ok::<_, String>(appended)
            })
        })
        .collect();
    let mut appended = 0;
    for each in appending {
        appended += each.await??;
    }
    Ok(appended as f64 / began.elapsed().as_secs_f64())
}
