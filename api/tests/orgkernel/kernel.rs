//! Talking to the mount.

use serde_json::{Value, json};

use crate::support::{Answer, Client, Home};

/// Far away.
pub const LATER: &str = "2099-01-02T03:04:05Z";

/// A client with the bearer key that a first start makes for the mount.
pub fn kernel(home: &Home, daemon: &Client) -> Client {
    let first: Value = serde_json::from_slice(&std::fs::read(home.path("bootstrap.json")).unwrap()).unwrap();
    daemon.with_key(first["orgkernel"]["token"].as_str().unwrap())
}

impl Client {
    pub fn post(&self, path: &str, body: &Value) -> Answer {
        let headers = [("content-type", "application/json")];
        self.send("POST", &format!("/orgkernel{path}"), &headers, body.to_string().as_bytes())
    }

    pub fn act(&self, path: &str) -> Answer {
        self.send("POST", &format!("/orgkernel{path}"), &[], b"")
    }

    pub fn read(&self, path: &str) -> Answer {
        self.get(&format!("/orgkernel{path}"))
    }

    pub fn issue(&self, name: &str) -> Value {
        self.post("/identity/issue", &csr(name)).ok()
    }

    pub fn mint(&self, agent_id: &str, mission_id: &str) -> Value {
        self.post("/token/mint", &mint(agent_id, mission_id)).ok()
    }

    pub fn initialize(&self, agent_id: &str, mission_id: &str) -> String {
        let answer = self.post("/audit/initialize", &json!({"agent_id": agent_id, "mission_id": mission_id})).ok();
        text(&answer["chain_id"])
    }
}

pub fn csr(name: &str) -> Value {
    json!({
        "agent_name": name, "org_id": "acme-corp", "requested_ou": "finance_team", "purpose": "tests",
        "public_key": "Kay64UG8yvCyLhqU000LxzYeUm0L_hLIl5S8kyKWbdc",
    })
}

pub fn mint(agent_id: &str, mission_id: &str) -> Value {
    json!({"agent_id": agent_id, "mission_id": mission_id, "execution_scope": ["read", "write"], "expires_at": LATER})
}

pub fn entry(mission_id: &str) -> Value {
    json!({
        "layer": "EXECUTION", "event": "EXECUTION_tool_call", "agent_id": "aid_000000000000", "mission_id": mission_id,
    })
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

impl Answer {
    /// Makes sure that it is a refusal in the vendor's shape; gives what it says.
    #[track_caller]
    pub fn detail(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.header("content-type"), Some("application/json"));
        let body = self.json();
        assert_eq!(body.as_object().unwrap().len(), 1, "{}", self.text);
        let detail = body["detail"].clone();
        if status == 422 {
            for fault in detail.as_array().unwrap() {
                assert!(fault["type"].is_string() && fault["msg"].is_string(), "{}", self.text);
                assert!(["body", "query", "path"].contains(&fault["loc"][0].as_str().unwrap()), "{}", self.text);
            }
        } else {
            assert!(!detail.as_str().unwrap().is_empty());
        }
        for inner in ["src/", "fjall", "sled", "panicked", "Error {", "/tmp"] {
            assert!(!self.text.contains(inner), "{}", self.text);
        }
        detail
    }
}
