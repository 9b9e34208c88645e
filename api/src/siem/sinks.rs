//! Where events are pushed to: a file of its own says so, because a sink is more than an option.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use zeroize::Zeroizing;

use super::Format;
use crate::egress::{Egress, Target};

/// Most sinks.
const SINKS_MAX: usize = 16;
/// Longest name of a sink, in characters: it names a file.
const NAME_CHARS_MAX: usize = 32;
/// Longest token, in bytes.
const TOKEN_BYTES_MAX: usize = 4096;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    sink: Vec<Entry>,
}

/// A sink as it stands in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    format: Format,
    file: Option<PathBuf>,
    url: Option<String>,
    token_file: Option<PathBuf>,
    #[serde(default)]
    personal: bool,
}

/// Where events are pushed to.
#[derive(Debug, Clone)]
pub struct Sink {
    /// Its name, which its cursor keeps.
    pub name: String,
    /// In whose words.
    pub format: Format,
    /// Whereto.
    pub target: SinkTarget,
    /// Whether encrypted fields are opened. What has left can be erased no more.
    pub personal: bool,
}

/// A sink's place.
#[derive(Clone)]
pub enum SinkTarget {
    /// A file, to which lines are appended.
    File(PathBuf),
    /// An address, to which lines are posted.
    Http {
        /// The address.
        target: Target,
        /// What it is asked with, if it asks for something.
        token: Option<Zeroizing<String>>,
    },
}

/// Without the token, and without what an address may hold of secrets.
impl fmt::Debug for SinkTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(file) => f.debug_tuple("File").field(file).finish(),
            Self::Http { target, .. } => f.debug_tuple("Http").field(&target.host()).finish(),
        }
    }
}

/// The file of sinks is not usable. Each message says what to mend.
#[derive(Debug, thiserror::Error)]
pub enum SinksError {
    /// It, or a file that it names, cannot be read.
    #[error("{file} cannot be read: {source}", file = file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not TOML, or says what there is not.
    #[error("{file}: {source}", file = file.display())]
    Malformed {
        /// Which.
        file: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// A sink makes no sense.
    #[error("sink `{name}` {why}")]
    Sink {
        /// Which.
        name: String,
        /// Why.
        why: String,
    },
}

/// Reads the file, and the tokens that it names; its addresses must be such that the door lets through.
///
/// # Errors
/// [`SinksError`].
pub fn load(file: &Path, egress: &Egress) -> Result<Vec<Sink>, SinksError> {
    let text = read(file)?;
    let document: Document = toml::from_str(&text)
        .map_err(|source| SinksError::Malformed { file: file.to_owned(), source: source.into() })?;
    let mut sinks: Vec<Sink> = Vec::new();
    for entry in document.sink {
        let wrong = |why: &str| SinksError::Sink { name: entry.name.clone(), why: why.to_owned() };
        let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        if !(1..=NAME_CHARS_MAX).contains(&entry.name.len()) || !entry.name.chars().all(is_plain) {
            return Err(wrong("needs a name of 1 to 32 characters of `a-z`, `0-9` and `-`"));
        }
        if sinks.iter().any(|sink| sink.name == entry.name) {
            return Err(wrong("stands twice; give each a name of its own"));
        }
        if sinks.len() == SINKS_MAX {
            return Err(wrong("is one too many: there can be 16"));
        }
        let target = match (entry.file.clone(), entry.url.clone()) {
            (Some(_), None) if entry.token_file.is_some() => return Err(wrong("is a file, which takes no token")),
            (Some(file), None) if file.is_absolute() => SinkTarget::File(file),
            (Some(_), None) => return Err(wrong("needs a `file` that begins with `/`")),
            (None, Some(url)) => {
                let token = entry.token_file.as_deref().map(|file| token(file, &entry.name)).transpose()?;
                let target =
                    egress.target(&url).map_err(|forbidden| wrong(&format!("has a `url` that {forbidden}")))?;
                SinkTarget::Http { target, token }
            }
            _ => return Err(wrong("needs either a `file` or a `url`")),
        };
        sinks.push(Sink { name: entry.name, format: entry.format, target, personal: entry.personal });
    }
    Ok(sinks)
}

fn token(file: &Path, name: &str) -> Result<Zeroizing<String>, SinksError> {
    let text = Zeroizing::new(read(file)?);
    let token = text.lines().next().unwrap_or_default();
    let is_sendable = token.bytes().all(|byte| byte.is_ascii_graphic());
    if token.is_empty() || token.len() > TOKEN_BYTES_MAX || !is_sendable {
        let why = format!("has no token in {}: its first line must be 1 to {TOKEN_BYTES_MAX} letters", file.display());
        return Err(SinksError::Sink { name: name.to_owned(), why });
    }
    Ok(Zeroizing::new(token.to_owned()))
}

fn read(file: &Path) -> Result<String, SinksError> {
    fs::read_to_string(file).map_err(|source| SinksError::Unreadable { file: file.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(text: &str) -> Result<Vec<Sink>, SinksError> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("sinks.toml");
        fs::write(dir.path().join("token"), "abc\nsecond line").unwrap();
        fs::write(dir.path().join("empty"), "").unwrap();
        fs::write(&file, text.replace("DIR", dir.path().to_str().unwrap())).unwrap();
        load(&file, &Egress::new(false))
    }

    #[test]
    fn sinks_are_files_and_addresses() {
        let sinks = loaded(
            "[[sink]]\nname = \"disk\"\nformat = \"ocsf\"\nfile = \"/var/log/x\"\n\
             [[sink]]\nname = \"web-1\"\nformat = \"cloudevents\"\nurl = \"https://siem.example\"\ntoken_file = \"DIR/token\"\npersonal = true\n",
        );
        let [disk, web] = &sinks.unwrap()[..] else { panic!() };
        assert!(matches!(&disk.target, SinkTarget::File(file) if file == Path::new("/var/log/x")) && !disk.personal);
        let SinkTarget::Http { target, token } = &web.target else { panic!() };
        assert_eq!((target.host(), token.as_ref().unwrap().as_str()), ("siem.example", "abc"));
        assert!(!format!("{web:?}").contains("abc"));
        assert!(web.personal && web.format == Format::CloudEvents);
        assert!(loaded("").unwrap().is_empty());
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let base = "[[sink]]\nname = \"a\"\nformat = \"ocsf\"\n";
        for (text, why) in [
            (base.to_owned(), "either a `file` or a `url`"),
            (format!("{base}file = \"/x\"\nurl = \"https://x\"\n"), "either a `file` or a `url`"),
            (format!("{base}file = \"x\"\n"), "begins with `/`"),
            (format!("{base}file = \"/x\"\n{base}file = \"/y\"\n"), "stands twice"),
            (base.replace("\"a\"", "\"A/..\"") + "file = \"/x\"\n", "needs a name"),
            (format!("{base}url = \"http://siem.example\"\n"), "has a `url` that"),
            (format!("{base}url = \"https://x.example\"\ntoken_file = \"DIR/empty\"\n"), "has no token"),
            (format!("{base}url = \"https://x\"\ntoken_file = \"DIR/none\"\n"), "cannot be read"),
            (base.replace("ocsf", "xml") + "file = \"/x\"\n", "unknown variant"),
            ("[[sinks]]\n".to_owned(), "unknown field"),
        ] {
            let error = loaded(&text).unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
