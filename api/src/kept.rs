//! Answers that cost much to make, and are good for a while.

use std::hash::Hash;
use std::time::{Duration, Instant};

use bytes::Bytes;
use quick_cache::sync::Cache;

/// Answers by what they are about, each for as long as it is good.
///
/// Who asks for one that is being made waits for that one, and for no other.
pub struct Kept<K> {
    life: Duration,
    answers: Cache<K, (Instant, Bytes)>,
}

impl<K: Eq + Hash + Clone> Kept<K> {
    /// Keeps about so many answers, each for so long.
    #[must_use]
    pub fn new(most: usize, life: Duration) -> Self {
        Self { life, answers: Cache::new(most) }
    }

    /// The answer that is kept, or else the one that `make` makes; and whether it was kept.
    ///
    /// # Errors
    /// Those of `make`; then nothing is kept.
    pub async fn get<E>(&self, key: &K, make: impl Future<Output = Result<Bytes, E>>) -> Result<(Bytes, bool), E> {
        self.answers.remove_if(key, |(since, _)| since.elapsed() >= self.life);
        let mut is_kept = true;
        let made = async {
            is_kept = false;
            Ok((Instant::now(), make.await?))
        };
        let (_, answer) = self.answers.get_or_insert_async(key, made).await?;
        Ok((answer, is_kept))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    async fn ask(kept: &Kept<u8>, key: u8, text: &'static str) -> (Bytes, bool) {
        let Ok(answer) = kept.get(&key, async { Ok::<_, Infallible>(Bytes::from_static(text.as_bytes())) }).await;
        answer
    }

    #[tokio::test]
    async fn an_answer_is_made_once_for_each_while_it_is_good() {
        let kept = Kept::new(8, Duration::from_secs(3600));
        assert_eq!(ask(&kept, 1, "a").await, (Bytes::from("a"), false));
        assert_eq!(ask(&kept, 1, "b").await, (Bytes::from("a"), true));
        assert_eq!(ask(&kept, 2, "c").await, (Bytes::from("c"), false));
        let over = Kept::new(8, Duration::ZERO);
        assert_eq!(ask(&over, 1, "a").await, (Bytes::from("a"), false));
        assert_eq!(ask(&over, 1, "b").await, (Bytes::from("b"), false));
    }

    #[tokio::test]
    async fn what_fails_is_not_kept() {
        let kept = Kept::new(8, Duration::from_secs(3600));
        assert_eq!(kept.get(&1_u8, async { Err::<Bytes, _>("no") }).await, Err("no"));
        assert_eq!(ask(&kept, 1, "a").await, (Bytes::from("a"), false));
    }
}
