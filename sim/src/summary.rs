//! What runs did, in numbers.

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Steps taken.
    pub steps: u64,
    /// Commands handed in.
    pub commands: u64,
    /// Of these, answered.
    pub answered: u64,
    /// Answers that refused.
    pub refused: u64,
    /// Answers given again under an idempotency key.
    pub replayed: u64,
    /// Events in the log at the end.
    pub events: u64,
    /// Commits made durable.
    pub commits: u64,
    /// Times the power was cut.
    pub power_cuts: u64,
    /// Times the process was killed, or ended after a failure.
    pub kills: u64,
    /// Orderly stops.
    pub stops: u64,
    /// Writes, syncs and reads that failed.
    pub disk_faults: u64,
    /// Views compared with what the log says.
    pub views_compared: u64,
    /// Views rebuilt by their workers.
    pub views_rebuilt: u64,
    /// Times the whole log was verified.
    pub verified: u64,
}

impl Summary {
    /// Adds another run's.
    pub fn add(&mut self, other: &Self) {
        let Self {
            steps,
            commands,
            answered,
            refused,
            replayed,
            events,
            commits,
            power_cuts,
            kills,
            stops,
            disk_faults,
            views_compared,
            views_rebuilt,
            verified,
        } = other;
        self.steps += steps;
        self.commands += commands;
        self.answered += answered;
        self.refused += refused;
        self.replayed += replayed;
        self.events += events;
        self.commits += commits;
        self.power_cuts += power_cuts;
        self.kills += kills;
        self.stops += stops;
        self.disk_faults += disk_faults;
        self.views_compared += views_compared;
        self.views_rebuilt += views_rebuilt;
        self.verified += verified;
    }
}
