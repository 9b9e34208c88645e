//! Transactions: each is decided against its agent's actions and limit, counts for the agent's score, and has an entry in
//! the agent's chain.

use anyhow::Context as _;
use serde_json::{Value, json};

use super::daemon::Target;
use super::work::{Scene, Turns};

/// Registers agents that may pay as often as they like, and gives their payments, the agents in turn.
///
/// # Errors
/// When the daemon refuses: because of the key, for example.
pub fn transactions(target: &Target, scene: &Scene, agents: usize) -> anyhow::Result<Turns> {
    let mut payments = Vec::with_capacity(agents);
    for n in 0..agents {
        let limit = json!({ "amount": "1000", "currency": "USD" });
        let agent = json!({ "name": format!("bench payer {n}"), "actions": ["read_data"], "limit": limit });
        let registered = target.command("RegisterAgent", &agent)?;
        let id = registered.get("agent").and_then(|it| it.get("id")).and_then(Value::as_str);
        let id = id.context("the daemon's answer names no agent")?;
        let payment = json!({
            "command": "ExecuteTransaction",
            "params": {
                "agent": id,
                "counterparty": { "external": "shop" },
                "amount": "12.50",
                "currency": "USD",
                "action": "read_data",
            },
        });
        payments.push(payment.to_string());
    }
    Ok(scene.turns(&payments))
}
