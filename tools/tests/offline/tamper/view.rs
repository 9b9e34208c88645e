//! Attacks on views: what the daemon answers from, and does not need to believe.

use std::path::Path;

use chancery_ledger::ids::{AgentId, TreeSize};
use chancery_projections::engine::{Engine, EngineConfig};
use chancery_projections::identity::state::{AGENTS, AgentStatus};
use chancery_projections::rows::batch::Batch;
use chancery_projections::rows::store::ViewStore;
use chancery_projections::views::View;

attacks! { "view":
    /// A row of a view is changed behind the daemon's back: a suspended agent works again, by no event.
    [Rebuild: "another digest"]
    fn a_row_of_a_view_is_changed(world) {
        let data = world.copy("row");
        let agent: AgentId = world.agent.parse().unwrap();
        {
            let store = ViewStore::open(&Path::new(&data).join("views").join(View::Identity.name())).unwrap();
            let mut row = AGENTS.get(&store.snapshot(), agent).unwrap().unwrap();
            row.status = if row.status == AgentStatus::Active { AgentStatus::Suspended } else { AgentStatus::Active };
            let mut batch = Batch::new(&store);
            batch.begin(chancery_ledger::ids::Seq(world.size() - 1));
            AGENTS.put(&mut batch, agent, &row).unwrap();
            store.apply(batch, TreeSize(world.size())).unwrap();
        }
        let (engine, _) = Engine::open(EngineConfig::new(&data)).unwrap();
        let rebuilt = engine.rebuild(View::Identity).unwrap();
        engine.stop();
        let said = if rebuilt.before == rebuilt.after { "the same digest" } else { "another digest" };
        vec![Seen(By::Rebuild, said.to_owned())]
    }
}
