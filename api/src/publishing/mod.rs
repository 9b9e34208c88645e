//! Publishing checkpoints: the process manager that has witnesses cosign them.
//!
//! Whenever something has happened, but at most once in an interval, the newest seal becomes the **target**. Every witness
//! of the policy is asked to cosign it, all at once and each by itself (`ask`); what a witness says is verified and
//! recorded as an event, so cosignatures are in the log, its archive and its backups. A checkpoint that as many cosigned
//! as the policy's quorum asks for is **published** (`published`).
//!
//! - Those events are themselves nothing that happened: of cosignatures alone no new target comes (`news`).
//! - A witness that fails is asked again, each time after twice as long, for what is the target then. The others wait for it
//!   no longer than its time to answer.
//! - Nothing is kept but in the log: after a crash, what a witness said and nobody recorded it says again.
//!
//! Out of scope: being a witness of other logs (`native::witness`); which addresses may be called ([`crate::egress`]).

mod ask;
mod news;
mod published;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chancery_ledger::actor::Actor;
use chancery_ledger::ids::TreeSize;
use chancery_ledger::link::Hash;
use chancery_ledger::tree::seal::Seal;
use chancery_ledger::witness::cosignature::Cosignature;
use chancery_ledger::witness::policy::Witness;
use chancery_projections::command::RecordCosignature;
use chancery_projections::context::Caller;
use chancery_projections::identity::state::{COSIGNED, LEDGER};
use chancery_projections::rows::{Order, RowsError};
use chancery_projections::sequencer::Request;
use chancery_projections::views::View;
use tokio::task::JoinSet;

use self::ask::AskError;
use self::news::News;
use crate::app::App;
use crate::limits::{COSIGNED_RESUMED_MAX, VIEW_PATIENCE_SECS, WITNESS_RETRY_MAX_SECS, WITNESS_RETRY_SECS};
use crate::problem::Problem;

pub use self::published::{Publication, cosigned_seal, newest_checkpoint};

/// Longest time without a look at whether something happened.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// After something could not be read or recorded, so long nothing is tried.
const PAUSE: Duration = Duration::from_secs(5);

/// A witness, and how it does.
struct Asked {
    witness: Arc<Witness>,
    url: Arc<str>,
    /// Its verifier key, as events name it.
    key: String,
    /// The newest checkpoint that it is known to have cosigned.
    cosigned: TreeSize,
    failures: u32,
    not_before: Instant,
}

impl Asked {
    /// A witness that has an address.
    fn of(witness: &Witness) -> Option<Self> {
        let url = witness.url.as_deref()?.into();
        let (key, witness) = (witness.key.to_string(), Arc::new(witness.clone()));
        Some(Self { witness, url, key, cosigned: TreeSize(0), failures: 0, not_before: Instant::now() })
    }

    /// Leaves it alone for a while: twice as long as the last time, or as long as it asks for.
    fn failed(&mut self, error: &AskError) {
        let doubled = WITNESS_RETRY_SECS.saturating_mul(1_u64.checked_shl(self.failures).unwrap_or(u64::MAX));
        let secs = error.retry_after_secs().unwrap_or(doubled).clamp(1, WITNESS_RETRY_MAX_SECS);
        self.failures = self.failures.saturating_add(1);
        self.not_before = Instant::now() + Duration::from_secs(secs);
    }
}

/// What witnesses are asked to cosign.
struct Target {
    seal: Arc<Seal>,
    chosen: Instant,
}

impl Target {
    fn size(&self) -> TreeSize {
        self.seal.checkpoint().size
    }
}

/// Has checkpoints cosigned.
pub struct Publisher {
    app: Arc<App>,
    asked: Vec<Asked>,
    target: Option<Target>,
    news: News,
}

impl Publisher {
    /// Takes up what the log says of the time before this start: who cosigned what, and which checkpoint is published.
    ///
    /// # Errors
    /// Those of reading the identity view.
    pub async fn resume(app: Arc<App>) -> Result<Self, Problem> {
        let mut asked: Vec<_> = app.config().witnesses.witnesses().iter().filter_map(Asked::of).collect();
        let rows = app.view(View::Identity).await?;
        let mut newest = TreeSize(0);
        for (key, row) in COSIGNED.list(&rows, (), None, Order::Descending, COSIGNED_RESUMED_MAX)? {
            let size = key.first_chunk().map(|size| TreeSize(u64::from_be_bytes(*size)));
            let size = size.ok_or(RowsError::Missing("the size of a cosigned checkpoint"))?;
            newest = newest.max(size);
            for asked in &mut asked {
                if row.cosignatures.iter().any(|it| it.witness == asked.key) {
                    asked.cosigned = asked.cosigned.max(size);
                }
            }
            app.publication().consider(size, &row);
        }
        Ok(Self { app, asked, target: None, news: News::after(newest) })
    }

    /// Publishes until the daemon stops; returns at once where there is nobody to ask.
    pub async fn run(mut self) {
        if self.asked.is_empty() {
            return;
        }
        let mut stopping = self.app.stopping();
        let mut read = self.app.views().get(View::Identity).progress.clone();
        while !*stopping.borrow_and_update() {
            // What a witness is just saying when the daemon stops, it says again after the next start.
            let turned = tokio::select! {
                turned = self.turn() => turned,
                _ = stopping.changed() => return,
            };
            let pause = turned.unwrap_or_else(|problem| {
                tracing::error!(%problem, "a checkpoint could not be published");
                PAUSE
            });
            let may_choose = self.may_choose_in().is_zero();
            tokio::select! {
                _ = stopping.changed() => {}
                Ok(()) = read.changed(), if may_choose => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Chooses a target if it is time for one, asks for what is missing, and says for how long nothing is to be done.
    async fn turn(&mut self) -> Result<Duration, Problem> {
        if let Some(why) = self.app.sequencer().status().stopped {
            tracing::debug!(%why, "nothing is published while nothing can be recorded");
            return Ok(LOOK_AGAIN);
        }
        if self.may_choose_in().is_zero() {
            let log = self.app.engine().log();
            if let Some(seal) = self.news.newest_seal(log).await? {
                self.target = Some(Target { seal: Arc::new(seal), chosen: Instant::now() });
            }
        }
        self.ask_all().await?;
        let now = Instant::now();
        let retries = self.missing().map(|at| self.asked[at].not_before.saturating_duration_since(now));
        let next = retries.chain([self.may_choose_in()]).filter(|wait| !wait.is_zero()).min();
        Ok(next.unwrap_or(LOOK_AGAIN).min(LOOK_AGAIN))
    }

    /// How long until another target may be chosen.
    fn may_choose_in(&self) -> Duration {
        let interval = Duration::from_secs(self.app.config().publish_interval_secs);
        self.target.as_ref().map_or(Duration::ZERO, |target| interval.saturating_sub(target.chosen.elapsed()))
    }

    /// The witnesses that have not cosigned the target.
    fn missing(&self) -> impl Iterator<Item = usize> {
        let size = self.target.as_ref().map_or(TreeSize(0), Target::size);
        self.asked.iter().enumerate().filter(move |(_, asked)| asked.cosigned < size).map(|(at, _)| at)
    }

    /// Asks each of them that may be asked now, and records what they say as they say it.
    async fn ask_all(&mut self) -> Result<(), Problem> {
        let Some(seal) = self.target.as_ref().map(|target| target.seal.clone()) else { return Ok(()) };
        let now = Instant::now();
        let mut asking = JoinSet::new();
        for at in self.missing().filter(|at| self.asked[*at].not_before <= now).collect::<Vec<_>>() {
            let asked = &self.asked[at];
            let (app, witness, url, seal) = (self.app.clone(), asked.witness.clone(), asked.url.clone(), seal.clone());
            let cosigned = asked.cosigned;
            asking.spawn(async move { (at, ask::cosignature(&app, &witness, &url, &seal, cosigned).await) });
        }
        while let Some(ended) = asking.join_next().await {
            let (at, answered) = ended.map_err(|error| {
                tracing::error!(%error, "asking a witness ended by a defect");
                Problem::Internal
            })?;
            self.app.metrics().count_cosignature(answered.is_ok());
            match answered {
                Ok(cosignature) => {
                    self.record(at, &seal, &cosignature).await?;
                    let asked = &mut self.asked[at];
                    (asked.cosigned, asked.failures) = (seal.checkpoint().size, 0);
                }
                Err(error) => {
                    let asked = &mut self.asked[at];
                    asked.failed(&error);
                    let (witness, url) = (&asked.witness.key.name, &asked.url);
                    match error {
                        AskError::Contradicted(why) => {
                            tracing::error!(witness, %url, why, "a witness knows another log of this name")
                        }
                        error => {
                            tracing::warn!(witness, %url, %error, failures = asked.failures, "a witness did not cosign")
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Records what a witness said, and sees whether that publishes the checkpoint.
    async fn record(&self, at: usize, seal: &Seal, cosignature: &Cosignature) -> Result<(), Problem> {
        let (app, checkpoint) = (&self.app, seal.checkpoint());
        let ledger = LEDGER.get(&app.views().get(View::Identity).store.snapshot(), ())?;
        let tenant = ledger.and_then(|ledger| ledger.root).ok_or(RowsError::Missing("the root tenant"))?;
        let command = RecordCosignature {
            size: checkpoint.size.0,
            root: Hash(checkpoint.root.0),
            witness: self.asked[at].key.clone(),
            cosignature: cosignature.to_bytes().to_vec(),
        };
        let request = Request::new(tenant, Caller { tenant, actor: Actor::system() }, command);
        let receipt = app.sequencer().submit_when_free(request).await?.await?;
        receipt.answer?;
        let patience = Duration::from_secs(VIEW_PATIENCE_SECS);
        let rows = app.views().read(View::Identity, receipt.size, patience).await?;
        if let Some(row) = COSIGNED.get(&rows, checkpoint.size.0)? {
            app.publication().consider(checkpoint.size, &row);
        }
        Ok(())
    }
}
