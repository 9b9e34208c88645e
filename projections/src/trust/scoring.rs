//! How a score comes about: rules as a document, and pure arithmetic in integer fractions, rounded half up.
//!
//! A score lies between 0 and 1000 and is the sum of four components, each at most its weight: how many transactions
//! were completed, how many were disputed, how old the agent is, and whether its organisation is vouched for.
//!
//! # Source
//! contracts/alsorn.md section 7; DOMAIN section 3.4.

use std::sync::LazyLock;

use chancery_ledger::time::Micros;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The greatest score.
pub const SCORE_MAX: u64 = 1000;
/// Parts of a share or rate that make a whole.
const PARTS: u64 = 1_000_000;
/// Most points of a curve, and most labels of a list.
const POINTS_MAX: usize = 32;
/// Most days of a curve: a hundred years.
const DAYS_MAX: u32 = 36_525;
/// Most facts that one fact can count as.
const COUNT_MAX: u64 = 1000;

/// The rules that nobody set: version 0.
pub static UNSET: LazyLock<Scoring> = LazyLock::new(Scoring::default);

/// The rules by which agents are scored and spoken of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Scoring {
    /// The most that each component brings; 1000 in all.
    pub weights: Weights,
    /// Below so many facts about how things ended, those that are missing count as half completed.
    pub completion_full_after: u64,
    /// How many failed transactions a refused scope check counts as.
    pub refused_scope_check: u64,
    /// How many failed transactions a mission that was called off counts as.
    pub revoked_mission: u64,
    /// Points that each suspension takes off the sum.
    pub suspension_penalty: u64,
    /// Below so many transactions, disputes are held against so many.
    pub dispute_full_after: u64,
    /// Which share of its weight the rate of disputes leaves: straight lines, the last one goes on down to nothing.
    pub dispute_curve: Vec<RatePoint>,
    /// Points by age: straight lines, flat after the last.
    pub tenure_curve: Vec<DayPoint>,
    /// From which score an agent is trusted with an action.
    pub trusted_from: u16,
    /// What scores are called, from the greatest on: three words.
    pub assessments: Vec<Label>,
    /// What scores are called, from the greatest on, more finely.
    pub tiers: Vec<Label>,
    /// When a score is said to have moved.
    pub trend: Trend,
}

/// The most that each component brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Weights {
    /// How many transactions were completed.
    pub completion_rate: u16,
    /// How many were disputed.
    pub dispute_rate: u16,
    /// How old the agent is.
    pub tenure: u16,
    /// Whether its organisation is vouched for.
    pub operator_verified: u16,
}

/// A point of a curve over rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RatePoint {
    /// The rate, in millionths.
    pub rate_ppm: u32,
    /// The share of the weight that is left there, in millionths.
    pub share_ppm: u32,
}

/// A point of a curve over days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DayPoint {
    /// The age in days.
    pub days: u32,
    /// The points.
    pub points: u16,
}

/// What scores are called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Label {
    /// From this score on.
    pub from: u16,
    /// The word: 1 to 64 characters.
    pub name: String,
}

/// When a score is said to have moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trend {
    /// Against the oldest score of so many days.
    pub days: u32,
    /// By so many points or more.
    pub points: u16,
}

impl Default for Scoring {
    fn default() -> Self {
        let rate = |rate_ppm, share_ppm| RatePoint { rate_ppm, share_ppm };
        let day = |days, points| DayPoint { days, points };
        let label = |from, name: &str| Label { from, name: name.to_owned() };
        Self {
            weights: Weights { completion_rate: 400, dispute_rate: 300, tenure: 150, operator_verified: 150 },
            completion_full_after: 10,
            refused_scope_check: 1,
            revoked_mission: 1,
            suspension_penalty: 0,
            dispute_full_after: 10,
            dispute_curve: vec![rate(0, 1_000_000), rate(20_000, 950_000), rate(80_000, 750_000)],
            tenure_curve: vec![day(0, 0), day(72, 60), day(180, 100), day(365, 150)],
            trusted_from: 400,
            assessments: vec![label(900, "Verified"), label(400, "Moderate"), label(0, "High Risk")],
            tiers: vec![label(900, "Verified"), label(700, "Trusted"), label(400, "Caution"), label(0, "High Risk")],
            trend: Trend { days: 30, points: 10 },
        }
    }
}

/// What counts for or against an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Transactions completed and not reversed.
    pub completed: u64,
    /// Transactions reversed.
    pub reversed: u64,
    /// Transactions that it was not allowed.
    pub failed: u64,
    /// Scope checks that it did not pass.
    pub refused_scope_checks: u64,
    /// Missions of its that were called off.
    pub revoked_missions: u64,
    /// How often it was suspended.
    pub suspensions: u64,
    /// Disputes that were not dismissed.
    pub disputes: u64,
}

impl Counts {
    /// Transactions that it carried out, taken back or not.
    #[must_use]
    pub const fn tasks(&self) -> u64 {
        self.completed + self.reversed
    }
}

/// All that a score depends on beside the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Basis {
    /// What counts for or against it.
    pub counts: Counts,
    /// Its age in whole days.
    pub tenure_days: u32,
    /// Whether its organisation is vouched for.
    pub operator_verified: bool,
}

/// What a score is the sum of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct Components {
    /// How many transactions were completed.
    pub completion_rate: u16,
    /// How many were disputed.
    pub dispute_rate: u16,
    /// How old the agent is.
    pub tenure: u16,
    /// Whether its organisation is vouched for.
    pub operator_verified: u16,
    /// What suspensions take off.
    pub penalty: u16,
}

impl Components {
    /// The score.
    #[must_use]
    pub const fn score(&self) -> u16 {
        (self.completion_rate + self.dispute_rate + self.tenure + self.operator_verified).saturating_sub(self.penalty)
    }
}

/// Days from one time to another, whole ones.
#[must_use]
pub fn days_between(from: Micros, to: Micros) -> u32 {
    const DAY_MICROS: i64 = 86_400 * 1_000_000;
    u32::try_from((to.0 - from.0).max(0) / DAY_MICROS).unwrap_or(u32::MAX)
}

impl Scoring {
    /// Scores an agent. Never fails: rules that could are refused when they are set.
    #[must_use]
    pub fn components(&self, basis: &Basis) -> Components {
        let Basis { counts, tenure_days, operator_verified } = basis;
        let suspended = self.suspension_penalty.saturating_mul(counts.suspensions).min(SCORE_MAX);
        Components {
            completion_rate: self.completion(counts),
            dispute_rate: self.disputes(counts),
            tenure: self.tenure(*tenure_days),
            operator_verified: if *operator_verified { self.weights.operator_verified } else { 0 },
            penalty: suspended as u16,
        }
    }

    /// How many facts there are about how things ended.
    #[must_use]
    pub fn ended(&self, counts: &Counts) -> u64 {
        let refused = counts.refused_scope_checks.saturating_mul(self.refused_scope_check);
        let called_off = counts.revoked_missions.saturating_mul(self.revoked_mission);
        counts.tasks().saturating_add(counts.failed).saturating_add(refused).saturating_add(called_off)
    }

    fn completion(&self, counts: &Counts) -> u16 {
        let ended = self.ended(counts);
        let missing = self.completion_full_after.saturating_sub(ended);
        // In halves, because what is missing counts half.
        rounded(
            u128::from(self.weights.completion_rate) * (2 * u128::from(counts.completed) + u128::from(missing)),
            2 * (u128::from(ended) + u128::from(missing)).max(1),
        )
    }

    fn disputes(&self, counts: &Counts) -> u16 {
        let [first, .., last] = &self.dispute_curve[..] else { return 0 };
        let of = i128::from(counts.tasks().max(self.dispute_full_after).max(1));
        // The rate is `at / of` millionths.
        let at = i128::from(counts.disputes) * i128::from(PARTS);
        let weight = i128::from(self.weights.dispute_rate);
        let pairs = self.dispute_curve.windows(2);
        let pair = pairs.clone().find(|pair| at <= i128::from(pair[1].rate_ppm) * of).or(pairs.last());
        let Some([from, to]) = pair else { return 0 };
        debug_assert!(first.rate_ppm == 0 && last.rate_ppm > 0);
        let run = i128::from(to.rate_ppm) - i128::from(from.rate_ppm);
        let rise = i128::from(to.share_ppm) - i128::from(from.share_ppm);
        let share = i128::from(from.share_ppm) * of * run + (at - i128::from(from.rate_ppm) * of) * rise;
        match (u128::try_from(weight * share), u128::try_from(i128::from(PARTS) * of * run)) {
            (Ok(above), Ok(below)) => rounded(above, below.max(1)).min(self.weights.dispute_rate),
            // The last line went below nothing.
            _ => 0,
        }
    }

    fn tenure(&self, days: u32) -> u16 {
        let pair = self.tenure_curve.windows(2).find(|pair| days <= pair[1].days);
        let Some([from, to]) = pair else { return self.tenure_curve.last().map_or(0, |point| point.points) };
        let (run, gone) = (u128::from(to.days - from.days), u128::from(days - from.days));
        rounded(u128::from(from.points) * (run - gone) + u128::from(to.points) * gone, run.max(1))
    }

    /// What a score is called.
    #[must_use]
    pub fn assessment(&self, score: u16) -> &str {
        label(&self.assessments, score)
    }

    /// What a score is called, more finely.
    #[must_use]
    pub fn tier(&self, score: u16) -> &str {
        label(&self.tiers, score)
    }

    /// Checks rules that somebody would set.
    ///
    /// # Errors
    /// The path of what is wrong, and why.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let Weights { completion_rate, dispute_rate, tenure, operator_verified } = self.weights;
        let sum: u64 = [completion_rate, dispute_rate, tenure, operator_verified].into_iter().map(u64::from).sum();
        if sum != SCORE_MAX {
            return Err(("weights", format!("must make {SCORE_MAX} together")));
        }
        for (path, count) in [
            ("completion_full_after", self.completion_full_after),
            ("dispute_full_after", self.dispute_full_after),
            ("refused_scope_check", self.refused_scope_check),
            ("revoked_mission", self.revoked_mission),
            ("suspension_penalty", self.suspension_penalty),
        ] {
            if count > COUNT_MAX {
                return Err((path, format!("must be 0 to {COUNT_MAX}")));
            }
        }
        let curve = |path: &'static str, points: Vec<(u32, u32)>, least: (u32, u32), ascending: bool| {
            let is_in_order = points.windows(2).all(|pair| {
                pair[0].0 < pair[1].0 && if ascending { pair[0].1 <= pair[1].1 } else { pair[0].1 >= pair[1].1 }
            });
            let is_bounded = (2..=POINTS_MAX).contains(&points.len())
                && points[0].0 == 0
                && points.iter().all(|point| point.0 <= least.0 && point.1 <= least.1);
            if is_in_order && is_bounded {
                return Ok(());
            }
            let way = if ascending { "fall" } else { "rise" };
            let why = format!(
                "must have 2 to {POINTS_MAX} points, begin at 0, go on to {} at most, and not {way} nor exceed {}",
                least.0, least.1
            );
            Err((path, why))
        };
        let rates = self.dispute_curve.iter().map(|point| (point.rate_ppm, point.share_ppm)).collect();
        curve("dispute_curve", rates, (PARTS as u32, PARTS as u32), false)?;
        let days = self.tenure_curve.iter().map(|point| (point.days, u32::from(point.points))).collect();
        curve("tenure_curve", days, (DAYS_MAX, u32::from(tenure)), true)?;
        if u64::from(self.trusted_from) > SCORE_MAX {
            return Err(("trusted_from", format!("must be 0 to {SCORE_MAX}")));
        }
        for (path, labels) in [("assessments", &self.assessments), ("tiers", &self.tiers)] {
            let falls = labels.windows(2).all(|pair| pair[0].from > pair[1].from);
            let named = labels.iter().all(|label| (1..=64).contains(&label.name.chars().count()));
            if !falls || !named || labels.len() > POINTS_MAX || labels.last().is_none_or(|last| last.from != 0) {
                let why =
                    format!("must have at most {POINTS_MAX}, from the greatest score down to 0, each with a name");
                return Err((path, why));
            }
        }
        if !(1..=365).contains(&self.trend.days) {
            return Err(("trend.days", "must be 1 to 365".to_owned()));
        }
        Ok(())
    }
}

fn label(labels: &[Label], score: u16) -> &str {
    labels.iter().find(|label| score >= label.from).map_or("", |label| label.name.as_str())
}

/// A fraction as the nearest integer, half up.
fn rounded(above: u128, below: u128) -> u16 {
    u16::try_from((2 * above + below) / (2 * below)).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn components(counts: Counts, tenure_days: u32) -> Components {
        UNSET.components(&Basis { counts, tenure_days, operator_verified: false })
    }

    /// The points that the vendor published (contracts/alsorn.md section 7.2).
    #[test]
    fn every_published_point_is_met() {
        assert_eq!(UNSET.check(), Ok(()));
        assert_eq!(components(Counts::default(), 0).score(), 500, "a fresh agent");
        for (completed, failed, wanted) in [(98, 2, 392), (99, 1, 396), (80, 20, 320)] {
            let counts = Counts { completed, failed, ..Counts::default() };
            assert_eq!(components(counts, 0).completion_rate, wanted, "{completed} of {}", completed + failed);
        }
        for (disputes, wanted) in [(0, 300), (2, 285), (8, 225), (20, 105), (31, 0), (100, 0)] {
            let counts = Counts { completed: 100, disputes, ..Counts::default() };
            assert_eq!(components(counts, 0).dispute_rate, wanted, "{disputes} of 100");
        }
        for (days, wanted) in [(0, 0), (72, 60), (73, 60), (180, 100), (365, 150), (366, 150), (u32::MAX, 150)] {
            assert_eq!(components(Counts::default(), days).tenure, wanted, "{days} days");
        }
        let vouched = Basis { operator_verified: true, ..Basis::default() };
        assert_eq!(UNSET.components(&vouched).operator_verified, 150);
    }

    #[test]
    fn few_transactions_count_as_half_of_what_is_missing() {
        for (completed, reversed, wanted) in [(1, 0, 220), (0, 1, 180), (5, 0, 300), (10, 0, 400), (9, 1, 360)] {
            let counts = Counts { completed, reversed, ..Counts::default() };
            assert_eq!(components(counts, 0).completion_rate, wanted, "{completed} and {reversed}");
        }
        // One of ten: beyond the second point, on the last line.
        assert_eq!(components(Counts { disputes: 1, ..Counts::default() }, 0).dispute_rate, 205);
    }

    #[test]
    fn scores_have_names() {
        for (score, assessment, tier) in [
            (1000, "Verified", "Verified"),
            (900, "Verified", "Verified"),
            (899, "Moderate", "Trusted"),
            (700, "Moderate", "Trusted"),
            (699, "Moderate", "Caution"),
            (400, "Moderate", "Caution"),
            (399, "High Risk", "High Risk"),
            (0, "High Risk", "High Risk"),
        ] {
            assert_eq!((UNSET.assessment(score), UNSET.tier(score)), (assessment, tier), "{score}");
        }
    }

    #[test]
    fn rules_that_make_no_score_are_refused_by_path() {
        let wrong = |change: fn(&mut Scoring)| {
            let mut scoring = Scoring::default();
            change(&mut scoring);
            scoring.check().map_err(|(path, _)| path)
        };
        assert_eq!(wrong(|it| it.weights.tenure = 151), Err("weights"));
        assert_eq!(wrong(|it| it.dispute_curve[0].rate_ppm = 1), Err("dispute_curve"));
        assert_eq!(wrong(|it| it.dispute_curve[1].share_ppm = 1_000_001), Err("dispute_curve"));
        assert_eq!(wrong(|it| it.dispute_curve.truncate(1)), Err("dispute_curve"));
        assert_eq!(wrong(|it| it.tenure_curve[1].days = 0), Err("tenure_curve"));
        assert_eq!(wrong(|it| it.tenure_curve[3].points = 151), Err("tenure_curve"));
        assert_eq!(wrong(|it| it.trusted_from = 1001), Err("trusted_from"));
        assert_eq!(wrong(|it| it.tiers.clear()), Err("tiers"));
        assert_eq!(wrong(|it| it.assessments[2].from = 1), Err("assessments"));
        assert_eq!(wrong(|it| it.trend.days = 0), Err("trend.days"));
        assert_eq!(wrong(|it| it.suspension_penalty = 1001), Err("suspension_penalty"));
        assert_eq!(wrong(|it| it.suspension_penalty = 100), Ok(()));
    }

    proptest! {
        #[test]
        fn a_score_is_the_sum_of_bounded_components(
            (completed, reversed, failed, disputes) in (0..1_u64 << 50, 0..1_u64 << 50, 0..1_u64 << 50, 0..1_u64 << 50),
            (refused, days, verified) in (0..1_u64 << 50, any::<u32>(), any::<bool>())
        ) {
            let counts = Counts { completed, reversed, failed, disputes, refused_scope_checks: refused, ..Counts::default() };
            let it = UNSET.components(&Basis { counts, tenure_days: days, operator_verified: verified });
            prop_assert!(it.completion_rate <= 400 && it.dispute_rate <= 300 && it.tenure <= 150, "{it:?}");
            prop_assert!(u64::from(it.score()) <= SCORE_MAX);
            let worse = UNSET.components(&Basis {
                counts: Counts { disputes: disputes + 1, failed: failed + 1, ..counts }, tenure_days: days, operator_verified: verified,
            });
            prop_assert!(worse.score() <= it.score(), "what counts against it never helps");
        }
    }
}
