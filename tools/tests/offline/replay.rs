//! `chancery replay`: things at any moment, what happened to them, and what changed.

use chancery_ledger::time::Micros;
use serde_json::Value;

use crate::world::{START, World, chancery};

fn at(seconds: i64) -> String {
    Micros(START + 1_000_000 * seconds).to_string()
}

#[test]
fn a_thing_is_shown_as_it_was() {
    let world = World::new();
    let (data, export) = (world.data(), world.export());
    let now = chancery(&["replay", "--data-dir", &data, "agent", &world.agent]).is(0).json();
    assert_eq!((&now["name"], &now["status"]), (&"ada".into(), &"active".into()));
    assert_eq!(now["profile"]["email"], "ada@example.org");
    let suspended = world.suspended.to_string();
    let then = chancery(&["replay", "--data-dir", &data, "agent", &world.agent, "--at", &suspended]).is(0).json();
    assert_eq!((&then["status"], &then["version"]), (&"suspended".into(), &world.suspended.into()));

    // From an export the same, but for what only the keys open.
    let without_keys = chancery(&["replay", "--export", &export, "agent", &world.agent, "--at", &suspended]).is(0);
    assert!(without_keys.err.contains("every encrypted field shows as null"), "{}", without_keys.err);
    let mut expected = then.clone();
    expected["profile"] = Value::Null;
    assert_eq!(without_keys.json(), expected);
    let keystore = format!("{data}/keystore");
    let arguments = ["replay", "--export", &export, "--keystore", &keystore, "agent", &world.agent, "--at", &suspended];
    assert_eq!(chancery(&arguments).is(0).json(), then);

    for (thing, member, value) in [
        (format!("tenant:{}", world.tenant), "slug", "root"),
        (format!("token:{}", world.token), "agent", &*world.agent),
        (format!("mission:{}", world.mission), "state", "open"),
        (format!("audit_chain:{}", world.chain), "mission", &*world.mission),
    ] {
        let shown = chancery(&["replay", "--data-dir", &data, "thing", &thing]).is(0).json();
        assert_eq!(shown[member], value, "{thing}");
    }
    let mission = chancery(&["replay", "--data-dir", &data, "mission", &world.mission]).is(0).json();
    assert_eq!(mission["key"]["text"], "invoices");
}

/// The moment of a sequence number has that event's time; the moment of a time has that time, also when nothing
/// happened just then.
#[test]
fn a_time_is_a_moment_too_and_what_lapsed_by_then_has_lapsed() {
    let world = World::new();
    let data = world.data();
    let is_live = |when: &str| {
        let shown = chancery(&["replay", "--data-dir", &data, "token", &world.token, "--at", when]).is(0);
        (shown.json()["live"].as_bool().unwrap(), shown.err)
    };
    let event = chancery(&["inspect", "--data-dir", &data, "events", &world.suspended.to_string()]).is(0).json();
    let time = event["time"].as_str().unwrap();
    let agent = |when: &str| {
        chancery(&["replay", "--data-dir", &data, "agent", &world.agent, "--at", when]).is(0).json()["status"].clone()
    };
    assert_eq!(agent(time), "suspended");
    assert_eq!(agent(&time.replace(".000000Z", ".999999Z")), "suspended");
    assert_eq!(agent(&at(3600)), "active");

    let (live, said) = is_live(&at(60 * 20));
    assert!(live && said.contains("the log ends at "), "{said}");
    assert!(!is_live(&at(60 * 40)).0, "its expiry is in between");
    assert_eq!(is_live(&(world.size() - 1).to_string()), (true, String::new()));
}

#[test]
fn a_moment_that_the_log_does_not_have_is_a_clear_error() {
    let world = World::new();
    let ask =
        |when: &str| chancery(&["replay", "--data-dir", &world.data(), "agent", &world.agent, "--at", when]).is(2);
    let size = world.size();
    ask(&size.to_string()).complains(&format!("there is no event {size}: the log has {size} events"));
    ask(&u64::MAX.to_string()).complains("there is no event");
    ask(&at(-1)).complains("the log had no event yet at 2026-01-02T03:04:04.000000Z");
    ask("9998-01-01T00:00:00Z").complains("has not come yet");
    let wrong = ask("yesterday");
    assert!(wrong.err.contains("neither a sequence number nor a time"), "{}", wrong.err);
    let (from, to) = (world.resumed.to_string(), world.suspended.to_string());
    let turned = ["replay", "--data-dir", &world.data(), "diff", "--from", &from, "--to", &to];
    chancery(&turned).is(2).complains("lies after --to");
}

#[test]
fn a_thing_that_is_not_there_is_bad_news_in_a_sentence() {
    let world = World::new();
    let data = world.data();
    let unknown = "019b7ca9-9070-7abc-a022-000000000000";
    let said = format!("there was no agent {unknown} right after event {}", world.size() - 1);
    chancery(&["replay", "--data-dir", &data, "agent", unknown]).is(1).complains(&said);
    let before = (world.registered - 1).to_string();
    chancery(&["replay", "--data-dir", &data, "agent", &world.agent, "--at", &before])
        .is(1)
        .complains("there was no agent");
    let timeline = ["replay", "--data-dir", &data, "timeline", &format!("agent:{unknown}")];
    chancery(&timeline).is(1).complains("no event from 0 on is about agent");
    let diff = ["replay", "--data-dir", &data, "diff", "--from", "0", &format!("agent:{unknown}")];
    chancery(&diff).is(1).complains("there was no agent");

    chancery(&["replay", "--data-dir", &data, "agent", "ada"])
        .is(2)
        .complains("is not the id of a thing of kind `agent`");
    chancery(&["replay", "--data-dir", &data, "thing", "robot:1"]).is(2).complains("no kind of thing called `robot`");
    chancery(&["replay", "--data-dir", &data, "thing", "robot"]).is(2).complains("not a kind, a colon and an id");
    let key = format!("key:{unknown}");
    chancery(&["replay", "--data-dir", &data, "thing", &key]).is(2).complains("replay timeline");
}

#[test]
fn a_timeline_tells_every_event_about_a_thing_in_order() {
    let world = World::new();
    let data = world.data();
    let thing = format!("agent:{}", world.agent);
    let events = chancery(&["replay", "--data-dir", &data, "timeline", &thing]).is(0).lines();
    let kinds: Vec<_> = events.iter().map(|event| event["kind"].as_str().unwrap()).collect();
    let expected =
        ["AgentRegistered", "AgentKeyAdded", "CertificateIssued", "TokenIssued", "AgentSuspended", "AgentResumed"];
    assert_eq!(kinds, expected);
    let all = chancery(&["inspect", "--data-dir", &data, "events", "0", &(world.size() - 1).to_string()]).is(0).lines();
    let about = all.into_iter().filter(|event| {
        event["subjects"].as_array().unwrap().iter().any(|subject| subject["id"] == world.agent.as_str())
    });
    assert_eq!(events, about.collect::<Vec<_>>());

    let from = world.suspended.to_string();
    let late = chancery(&["replay", "--data-dir", &data, "timeline", &thing, "--from", &from, "--limit", "1"]).is(0);
    assert_eq!(late.lines(), events[4..5]);
    let beyond = world.size().to_string();
    chancery(&["replay", "--data-dir", &data, "timeline", &thing, "--from", &beyond]).is(1).complains("no event from");
}

#[test]
fn a_difference_names_fields_and_events() {
    let world = World::new();
    let data = world.data();
    let (before, after) = ((world.suspended - 1).to_string(), world.suspended.to_string());
    let changes = chancery(&["replay", "--data-dir", &data, "diff", "--from", &before, "--to", &after]).is(0).lines();
    assert_eq!(changes.len(), 1, "{changes:?}");
    let change = &changes[0];
    assert_eq!((&change["subject"]["kind"], &change["subject"]["id"]), (&"agent".into(), &world.agent.clone().into()));
    assert_eq!(change["fields"], serde_json::json!(["status", "trust", "unusable_because", "updated", "usable"]));
    assert_eq!(change["events"], serde_json::json!([world.suspended]));
    assert_eq!((&change["before"]["status"], &change["after"]["status"]), (&"active".into(), &"suspended".into()));

    // All of it: everything that is, from nothing, each in its order.
    let changes = chancery(&["replay", "--data-dir", &data, "diff", "--from", "0"]).is(0).lines();
    let subjects: Vec<_> = changes.iter().map(|it| it["subject"]["id"].as_str().unwrap()).collect();
    for id in [&world.tenant, &world.agent, &world.token, &world.mission, &world.chain] {
        assert_eq!(subjects.iter().filter(|it| *it == id).count(), 1, "{id}");
    }
    for change in &changes {
        assert!(change["before"].is_null() && change["after"].is_object());
        let events: Vec<_> = change["events"].as_array().unwrap().iter().map(|it| it.as_u64().unwrap()).collect();
        assert!(events.is_sorted() && !events.is_empty());
    }
    // Of one thing alone, the same.
    let thing = format!("mission:{}", world.mission);
    let alone = chancery(&["replay", "--data-dir", &data, "diff", "--from", "0", &thing]).is(0).lines();
    let among = changes.iter().filter(|it| it["subject"]["id"] == world.mission.as_str());
    assert_eq!(alone.iter().collect::<Vec<_>>(), among.collect::<Vec<_>>());
    // Nothing happened to it after its end.
    let after = world.rotated.to_string();
    assert_eq!(chancery(&["replay", "--data-dir", &data, "diff", "--from", &after, &thing]).is(0).out, "");
}

#[test]
fn a_view_lists_its_things_as_they_were() {
    let world = World::new();
    let data = world.data();
    let list = |view: &str, at: u64| {
        let lines = chancery(&["replay", "--data-dir", &data, "view", view, "--at", &at.to_string()]).is(0).lines();
        lines.into_iter().map(|it| (it["subject"]["kind"].as_str().unwrap().to_owned(), it)).collect::<Vec<_>>()
    };
    let count = |of: &[(String, Value)], kind: &str| of.iter().filter(|(it, _)| it == kind).count();
    let (before, end) = (list("identity", world.registered - 1), list("identity", world.size() - 1));
    // The administrator is there from the first start on.
    assert_eq!((count(&before, "agent"), count(&end, "agent"), count(&end, "tenant")), (1, 3, 2));
    let ada = end.iter().find(|(_, it)| it["subject"]["id"] == world.agent.as_str()).unwrap();
    assert_eq!(ada.1["state"], chancery(&["replay", "--data-dir", &data, "agent", &world.agent]).is(0).json());
    assert_eq!(count(&list("token", world.size() - 1), "token"), 1);
    let deeds = list("execution", world.size() - 1);
    assert_eq!((count(&deeds, "mission"), count(&deeds, "audit_chain")), (1, 1));
}

#[test]
fn digests_are_those_of_the_daemon_that_made_the_log() {
    let world = World::new();
    let digests = |log: &str, path: &str| {
        let ran = chancery(&["replay", log, path, "digests"]).is(0);
        assert_eq!(ran.err, "", "no key is needed for them");
        let lines = ran.lines();
        assert!(lines.iter().all(|it| it["size"] == world.size()));
        let pair = |it: Value| (it["view"].as_str().unwrap().to_owned(), it["digest"].as_str().unwrap().to_owned());
        lines.into_iter().map(pair).collect::<Vec<_>>()
    };
    assert_eq!(digests("--data-dir", &world.data()), world.digests);
    assert_eq!(digests("--export", &world.export()), world.digests);
}

/// What lists of everything at two moments differ in is what the difference names, whichever the moments are.
#[test]
fn a_difference_is_that_of_everything_at_either_moment() {
    let world = World::new();
    let data = world.data();
    let everything = |at: u64| {
        let mut found = std::collections::BTreeMap::new();
        for view in ["identity", "token", "trust", "execution"] {
            let lines = chancery(&["replay", "--data-dir", &data, "view", view, "--at", &at.to_string()]).is(0).lines();
            for mut line in lines {
                line["state"].as_object_mut().unwrap().remove("version");
                found.insert(line["subject"].to_string(), line["state"].clone());
            }
        }
        found
    };
    for (from, to) in [(0, world.registered), (world.registered, world.suspended), (world.suspended, world.size() - 1)]
    {
        let (before, after) = (everything(from), everything(to));
        let mut wanted: Vec<&String> = before.keys().chain(after.keys()).collect();
        wanted.sort_unstable();
        wanted.dedup();
        // What no event is about is not named: how many agents an organisation has, for example.
        let (first, last) = ((from + 1).to_string(), to.to_string());
        let events = chancery(&["inspect", "--data-dir", &data, "events", &first, &last]).is(0).lines();
        let about: std::collections::BTreeSet<String> =
            events.iter().flat_map(|event| event["subjects"].as_array().unwrap()).map(Value::to_string).collect();
        wanted.retain(|thing| before.get(*thing) != after.get(*thing) && about.contains(*thing));
        let (from, to) = (from.to_string(), to.to_string());
        let changes = chancery(&["replay", "--data-dir", &data, "diff", "--from", &from, "--to", &to]).is(0).lines();
        let of_trust_alone = |change: &&Value| change["fields"] == serde_json::json!(["trust"]);
        let mut named: Vec<String> = changes
            .iter()
            .filter(|change| !of_trust_alone(change))
            .map(|change| change["subject"].to_string())
            .collect();
        named.sort_unstable();
        assert_eq!(named.iter().collect::<Vec<_>>(), wanted, "from {from} to {to}");
    }
}
