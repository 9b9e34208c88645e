//! Which witnesses are asked for, and which of them are enough: a C2SP `tlog-policy` file.
//!
//! ```text
//! log example.org/ledger+33d7b496+AeHTu4Q3hEIMHNqc6fASMsq3rKNx280NI+oO5xCFkkSx
//! witness north north.example/w+...+BG... https://north.example/w
//! witness south south.example/w+...+BF...
//! group both all north south
//! quorum both
//! ```
//!
//! A log reads it for the witnesses it asks and for what makes its checkpoints count; a witness for the logs it knows; an
//! auditor for all of that, offline.

use sha2::{Digest as _, Sha256};

use super::cosignature::{Cosignature, CosignatureError};
use crate::tree::seal::Seal;
use crate::tree::verifier_key::{CosignerKey, VerifierKey};

/// Largest policy that is read, in bytes.
pub const POLICY_BYTES_MAX: usize = 256 * 1024;
/// Most logs, witnesses and groups, of each; C2SP asks for room for 32.
pub const NAMED_MAX: usize = 64;
/// The quorum that asks for no witness.
const NONE: &[u8] = b"none";

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessPolicy {
    logs: Vec<KnownLog>,
    witnesses: Vec<Witness>,
    groups: Vec<Group>,
    quorum: Quorum,
}

/// A log that a policy knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownLog {
    /// Its origin and key.
    pub key: VerifierKey,
    /// Where it is, if that is said.
    pub url: Option<String>,
}

impl KnownLog {
    /// By what a witness's paths name the log: the SHA-256 of its origin, in hexadecimal.
    #[must_use]
    pub fn origin_hash(&self) -> String {
        hex::encode(Sha256::digest(&self.key.origin))
    }
}

/// A witness that a policy knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witness {
    /// Its name and key.
    pub key: CosignerKey,
    /// What `/add-checkpoint` is put behind to ask it, if that is said.
    pub url: Option<String>,
}

/// Members of which so many must have cosigned.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Group {
    threshold: usize,
    members: Vec<Member>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Witness(usize),
    /// One that stands further up, so that no group is its own member.
    Group(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quorum {
    None,
    Of(Member),
}

/// A text is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WitnessPolicyError {
    /// A line says nothing that policies say.
    #[error("line {line} of the witness policy {why}")]
    Line {
        /// Which, from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// Nothing says which witnesses are enough.
    #[error(
        "the witness policy has no line `quorum`, which says whose cosignatures are enough; `quorum none` asks for none"
    )]
    Quorum,
    /// It is larger than policies are.
    #[error("the witness policy has more than {POLICY_BYTES_MAX} bytes")]
    TooLong,
}

impl Default for WitnessPolicy {
    /// Knows nobody and asks for nothing.
    fn default() -> Self {
        Self { logs: Vec::new(), witnesses: Vec::new(), groups: Vec::new(), quorum: Quorum::None }
    }
}

impl WitnessPolicy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// [`WitnessPolicyError`] names the first line that is wrong.
    ///
    /// # Source
    /// C2SP `tlog-policy`.
    pub fn parse(bytes: &[u8]) -> Result<Self, WitnessPolicyError> {
        if bytes.len() > POLICY_BYTES_MAX {
            return Err(WitnessPolicyError::TooLong);
        }
        let mut reading = Reading::default();
        for (at, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            reading.take(line).map_err(|why| WitnessPolicyError::Line { line: at + 1, why })?;
        }
        let quorum = reading.quorum.ok_or(WitnessPolicyError::Quorum)?;
        let Reading { logs, witnesses, groups, .. } = reading;
        Ok(Self { logs, witnesses, groups, quorum })
    }

    /// The policy that any one of some witnesses is enough for.
    #[must_use]
    pub fn any_of(witnesses: Vec<CosignerKey>) -> Self {
        let members = (0..witnesses.len()).map(Member::Witness).collect();
        let witnesses = witnesses.into_iter().map(|key| Witness { key, url: None }).collect();
        let groups = vec![Group { threshold: 1, members }];
        Self { logs: Vec::new(), witnesses, groups, quorum: Quorum::Of(Member::Group(0)) }
    }

    /// The logs it knows.
    #[must_use]
    pub fn logs(&self) -> &[KnownLog] {
        &self.logs
    }

    /// The witnesses it knows, whether or not its quorum needs them.
    #[must_use]
    pub fn witnesses(&self) -> &[Witness] {
        &self.witnesses
    }

    /// Whether it asks for any cosignature at all.
    #[must_use]
    pub fn asks_for_witnesses(&self) -> bool {
        self.quorum != Quorum::None
    }

    /// Whether the witnesses that cosigned a checkpoint are enough for it.
    pub fn is_met_by(&self, has_cosigned: impl Fn(&CosignerKey) -> bool) -> bool {
        match self.quorum {
            Quorum::None => true,
            Quorum::Of(member) => self.is_witnessed(member, &has_cosigned),
        }
    }

    /// The witnesses that cosigned a checkpoint, by the lines it has.
    ///
    /// # Errors
    /// [`CosignatureError`] when it has a line of one of them that is not its cosignature.
    pub fn cosigners(&self, seal: &Seal) -> Result<Vec<&CosignerKey>, CosignatureError> {
        let mut cosigners = Vec::new();
        for Witness { key, .. } in &self.witnesses {
            if Cosignature::of(seal, key)?.is_some() {
                cosigners.push(key);
            }
        }
        Ok(cosigners)
    }

    fn is_witnessed(&self, member: Member, has_cosigned: &dyn Fn(&CosignerKey) -> bool) -> bool {
        match member {
            Member::Witness(at) => self.witnesses.get(at).is_some_and(|witness| has_cosigned(&witness.key)),
            Member::Group(at) => self.groups.get(at).is_some_and(|group| {
                let cosigned = group.members.iter().filter(|member| self.is_witnessed(**member, has_cosigned));
                cosigned.count() >= group.threshold
            }),
        }
    }
}

/// A policy while it is read.
#[derive(Default)]
struct Reading {
    logs: Vec<KnownLog>,
    witnesses: Vec<Witness>,
    groups: Vec<Group>,
    /// What has a name, and whether it is a group's member already.
    named: Vec<(Vec<u8>, Member, bool)>,
    quorum: Option<Quorum>,
}

impl Reading {
    fn take(&mut self, line: &[u8]) -> Result<(), String> {
        if line.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
            return Err("has control characters other than tabs".to_owned());
        }
        let mut words = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
        let Some(first) = words.next().filter(|word| !word.starts_with(b"#")) else { return Ok(()) };
        let words: Vec<&[u8]> = words.collect();
        match (first, &words[..]) {
            (b"log", [key]) => self.log(key, None),
            (b"log", [key, url]) => self.log(key, Some(url)),
            (b"witness", [name, key]) => self.witness(name, key, None),
            (b"witness", [name, key, url]) => self.witness(name, key, Some(url)),
            (b"group", [name, threshold, members @ ..]) if !members.is_empty() => self.group(name, threshold, members),
            (b"quorum", [name]) => self.quorum(name),
            _ => Err("is none of `log KEY [URL]`, `witness NAME KEY [URL]`, `group NAME all|any|K NAME...` and \
                      `quorum NAME|none`"
                .to_owned()),
        }
    }

    fn log(&mut self, key: &[u8], url: Option<&&[u8]>) -> Result<(), String> {
        let key: VerifierKey = text(key)?.parse().map_err(|error| format!("names no log: {error}"))?;
        if self.logs.iter().any(|known| known.key.key == key.key) {
            return Err("names a log whose key stands further up".to_owned());
        }
        room(self.logs.len(), "logs")?;
        self.logs.push(KnownLog { key, url: url.map(|url| text(url)).transpose()? });
        Ok(())
    }

    fn witness(&mut self, name: &[u8], key: &[u8], url: Option<&&[u8]>) -> Result<(), String> {
        let key: CosignerKey = text(key)?.parse().map_err(|error| format!("names no witness: {error}"))?;
        if self.witnesses.iter().any(|known| known.key.key == key.key) {
            return Err("names a witness whose key stands further up".to_owned());
        }
        room(self.witnesses.len(), "witnesses")?;
        self.name(name, Member::Witness(self.witnesses.len()))?;
        self.witnesses.push(Witness { key, url: url.map(|url| text(url)).transpose()? });
        Ok(())
    }

    fn group(&mut self, name: &[u8], threshold: &[u8], members: &[&[u8]]) -> Result<(), String> {
        room(self.groups.len(), "groups")?;
        let mut found = Vec::with_capacity(members.len());
        for member in members {
            let known = self.named.iter_mut().find(|(known, ..)| known == member);
            let (_, known, is_taken) = known.ok_or_else(|| not_named(member))?;
            if std::mem::replace(is_taken, true) {
                return Err(format!("makes `{}` a member for the second time", shown(member)));
            }
            found.push(*known);
        }
        let threshold = match threshold {
            b"all" => found.len(),
            b"any" => 1,
            digits => {
                let number: Option<usize> = std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok());
                number
                    .filter(|k| (1..=found.len()).contains(k) && k.to_string().as_bytes() == digits)
                    .ok_or_else(|| format!("asks for `{}`, not `all`, `any` or 1 to {}", shown(digits), found.len()))?
            }
        };
        self.name(name, Member::Group(self.groups.len()))?;
        self.groups.push(Group { threshold, members: found });
        Ok(())
    }

    fn quorum(&mut self, name: &[u8]) -> Result<(), String> {
        let quorum = match self.named.iter().find(|(known, ..)| known == name) {
            _ if name == NONE => Quorum::None,
            Some((_, member, _)) => Quorum::Of(*member),
            None => return Err(not_named(name)),
        };
        match self.quorum.replace(quorum) {
            None => Ok(()),
            Some(_) => Err("is a second `quorum`".to_owned()),
        }
    }

    fn name(&mut self, name: &[u8], member: Member) -> Result<(), String> {
        if name == NONE || self.named.iter().any(|(known, ..)| known == name) {
            return Err(format!("gives the name `{}`, which is taken", shown(name)));
        }
        self.named.push((name.to_vec(), member, false));
        Ok(())
    }
}

fn room(len: usize, what: &str) -> Result<(), String> {
    if len < NAMED_MAX { Ok(()) } else { Err(format!("is one of more than {NAMED_MAX} {what}")) }
}

fn text(word: &[u8]) -> Result<String, String> {
    String::from_utf8(word.to_vec()).map_err(|_| "has a key or address that is not UTF-8".to_owned())
}

fn not_named(name: &[u8]) -> String {
    format!("names `{}`, which no line further up defines", shown(name))
}

/// A name, which may be any bytes, for people.
fn shown(name: &[u8]) -> String {
    name.iter().take(64).copied().map(char::from).map(|char| if char.is_ascii_graphic() { char } else { '?' }).collect()
}
