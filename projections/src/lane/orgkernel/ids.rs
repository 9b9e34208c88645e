//! How OrgKernel spells ids: they stand in its preimages, so they belong to its format.

use chancery_ledger::body::execution::ExternalKey;
use chancery_ledger::ids::{
    AgentId, AuditChainId, AuditEntryId, ChallengeId, MissionId, ThingId, TokenId, parse_typeid, render_typeid,
};

use crate::execution::state::Mission;

/// The namespace of names that OrgKernel's callers give to missions.
pub const NAMESPACE: &str = "orgkernel";

macro_rules! spellings {
    ($($render:ident, $parse:ident: $id:ident = $prefix:literal;)*) => {$(
        #[doc = concat!("Renders `", $prefix, "_` and 26 characters.")]
        #[must_use]
        pub fn $render(id: $id) -> String {
            render_typeid($prefix, id.uuid())
        }

        #[doc = concat!("Reads what [`", stringify!($render), "`] writes; `None` for anything else.")]
        #[must_use]
        pub fn $parse(text: &str) -> Option<$id> {
            parse_typeid($prefix, text).ok().map($id::from_uuid)
        }
    )*};
}

spellings! {
    render_agent, parse_agent: AgentId = "aid";
    render_token, parse_token: TokenId = "tok";
    render_challenge, parse_challenge: ChallengeId = "chal";
    render_chain, parse_chain: AuditChainId = "ac";
    render_entry, parse_entry: AuditEntryId = "aue";
    render_mission, parse_mission: MissionId = "msn";
}

/// A mission as OrgKernel's callers know it: by the name they gave, else by id.
#[must_use]
pub fn mission_text(mission: &Mission) -> String {
    render_mission_key(mission.mission, mission.key.as_ref())
}

/// The same, of a mission known by its id and name.
#[must_use]
pub fn render_mission_key(mission: MissionId, key: Option<&ExternalKey>) -> String {
    match key {
        Some(key) if key.namespace == NAMESPACE => key.text.clone(),
        _ => render_mission(mission),
    }
}
