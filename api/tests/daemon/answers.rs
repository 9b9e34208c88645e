//! What all answers have in common.

use crate::support::Home;

#[test]
fn every_answer_names_its_request() {
    let home = Home::new();
    let daemon = home.start();
    let made = daemon.get("/livez");
    assert_eq!(made.header("x-request-id").unwrap().len(), 36);
    let given = daemon.send("GET", "/v1/nothing", &[("x-request-id", "job-7")], b"");
    assert_eq!(given.problem(404, "no_route")["request_id"], "job-7");
    let refused = daemon.send("GET", "/livez", &[("x-request-id", "a b")], b"");
    assert_ne!(refused.header("x-request-id"), Some("a b"));

    // A UUID goes into the events as their correlation.
    let id = "01932c07-209c-7c3a-9f1e-5b6d7e8f9a0b";
    let body = r#"{"command":"RegisterAgent","params":{"name":"ada"}}"#;
    let answer = daemon.send("POST", "/v1/commands", &[("x-request-id", id)], body.as_bytes()).ok();
    let event = daemon.get(&format!("/v1/events/{}", answer["receipt"]["events"][0]["seq"])).ok();
    assert_eq!(event["correlation"], id);
}

#[test]
fn a_path_without_that_method_says_which_it_takes() {
    let home = Home::new();
    let daemon = home.start();
    let answer = daemon.send("DELETE", "/v1/commands", &[], b"");
    answer.problem(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("POST"));
    let answer = daemon.send("POST", "/v1/views", &[], b"{}");
    answer.problem(405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("GET, HEAD"));
    let (get, head) = (daemon.get("/v1/views"), daemon.send("HEAD", "/v1/views", &[], b""));
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    assert_eq!(head.header("content-length"), get.header("content-length"));
}

#[test]
fn metrics_tell_of_requests_commands_and_views() {
    let home = Home::new();
    let daemon = home.start();
    daemon.register("ada");
    daemon.get("/v1/nothing");
    // A read waits until its view is where the log is.
    daemon.get("/v1/identity/agents");
    let text = daemon.get("/metrics").text;
    for line in [
        "chancery_http_requests_total{method=\"POST\",route=\"/v1/commands\",status=\"200\"} 1",
        "chancery_http_requests_total{method=\"GET\",route=\"none\",status=\"404\"} 1",
        "chancery_commands_total{command=\"RegisterAgent\"} 1",
        "chancery_view_lag_events{view=\"identity\"} 0",
        "chancery_writes_stopped 0",
        "chancery_queue_depth 0",
        // The first is the daemon's own, which provides the key that signs tokens.
        "chancery_command_stage_seconds_count{stage=\"sync\"} 2",
        "chancery_command_stage_seconds_bucket{le=\"+Inf\",stage=\"queue\"} 2",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(text.contains("chancery_http_request_duration_seconds_bucket{"));
    assert!(text.contains("chancery_view_visible_seconds_count{view=\"journal\"}"));
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn where_requests_come_from_is_kept_only_when_asked() {
    let origin = |flags: &[&str]| {
        let home = Home::with(flags);
        let daemon = home.start();
        let body = r#"{"command":"RegisterAgent","params":{"name":"ada"}}"#;
        let answer = daemon.send("POST", "/v1/commands", &[("user-agent", "robot/1")], body.as_bytes()).ok();
        daemon.get(&format!("/v1/events/{}", answer["receipt"]["events"][0]["seq"])).ok()["origin"].clone()
    };
    assert!(origin(&[]).is_null());
    let kept = origin(&["--record-origin"]);
    assert_eq!((kept["ip"].as_str(), kept["user_agent"].as_str()), (Some("127.0.0.1"), Some("robot/1")));
}
