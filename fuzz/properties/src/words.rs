//! Words that stand in seeds for what is known only when they are played: `$AGENT`, `$ADMIN` and so on.

/// Words and what they stand for.
#[derive(Debug, Default)]
pub struct Words(Vec<(String, String)>);

impl Words {
    /// Gives a word its meaning.
    pub fn mean(&mut self, word: &str, meaning: impl ToString) {
        self.0.push((format!("${word}"), meaning.to_string()));
    }

    /// Puts meanings in place of words.
    pub fn fill(&self, text: &[u8]) -> Vec<u8> {
        let mut filled = Vec::with_capacity(text.len());
        let mut rest = text;
        while let [first, after @ ..] = rest {
            let found = (*first == b'$').then(|| self.0.iter().find(|(word, _)| starts(rest, word))).flatten();
            match found {
                Some((word, meaning)) => {
                    filled.extend_from_slice(meaning.as_bytes());
                    rest = &rest[word.len()..];
                }
                None => {
                    filled.push(*first);
                    rest = after;
                }
            }
        }
        filled
    }
}

/// Whether a text starts with a word, and not with a longer one.
fn starts(text: &[u8], word: &str) -> bool {
    text.starts_with(word.as_bytes()) && !text.get(word.len()).is_some_and(u8::is_ascii_uppercase)
}
