//! Asking one witness for its cosignature: C2SP `tlog-witness`, `add-checkpoint`.

use std::time::Duration;

use bytes::Bytes;
use chancery_ledger::ids::TreeSize;
use chancery_ledger::store::{StoreError, StoreNodes};
use chancery_ledger::tree::consistency_proof::ConsistencyProof;
use chancery_ledger::tree::proof::{ProofError, consistency};
use chancery_ledger::tree::seal::Seal;
use chancery_ledger::witness::cosignature::{Cosignature, CosignatureError};
use chancery_ledger::witness::policy::Witness;
use hyper::header::{self, HeaderValue};
use hyper::{HeaderMap, Method, StatusCode};

use crate::app::App;
use crate::egress::{Answer, EgressError, Forbidden, Outgoing};
use crate::limits::{WITNESS_ANSWER_BYTES, WITNESS_SECS};
use crate::native::admin::blocking;

/// How often a witness may say in one exchange that it knows another size; once is usual, after a crash or a restore.
const SIZES_MAX: usize = 3;
/// Of an answer that refuses, as much is told, in characters.
const EXCERPT_CHARS: usize = 200;

/// A witness did not cosign.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    /// Its address may not be called.
    #[error("its address {0}")]
    Address(#[from] Forbidden),
    /// It gave no answer.
    #[error(transparent)]
    Unreachable(#[from] EgressError),
    /// It does not want to.
    #[error("it answered {status}: {excerpt}")]
    Refused {
        /// How.
        status: StatusCode,
        /// In whose words.
        excerpt: String,
        /// For how long it wants to be left alone, in seconds, if it says so.
        retry_after_secs: Option<u64>,
    },
    /// It has cosigned a log of this name that this one is not the continuation of.
    #[error("{0}")]
    Contradicted(String),
    /// Its answer is not in its protocol.
    #[error("its answer is none: {0}")]
    Malformed(&'static str),
    /// What it answered does not hold.
    #[error("its answer is not its cosignature: {0}")]
    Cosignature(#[from] CosignatureError),
    /// The tree could not be read.
    #[error("the log cannot be read: {0}")]
    Log(#[from] StoreError),
    /// The daemon has no thread to read it with.
    #[error("the proof for it could not be made")]
    Internal,
}

impl AskError {
    /// For how long the witness wants to be left alone, if it says so.
    pub(super) const fn retry_after_secs(&self) -> Option<u64> {
        match self {
            Self::Refused { retry_after_secs, .. } => *retry_after_secs,
            _ => None,
        }
    }
}

/// A witness's cosignature of a seal. `cosigned` is the newest size that it is known to have cosigned; where it knows
/// another, it says so, and the proof begins there.
pub(super) async fn cosignature(
    app: &App, witness: &Witness, url: &str, seal: &Seal, cosigned: TreeSize,
) -> Result<Cosignature, AskError> {
    let mut old = cosigned;
    for _ in 0..SIZES_MAX {
        let answer = post(app, url, request(app, seal, old).await?).await?;
        match answer.status {
            StatusCode::OK => return verified(seal, witness, &answer),
            StatusCode::CONFLICT => {
                let size = known_size(&answer).ok_or(AskError::Malformed("it names no size in a conflict"))?;
                let ours = seal.checkpoint().size;
                if size > ours {
                    let why = format!(
                        "it has cosigned {size} events of a log of this name, which has {ours} here: events were lost, or \
                         another ledger goes by the same origin"
                    );
                    return Err(AskError::Contradicted(why));
                }
                old = size;
            }
            StatusCode::UNPROCESSABLE_ENTITY => {
                let why = format!(
                    "the tree of {old} events that it cosigned is not the beginning of this one: {}",
                    excerpt(&answer)
                );
                return Err(AskError::Contradicted(why));
            }
            status => {
                let retry_after_secs = retry_after_secs(&answer.headers);
                return Err(AskError::Refused { status, excerpt: excerpt(&answer), retry_after_secs });
            }
        }
    }
    Err(AskError::Malformed("it names another size each time"))
}

/// The request: a proof from the older tree to the seal's, and the seal.
async fn request(app: &App, seal: &Seal, old: TreeSize) -> Result<Bytes, AskError> {
    let (log, seal) = (app.engine().log(), seal.clone());
    let made = blocking(move || {
        let path = consistency(old, seal.checkpoint().size, &StoreNodes(&*log))?;
        Ok::<_, ProofError<StoreError>>(ConsistencyProof { old, path, seal }.render())
    });
    match made.await {
        Ok(Ok(text)) => Ok(text.into()),
        Ok(Err(ProofError::Nodes(error))) => Err(error.into()),
        Ok(Err(ProofError::Beyond { .. })) | Err(_) => Err(AskError::Internal),
    }
}

async fn post(app: &App, url: &str, body: Bytes) -> Result<Answer, AskError> {
    let target = app.egress().target(&format!("{}/add-checkpoint", url.trim_end_matches('/')))?;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    let outgoing = Outgoing {
        method: Method::POST,
        target,
        headers,
        body,
        time: Duration::from_secs(WITNESS_SECS),
        answer_bytes_max: WITNESS_ANSWER_BYTES,
    };
    Ok(app.egress().send(outgoing).await?)
}

/// The witness's line among those it answered with; lines of keys that nobody knows are no matter.
fn verified(seal: &Seal, witness: &Witness, answer: &Answer) -> Result<Cosignature, AskError> {
    let cosigned = seal.with_lines(&answer.body).map_err(|_| AskError::Malformed("it is not lines of signatures"))?;
    Cosignature::of(&cosigned, &witness.key)?.ok_or(AskError::Malformed("it has no line of the witness's key"))
}

/// The size in a conflict: digits and a line feed.
fn known_size(answer: &Answer) -> Option<TreeSize> {
    let digits = std::str::from_utf8(&answer.body).ok()?.strip_suffix('\n')?;
    let size: u64 = digits.parse().ok()?;
    (size.to_string() == digits).then_some(TreeSize(size))
}

fn retry_after_secs(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()
}

fn excerpt(answer: &Answer) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    text.trim().chars().map(|char| if char.is_control() { ' ' } else { char }).take(EXCERPT_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &str) -> Answer {
        let (status, headers) = (StatusCode::CONFLICT, HeaderMap::new());
        Answer { status, headers, body: body.to_owned().into(), is_whole: true }
    }

    #[test]
    fn a_size_is_digits_and_a_line_feed() {
        assert_eq!(known_size(&answer("20852163\n")), Some(TreeSize(20_852_163)));
        assert_eq!(known_size(&answer("0\n")), Some(TreeSize(0)));
        for bad in ["", "\n", "7", "07\n", "+7\n", "-7\n", "7 \n", "7\r\n", "18446744073709551616\n"] {
            assert_eq!(known_size(&answer(bad)), None, "{bad:?}");
        }
    }

    #[test]
    fn only_seconds_are_taken_for_a_time_to_wait() {
        let said = |text: &'static str| {
            retry_after_secs(&HeaderMap::from_iter([(header::RETRY_AFTER, HeaderValue::from_static(text))]))
        };
        assert_eq!(said("7"), Some(7));
        assert_eq!(said("Wed, 21 Oct 2026 07:28:00 GMT"), None);
        assert_eq!(retry_after_secs(&HeaderMap::new()), None);
    }
}
