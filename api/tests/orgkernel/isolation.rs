//! Another tenant's things are as things that do not exist, at this mount too.

use serde_json::{Value, json};

use crate::kernel::{csr, entry, kernel, mint, text};
use crate::support::{Answer, Client, Home};

/// A client of another tenant's.
fn other(daemon: &Client) -> Client {
    let (_, admin) = daemon.new_tenant("other");
    let scopes: Vec<&str> = chancery_projections::scope::Scope::ORGKERNEL.iter().map(|scope| scope.text()).collect();
    admin.new_key(&scopes, &["orgkernel"]).1
}

/// The things of one tenant.
struct Things {
    agent: String,
    token: String,
    challenge: Value,
    chain: String,
    mission: String,
    org: String,
}

impl Things {
    fn of(kernel: &Client) -> Self {
        let agent = text(&kernel.issue("worker")["identity"]["agent_id"]);
        let asked = kernel.act(&format!("/identity/challenge/request?agent_id={agent}&issued_by=gateway")).ok();
        Self {
            token: text(&kernel.mint(&agent, "msn_first0")["token_id"]),
            chain: kernel.initialize(&agent, "msn_first0"),
            challenge: asked,
            mission: "msn_first0".to_owned(),
            org: "acme-corp".to_owned(),
            agent,
        }
    }

    /// Of the same form, and nobody's.
    fn nobodys() -> Self {
        Self {
            agent: "aid_01jcp0e84wfgx9y7jvdnz8z6gb".to_owned(),
            token: "tok_01jcp0e84wfgx9y7jvdnz8z6gb".to_owned(),
            challenge: json!({"challenge_id": "chal_01jcp0e84wfgx9y7jvdnz8z6gb", "nonce": "QEFCQ0RFRkdISUpL"}),
            chain: "ac_01jcp0e84wfgx9y7jvdnz8z6gb".to_owned(),
            mission: "msn_other0".to_owned(),
            org: "other-corp".to_owned(),
        }
    }

    /// Everything that can be asked about them, and what comes of it, with the ids taken out.
    fn asked_by(&self, client: &Client) -> Vec<(String, u16, String)> {
        let Self { agent, token, challenge, chain, mission, org } = self;
        let answer = json!({
            "challenge_id": challenge["challenge_id"], "nonce": challenge["nonce"], "agent_id": agent,
            "certificate_id": agent, "public_key": "Kay64UG8yvCyLhqU000LxzYeUm0L_hLIl5S8kyKWbdc",
            "signature": "A".repeat(86),
        });
        let mut shown = Vec::new();
        let mut say = |what: &str, answer: &Answer| {
            let mut said = answer.text.clone();
            for (name, id) in [("agent", agent), ("token", token), ("chain", chain), ("org", org), ("mission", mission)]
            {
                said = said.replace(id, name);
            }
            said = said.replace(challenge["challenge_id"].as_str().unwrap(), "challenge");
            // When it was looked up.
            if let Some((before, _)) = said.split_once("\"verified_at\"") {
                said = before.to_owned();
            }
            shown.push((what.to_owned(), answer.status, said));
        };
        for path in [
            format!("/identity/{agent}"),
            format!("/identity/{agent}/certificate"),
            format!("/identity/org/{org}"),
            format!("/identity/org/{org}/page"),
            format!("/token/{token}"),
            format!("/token/mission/{mission}"),
            format!("/token/mission/{mission}/active"),
            format!("/token/mission/{mission}/page"),
            format!("/token/agent/{agent}"),
            format!("/token/agent/{agent}/page"),
            format!("/audit/{chain}"),
            format!("/audit/{chain}/verify"),
            format!("/audit/mission/{mission}"),
            format!("/audit/agent/{agent}/page"),
        ] {
            say(&path.replace(agent, "a").replace(token, "t").replace(chain, "c"), &client.read(&path));
        }
        for path in [
            format!("/identity/{agent}/suspend"),
            format!("/identity/{agent}/reactivate"),
            format!("/identity/challenge/request?agent_id={agent}&issued_by=x"),
            format!("/token/{token}/use"),
            format!("/token/{token}/invalidate?reason=x"),
            format!("/audit/{chain}/close"),
        ] {
            say(&path.replace(agent, "a").replace(token, "t").replace(chain, "c"), &client.act(&path));
        }
        say("verify", &client.post("/identity/verify", &json!({"agent_id": agent})));
        say("revoke", &client.post(&format!("/identity/{agent}/revoke"), &json!({"revoked_by": "x", "reason": "x"})));
        say("answer", &client.post("/identity/challenge/verify", &answer));
        say("mint", &client.post("/token/mint", &mint(agent, "msn_fresh0")));
        say("check", &client.post("/token/scope/check", &json!({"token_id": token, "tool_name": "read"})));
        say("append", &client.post(&format!("/audit/{chain}/append"), &entry("msn_first0")));
        shown
    }
}

#[test]
fn another_tenants_things_are_as_things_that_do_not_exist() {
    let home = Home::new();
    let daemon = home.start();
    let (ours, theirs) = (kernel(&home, &daemon), other(&daemon));
    let things = Things::of(&ours);
    let watched = [
        format!("/identity/{}", things.agent),
        format!("/identity/org/{}", things.org),
        format!("/token/{}", things.token),
        format!("/audit/{}", things.chain),
    ];
    let look = || watched.iter().map(|path| ours.read(path).ok()).collect::<Vec<_>>();
    let before = look();

    let asked = things.asked_by(&theirs);
    let unknown = Things::nobodys().asked_by(&theirs);
    for (real, invented) in asked.iter().zip(&unknown) {
        assert_eq!((real.1, &real.2), (invented.1, &invented.2), "{}", real.0);
    }
    assert_eq!(look(), before, "nothing of ours was touched");
    // The challenge was not used up by the stranger: ours is answered, wrongly, and only then gone.
    let answers: Vec<_> = things.asked_by(&ours).into_iter().filter(|(what, ..)| what == "answer").collect();
    assert!(answers[0].2.contains("signature does not verify"), "{}", answers[0].2);
}

#[test]
fn names_missions_and_cas_are_a_tenants_own() {
    let home = Home::new();
    let daemon = home.start();
    let (ours, theirs) = (kernel(&home, &daemon), other(&daemon));
    let things = Things::of(&ours);

    assert_ne!(ours.read("/ca").ok(), theirs.read("/ca").ok());
    // The same names again, for other things.
    let agent = text(&theirs.issue("worker")["identity"]["agent_id"]);
    theirs.mint(&agent, &things.mission);
    let chain = theirs.initialize(&agent, &things.mission);
    assert_ne!(chain, things.chain);
    assert_eq!(theirs.read("/audit/mission/msn_first0").ok()["chain_id"], chain);
    assert_eq!(ours.read("/audit/mission/msn_first0").ok()["chain_id"], things.chain);
    assert_eq!(ours.read("/identity/org/acme-corp").ok().as_array().unwrap().len(), 1);
    assert_eq!(theirs.read("/token/mission/msn_first0").ok().as_array().unwrap().len(), 1);
    // Chains go by the caller's words for the agent, within the tenant.
    assert_eq!(theirs.read(&format!("/audit/agent/{}/page", things.agent)).ok()["total"], 0);
    assert_eq!(
        ours.post("/identity/csr/submit", &csr("worker")).detail(409),
        theirs.post("/identity/csr/submit", &csr("worker")).detail(409)
    );
}
