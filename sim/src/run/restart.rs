//! Ends and beginnings: the power is cut, the process is killed or stopped in order, and the product starts anew on what
//! is left.

use chancery_ledger::actor::{Actor, Method};
use chancery_ledger::ids::{TenantId, TreeSize};
use chancery_projections::context::Caller;
use chancery_projections::identity::state::{CREDENTIAL_LIST, CREDENTIALS, LEDGER, TENANT_LIST};
use chancery_projections::rows::Order;
use chancery_projections::views::View;

use super::{Run, Turn};
use crate::disk::Fault;
use crate::node::Comeback;
use crate::note;

/// Starts that may go wrong in a row before nothing is planned to any more.
const BAD_STARTS_MAX: usize = 3;

impl Run<'_> {
    /// Power or process end, now or a moment ago, and the product starts anew.
    pub(super) fn crash(&mut self, power_cut: bool) -> Result<(), String> {
        let power_cut = power_cut || self.ground.disk.struck() == Some(Fault::PowerCut);
        if self.has_failed && !self.ground.disk.is_over() {
            self.reads_go_on()?;
        }
        note!(self.trace, "{}", if power_cut { "the power is cut" } else { "the process ends" });
        if power_cut {
            self.summary.power_cuts += 1
        } else {
            self.summary.kills += 1
        }
        self.restart(power_cut, true)
    }

    /// When writing has stopped, reads go on: every view that follows reaches what the log holds, which readers wait for.
    fn reads_go_on(&mut self) -> Result<(), String> {
        let size = self.node()?.log().size();
        for view in View::ALL {
            self.follow(view)?;
            let handle = self.node()?.views().get(view);
            let (is_following, cursor) = (handle.is_following(), handle.store.cursor());
            if is_following && cursor != size {
                return Err(format!("writing has stopped, and the {} view stays at {cursor} of {size}", view.name()));
            }
        }
        Ok(())
    }

    /// Lets everything that was let in come to its end, in order, and starts the product anew.
    pub(super) fn stop(&mut self) -> Result<(), String> {
        note!(self.trace, "stop");
        self.summary.stops += 1;
        self.node()?.stop();
        // Each round ends some command or brings the views on, so a few more rounds than there are commands are enough.
        let rounds = 8 + self.waiting.len() + self.decided.len();
        for _ in 0..rounds {
            while self.decide()? {}
            self.turn(Turn::Take)?;
            self.commit()?;
            self.answer()?;
            for view in View::ALL {
                self.follow(view)?;
            }
        }
        self.turn(Turn::SyncCheckpoint)?;
        if let Some(left) = self.waiting.front().map(|left| left.n).or(self.decided.front().map(|left| left.command.n))
        {
            return Err(format!("#{left} was let in, and the product stopped without an answer"));
        }
        self.check()?;
        self.restart(false, false)
    }

    fn restart(&mut self, power_cut: bool, is_crash: bool) -> Result<(), String> {
        let mut comebacks = Vec::new();
        if let (Some(node), true) = (&self.node, is_crash) {
            for (view, handle) in node.views().iter() {
                let read = handle.store.cursor().min(self.history.size());
                let how = match self.dice.below(10) {
                    0..6 => Comeback::Kept,
                    6..9 => Comeback::Earlier(TreeSize(self.dice.below(usize::try_from(read.0).unwrap_or(0)) as u64)),
                    _ => Comeback::Gone,
                };
                comebacks.push((view, how));
            }
        }
        self.node = None;
        self.waiting.clear();
        self.decided.clear();
        for (view, how) in comebacks {
            note!(self.trace, "the {} view comes back: {how:?}", view.name());
            self.ground.bring_back(view, how, &self.history)?;
        }
        self.restart_disk(power_cut);
        self.start()
    }

    fn restart_disk(&mut self, power_cut: bool) {
        let is_fault = matches!(self.ground.disk.struck(), Some(Fault::Write | Fault::Sync | Fault::Read));
        self.summary.disk_faults += u64::from(is_fault);
        self.ground.disk.restart(power_cut);
    }

    /// Starts the product, whatever may go wrong meanwhile, and checks what came back.
    pub(super) fn start(&mut self) -> Result<(), String> {
        for bad in 0.. {
            if bad < BAD_STARTS_MAX && self.dice.chance(150) {
                let (fault, after) = (*self.dice.pick(&Fault::ALL).unwrap_or(&Fault::Read), self.dice.below(40));
                note!(self.trace, "planned for the start: {} after {after} more", fault.name());
                self.ground.disk.plan(fault, after);
            }
            let dice = self.dice.fork("product");
            match self.ground.start(dice) {
                Ok(node) if !self.ground.disk.is_over() => {
                    self.node = Some(node);
                    break;
                }
                Ok(_) => {}
                Err(why) => {
                    note!(self.trace, "it does not start: {why}");
                    self.excused(&format!("it does not start: {why}"))?;
                }
            }
            let power_cut = self.ground.disk.struck() == Some(Fault::PowerCut) || self.dice.chance(300);
            if power_cut {
                self.summary.power_cuts += 1
            } else {
                self.summary.kills += 1
            }
            self.restart_disk(power_cut);
        }
        self.ground.disk.calm();
        self.has_failed = false;
        let before = std::mem::take(&mut self.history);
        self.read_on()?;
        let size = self.history.size();
        note!(self.trace, "it has started on {size} events");
        if !self.history.events().starts_with(before.events()) {
            return Err(format!("of {} durable events, not all are among the {size} there are", before.size()));
        }
        if before.size() == TreeSize(0) {
            self.enter()?;
        }
        self.check()
    }

    /// Tells everybody whom there is after the first start.
    fn enter(&mut self) -> Result<(), String> {
        let identity = self.history.view(View::Identity, self.history.size());
        let wrong = |error: chancery_projections::rows::RowsError| error.to_string();
        let root = LEDGER.get(&identity, ()).map_err(wrong)?.and_then(|ledger| ledger.root);
        let root = root.ok_or("there is no root tenant")?;
        let tenants = TENANT_LIST.page(&identity, (), Order::Ascending, 0, 16).map_err(wrong)?;
        let tenants: Vec<TenantId> = tenants.into_iter().map(|(_, tenant)| tenant).collect();
        let first = CREDENTIAL_LIST.get(&identity, root, 1).map_err(wrong)?.ok_or("there is no first key")?;
        let first = CREDENTIALS.get(&identity, first).map_err(wrong)?.ok_or("the first key is not there")?;
        let (principal, credential) = (first.principal, Some(first.credential));
        let actor = Actor { principal, method: Method::ApiKey, credential, acting_in: None };
        self.cast.enter(&tenants, Caller { tenant: root, actor });
        Ok(())
    }
}
