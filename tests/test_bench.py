"""`chancery bench` from outside: what it reports and how it refuses. How fast anything was is never judged here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from daemon import Daemon, binary, chancery
from native import submit

LOADS = ("--secs", "0.1", "--chains", "3", "--connections", "1,4", "--batches", "1x1,7x2")


def bench(*arguments: str) -> dict:
    run = chancery("bench", "--json", *LOADS, *arguments)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def check_loads(report: dict) -> None:
    assert report["version"] == 1
    machine = report["machine"]
    assert machine["cores"] >= 1 and machine["memory_bytes"] > 0 and machine["kernel"] and machine["file_system"]
    assert all(report["units"][unit] > 0 for unit in ("flush_micros", "flush_p99_micros", "signature_micros"))
    shapes = [(load["name"], load["connections"], load["lines"]) for load in report["loads"]]
    assert shapes[:4] == [("single", 1, 1), ("single", 4, 1), ("batch", 1, 1), ("batch", 2, 7)]
    assert [name for name, *_ in shapes[4:]] == ["paced"]
    for load in report["loads"]:
        assert load["refused"] == 0
        assert load["commands"] > 0 and load["commands"] % load["lines"] == 0
        assert load["per_sec"] == pytest.approx(load["commands"] / load["secs"])
        latency = load["latency_micros"]
        assert 0 < latency["p50"] <= latency["p99"] <= latency["p999"] <= latency["max"]
        assert load["client_micros"] > 0
        stages = [name for name, _ in load["inside"]["stages"]]
        assert stages[:3] == ["queue", "decide", "gather"] and {"link", "seal", "sync", "answer"} <= set(stages)
        # Each command counts each stage once; the last group's answers may still be counted.
        counts = {name: spent["count"] for name, spent in load["inside"]["stages"]}
        assert counts["queue"] == counts["decide"] == counts["sync"] == load["commands"]
        assert set(load["inside"]["visible"]) <= {"identity", "token", "trust", "execution", "journal"}
    of_others = {"introspections_to_empty_answers", "tokens_issued_to_commands", "transactions_to_commands"}
    assert all(ratio > 0 for name, ratio in report["ratios"].items() if name not in of_others)


def test_a_daemon_of_its_own_is_started_measured_and_cleared_away(tmp_path: Path) -> None:
    report = bench("--chanceryd", binary("CHANCERYD", "chanceryd"), "--dir", str(tmp_path), "--fill", "150")
    assert list(tmp_path.iterdir()) == []
    check_loads(report)
    growth = report["growth"]
    assert (growth["commands"], growth["each"], growth["last_to_first"]) == (150, [], None)
    assert report["memory"]["peak_bytes"] >= report["memory"]["resident_bytes"] > 0
    assert report["restart"]["start_secs"] > 0 and report["restart"]["memory"]["resident_bytes"] > 0
    offline = report["offline"]
    # What was filled in, what the loads sent, and what had to be there first.
    assert offline["events"] > 150 + sum(load["commands"] for load in report["loads"])
    assert 0 < offline["seals"] <= offline["events"]
    assert offline["log_to_own"] == pytest.approx(offline["log_bytes"] / offline["own_bytes"])
    assert set(offline["rebuild_per_sec"]) == set(offline["view_bytes"])
    for figure in ("verify_data_dir_per_sec", "verify_export_per_sec", "decode_per_sec"):
        assert offline[figure] > 0


def test_a_running_daemon_is_measured_and_keeps_what_was_sent(tmp_path: Path, daemon: Daemon) -> None:
    with daemon.admin() as admin:
        before = submit(admin, "OpenMission", {})["receipt"]["events"][0]["seq"]
        report = bench(
            "--url", daemon.url, "--key-file", str(daemon.bootstrap_file), "--dir", str(daemon.home), "--mix", "--pace", "50"
        )
        after = submit(admin, "OpenMission", {})["receipt"]["events"][0]["seq"]
    check_loads(report)
    assert report["event"] == "mix" and report["offline"] is None and report["restart"] is None
    assert after - before >= sum(load["commands"] for load in report["loads"])
    assert report["loads"][-1]["pace_per_sec"] == 50


def test_tokens_are_measured_beside_the_emptiest_answer_and_a_plain_command() -> None:
    report = bench("--only", "single,tokens", "--chanceryd", binary("CHANCERYD", "chanceryd"))
    shapes = [(load["name"], load["connections"]) for load in report["loads"]]
    beside = [(name, connections) for connections in (1, 4) for name in ("empty", "introspect", "issue")]
    assert shapes == [("single", 1), ("single", 4), *beside]
    assert all(load["refused"] == 0 and load["commands"] > 0 for load in report["loads"])
    of = {(load["name"], load["connections"]): load["per_sec"] for load in report["loads"]}
    ratios = report["ratios"]
    assert ratios["introspections_to_empty_answers"] == pytest.approx(of["introspect", 4] / of["empty", 4])
    assert ratios["tokens_issued_to_commands"] == pytest.approx(of["issue", 4] / of["single", 4])


def test_transactions_are_measured_beside_a_plain_command() -> None:
    report = bench("--only", "single,transactions", "--chanceryd", binary("CHANCERYD", "chanceryd"))
    of = {(load["name"], load["connections"]): load for load in report["loads"]}
    assert list(of) == [("single", 1), ("single", 4), ("transaction", 1), ("transaction", 4)]
    assert all(load["refused"] == 0 and load["commands"] > 0 for load in report["loads"])
    wanted = of["transaction", 4]["per_sec"] / of["single", 4]["per_sec"]
    assert report["ratios"]["transactions_to_commands"] == pytest.approx(wanted)


def test_endpoints_are_told_every_event(tmp_path: Path) -> None:
    asked = ("--only", "webhooks", "--endpoints", "30", "--events", "120")
    report = bench(*asked, "--chanceryd", binary("CHANCERYD", "chanceryd"), "--dir", str(tmp_path))
    told = report["webhooks"]
    assert (told["endpoints"], told["events"], told["deliveries"]) == (30, 120, 1200)
    assert told["deliveries_per_sec"] == pytest.approx(told["deliveries"] / told["secs"])
    assert told["memory"]["peak_bytes"] >= told["memory"]["resident_bytes"] > 0


def test_the_table_for_people_says_what_json_says() -> None:
    run = chancery("bench", *LOADS, "--stages", "--chanceryd", binary("CHANCERYD", "chanceryd"))
    assert run.returncode == 0, run.stderr
    for text in ("one flush", "single × 4", "batches 7 × 2", "paced", "ratios", "sync", "commit to visible", "one proof"):
        assert text in run.stdout, text


def test_what_cannot_be_measured_is_said(tmp_path: Path, daemon: Daemon) -> None:
    wrong = tmp_path / "key"
    wrong.write_text("chk_" + "0" * 52 + "\n")
    (tmp_path / "empty").write_text("\n")
    key = str(daemon.bootstrap_file)
    for arguments, code, said in (
        (("--url", daemon.url, "--key-file", str(wrong)), 2, "refused RegisterAgent with 401"),
        (("--url", daemon.url, "--key-file", str(tmp_path / "empty")), 2, "holds no API key"),
        (("--url", daemon.url, "--key-file", str(tmp_path / "none")), 2, "cannot be read"),
        (("--url", "http://127.0.0.1:1", "--key-file", key), 2, "cannot be reached"),
        (("--url", "https://127.0.0.1:1", "--key-file", key), 2, "plain HTTP"),
        (("--url", daemon.url), 2, "--key-file"),
        (("--chanceryd", str(tmp_path / "no-daemon")), 2, "cannot be started"),
        (("--chanceryd", "/bin/false"), 2, "did not get ready"),
        (("--only", "paced", "--chanceryd", binary("CHANCERYD", "chanceryd")), 2, "--pace"),
        (("--batches", "0x0"), 2, "LINESxCONNECTIONS"),
    ):
        run = chancery("bench", *arguments)
        assert run.returncode == code, (arguments, run.stderr)
        assert said in run.stderr and run.stdout == "", (arguments, run.stderr)
