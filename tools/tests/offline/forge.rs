//! A log taken apart and put together again, by somebody who knows the format and may hold a key of his own.

use std::path::Path;

use bytes::Bytes;
use chancery_ledger::body::Body;
use chancery_ledger::body::ledger::Purpose;
use chancery_ledger::event::{Envelope, Event};
use chancery_ledger::ids::{Seq, TreeSize};
use chancery_ledger::keys::SigningKey;
use chancery_ledger::link::{self, Hash};
use chancery_ledger::store::on_sled::SledStore;
use chancery_ledger::store::run::Run;
use chancery_ledger::store::{LogStore as _, Record};
use chancery_ledger::tree::seal::{Checkpoint, Seal};
use chancery_ledger::tree::{Frontier, leaf_hash};
use zeroize::Zeroizing;

/// The tree of a data directory's log, opened behind the store's back.
pub fn sled_of(data: &str) -> sled::Db {
    let config = sled::Config::new().path(Path::new(data).join("log")).segment_size(8 * 1024 * 1024);
    // The threads of one just closed in this process hold its lock for a moment more.
    loop {
        match config.open() {
            Err(sled::Error::Io(error)) if error.to_string().starts_with("could not acquire lock") => {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            opened => return opened.unwrap(),
        }
    }
}

/// The key under which a forge puts an event.
pub fn event_key(seq: u64) -> [u8; 8] {
    seq.to_be_bytes()
}

/// A key that no ledger has.
pub fn foreign_key() -> SigningKey {
    SigningKey::from_seed(Zeroizing::new([0x77; 32]))
}

/// A log's parts.
pub struct Forge {
    /// Headers and bodies.
    pub events: Vec<(Bytes, Bytes)>,
    /// Seals and the sizes they are kept under.
    pub seals: Vec<(u64, Bytes)>,
}

impl Forge {
    /// Gives each event of a log a run of its own, so that it lies under its own key.
    pub fn spread(data: &str) {
        Self::of(data).write(data);
    }

    pub fn of(data: &str) -> Self {
        let log = SledStore::open_to_read(&Path::new(data).join("log")).unwrap();
        let events = log.records(Seq(0)).map(|item| item.unwrap().1);
        let seals = log.seals(TreeSize(0)).map(Result::unwrap);
        Self {
            events: events.map(|record| (record.header, record.body)).collect(),
            seals: seals.map(|(size, seal)| (size.0, seal)).collect(),
        }
    }

    /// Names each event's place, links it to the one before, and hashes its body, as if it had always been so.
    pub fn link(&mut self) {
        let mut head = Hash::ZERO;
        for (seq, (header, body)) in (0..).map(Seq).zip(&mut self.events) {
            let mut envelope = Envelope::parse(header).unwrap();
            (envelope.seq, envelope.prev, envelope.body_hash) = (seq, head, link::body_hash(body));
            *header = envelope.render();
            head = link::header_hash(header);
        }
    }

    /// Names a key as the one that seals, in every event that names one.
    pub fn name_key(&mut self, named: &SigningKey) {
        for (header, body) in &mut self.events {
            let event = Event::read(header, body).unwrap().0;
            let changed = match event.body {
                Body::LedgerCreated(mut created) => {
                    created.public = *named.public().as_bytes();
                    Body::from(created)
                }
                Body::SigningKeyAdded(mut added) if added.purpose == Purpose::Seal => {
                    added.public = named.public().as_bytes().to_vec();
                    Body::from(added)
                }
                _ => continue,
            };
            *body = changed.encode(&event.prelude).unwrap().into();
        }
    }

    /// The body of an event.
    pub fn body(&self, seq: u64) -> Body {
        let (header, body) = &self.events[usize::try_from(seq).unwrap()];
        Event::read(header, body).unwrap().0.body
    }

    /// Changes the body of an event, whose header does not know of it yet.
    pub fn change_body(&mut self, seq: u64, change: impl FnOnce(&mut Body)) {
        let (header, body) = &mut self.events[usize::try_from(seq).unwrap()];
        let mut event = Event::read(header, body).unwrap().0;
        change(&mut event.body);
        *body = event.body.encode(&event.prelude).unwrap().into();
    }

    /// Signs the log anew at every size at which it was signed, as far as there are events.
    pub fn seal(&mut self, by: &SigningKey) {
        self.seal_by(0, |_| by);
    }

    /// Signs the log anew at every size from one on at which it was signed, as far as there are events, each with its key.
    pub fn seal_by<'k>(&mut self, from: u64, by: impl Fn(u64) -> &'k SigningKey) {
        let origin = Seal::parse(&self.seals[0].1).unwrap().checkpoint().origin.clone();
        let mut frontier = Frontier::empty();
        let mut roots = vec![frontier.root()];
        for (header, _) in &self.events {
            frontier.push(leaf_hash(header));
            roots.push(frontier.root());
        }
        self.seals.retain(|(size, _)| *size < roots.len() as u64);
        for (size, seal) in self.seals.iter_mut().filter(|(size, _)| *size >= from) {
            let root = roots[usize::try_from(*size).unwrap()];
            let checkpoint = Checkpoint { origin: origin.clone(), size: TreeSize(*size), root };
            *seal = Seal::sign(&checkpoint, by(*size)).unwrap().bytes().clone();
        }
    }

    /// Puts the log in place of the one that a data directory has, with the nodes of its tree. Each event has a run of its
    /// own, with the seal that stands behind it.
    pub fn write(&self, data: &str) {
        let db = sled_of(data);
        for entry in db.iter() {
            db.remove(entry.unwrap().0).unwrap();
        }
        let mut frontier = Frontier::empty();
        let size = self.events.len() as u64;
        let mut seals = self.seals.iter().peekable();
        for (seq, (header, body)) in (0..).zip(&self.events) {
            let nodes = frontier.push(leaf_hash(header));
            let mut run = Run::new(Seq(seq));
            let end = seals.peek().map_or(size, |(at, _)| size.min(*at));
            run.push(&Record { header: header.clone(), body: body.clone(), nodes }, TreeSize(end)).unwrap();
            // The last of them stands at the log's end, whatever size it signs.
            while let Some((_, seal)) = seals.next_if(|(at, _)| size.min(*at) == seq + 1) {
                run.seal(seal);
            }
            db.insert(event_key(seq), run.bytes()).unwrap();
        }
        db.flush().unwrap();
    }
}
