//! Refused log-ins, noted as events without ever holding a request up: the first ten of a client in a minute singly,
//! the rest as one count when the minute is over.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use chancery_projections::command::NoteAuthentication;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::{Mount, Refused};
use crate::limits::{REFUSALS_SINGLY, REFUSALS_WAITING, REFUSING_CLIENTS_MAX};

/// How long a client's refusals are counted together.
const WINDOW: Duration = Duration::from_secs(60);

/// A log-in that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Where it came from.
    pub peer: IpAddr,
    /// At which mount.
    pub mount: Mount,
    /// Whose credential, and why not.
    pub refused: Refused,
    /// Whether those that are noted singly are noted elsewhere, so that it is only counted.
    pub only_counted: bool,
}

/// What is to be noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Note {
    /// Where the attempts came from; of a count, the one that is counted.
    pub peer: Option<IpAddr>,
    /// At which mount.
    pub mount: Mount,
    /// Whose credential, and why not.
    pub refused: Refused,
    /// How many.
    pub count: u32,
}

impl Note {
    /// The command that puts it in the log.
    #[must_use]
    pub fn command(&self) -> NoteAuthentication {
        NoteAuthentication {
            mount: self.mount.name().to_owned(),
            claimed: None,
            credential: self.refused.credential.map(|(_, id)| id),
            why: self.refused.why.name().to_owned(),
            count: self.count,
        }
    }
}

/// Where requests leave their refusals.
#[derive(Debug, Clone)]
pub struct Refusals(mpsc::Sender<Attempt>);

/// Where the daemon picks them up.
#[derive(Debug)]
pub struct Waiting {
    attempts: mpsc::Receiver<Attempt>,
    windows: Windows,
    is_over: bool,
}

/// Both ends.
#[must_use]
pub fn channel() -> (Refusals, Waiting) {
    let (sender, receiver) = mpsc::channel(REFUSALS_WAITING);
    (Refusals(sender), Waiting { attempts: receiver, windows: Windows::default(), is_over: false })
}

impl Refusals {
    /// Leaves one; `false` when too many wait already, and it is dropped.
    #[must_use]
    pub fn note(&self, attempt: Attempt) -> bool {
        self.0.try_send(attempt).is_ok()
    }
}

impl Waiting {
    /// What is to be noted next; `None` once nobody can refuse any more and everything was.
    pub async fn next(&mut self) -> Option<Vec<Note>> {
        loop {
            if self.is_over {
                return None;
            }
            let next = match self.windows.next_end() {
                Some(end) => tokio::time::timeout_at(end, self.attempts.recv()).await,
                None => Ok(self.attempts.recv().await),
            };
            let mut notes = Vec::new();
            match next {
                Ok(Some(attempt)) => notes.extend(self.windows.count(attempt, Instant::now())),
                Ok(None) => {
                    self.is_over = true;
                    return Some(self.windows.close_all());
                }
                Err(_) => {}
            }
            notes.extend(self.windows.close(Instant::now()));
            if !notes.is_empty() {
                return Some(notes);
            }
        }
    }
}

/// What each client did in its current minute.
#[derive(Debug, Default)]
struct Windows {
    clients: HashMap<Option<IpAddr>, Window>,
}

#[derive(Debug)]
struct Window {
    end: Instant,
    noted: u32,
    /// Those beyond, with the last of them standing for all.
    beyond: Option<(Attempt, u32)>,
}

impl Windows {
    /// Counts an attempt; gives what is to be noted of it at once.
    fn count(&mut self, attempt: Attempt, now: Instant) -> Option<Note> {
        // Clients beyond the bound share one window.
        let known = self.clients.contains_key(&Some(attempt.peer)) || self.clients.len() < REFUSING_CLIENTS_MAX;
        let client = known.then_some(attempt.peer);
        let window = self.clients.entry(client).or_insert_with(|| Window { end: now + WINDOW, noted: 0, beyond: None });
        if !attempt.only_counted && window.noted < REFUSALS_SINGLY {
            window.noted += 1;
            return Some(Note { peer: client, mount: attempt.mount, refused: attempt.refused, count: 1 });
        }
        let count = window.beyond.map_or(0, |(_, count)| count).saturating_add(1);
        window.beyond = Some((attempt, count));
        None
    }

    /// When the first window ends.
    fn next_end(&self) -> Option<Instant> {
        self.clients.values().map(|window| window.end).min()
    }

    /// Closes the windows that are over.
    fn close(&mut self, now: Instant) -> Vec<Note> {
        self.take(|window| window.end <= now)
    }

    fn close_all(&mut self) -> Vec<Note> {
        self.take(|_| true)
    }

    fn take(&mut self, over: impl Fn(&Window) -> bool) -> Vec<Note> {
        let closed = self.clients.extract_if(|_, window| over(window));
        closed
            .filter_map(|(peer, window)| {
                let (attempt, count) = window.beyond?;
                Some(Note { peer, mount: attempt.mount, refused: attempt.refused, count })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Refusal;

    fn attempt(last: u8) -> Attempt {
        let refused = Refused { credential: None, why: Refusal::Unknown };
        Attempt { peer: IpAddr::from([127, 0, 0, last]), mount: Mount::Native, refused, only_counted: false }
    }

    #[test]
    fn ten_singly_then_one_count_for_each_client_and_minute() {
        let (mut windows, start) = (Windows::default(), Instant::now());
        let singles: Vec<_> = (0..25).filter_map(|_| windows.count(attempt(1), start)).collect();
        assert_eq!(singles.len(), 10);
        assert!(singles.iter().all(|note| note.count == 1));
        assert!(windows.count(attempt(2), start).is_some(), "another client has its own minute");
        assert_eq!(windows.close(start + WINDOW / 2), []);
        let counted = windows.close(start + WINDOW);
        assert_eq!(counted.iter().map(|note| note.count).collect::<Vec<_>>(), [15]);
        assert!(windows.count(attempt(1), start + WINDOW).is_some(), "a new minute begins anew");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_counted_is_noted_when_the_minute_or_everything_is_over() {
        let (refusals, mut waiting) = channel();
        let counts =
            |notes: Option<Vec<Note>>| notes.map(|notes| notes.iter().map(|note| note.count).collect::<Vec<_>>());
        for _ in 0..12 {
            assert!(refusals.note(attempt(1)));
        }
        for _ in 0..10 {
            assert_eq!(counts(waiting.next().await), Some(vec![1]));
        }
        assert_eq!(counts(waiting.next().await), Some(vec![2]), "time runs to the end of the minute by itself");
        (0..11).for_each(|_| assert!(refusals.note(attempt(1))));
        drop(refusals);
        for _ in 0..10 {
            assert_eq!(counts(waiting.next().await), Some(vec![1]));
        }
        assert_eq!(counts(waiting.next().await), Some(vec![1]), "the eleventh, as the end has come");
        assert_eq!(waiting.next().await, None);
    }

    #[test]
    fn clients_beyond_the_bound_share_a_window() {
        let (mut windows, now) = (Windows::default(), Instant::now());
        for client in 0..REFUSING_CLIENTS_MAX + 100 {
            let [a, b, ..] = (client as u32).to_le_bytes();
            let peer = IpAddr::from([10, 0, a, b]);
            let _ = windows.count(Attempt { peer, ..attempt(0) }, now);
        }
        assert_eq!(windows.clients.len(), REFUSING_CLIENTS_MAX + 1);
        let counted = windows.close_all();
        assert_eq!(counted.iter().map(|note| (note.peer, note.count)).collect::<Vec<_>>(), [(None, 90)]);
    }
}
