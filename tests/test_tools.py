"""The operator's command, on a real daemon and on what it leaves: what replay says of the past is what the daemon said."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

import chancery_verify as cv
from daemon import Daemon, chancery
from native import get, pages, register, submit
from orgkernel.contract import append_body, issue, mint, open_chain


def lines(run: subprocess.CompletedProcess) -> list[dict]:
    """What it printed, one JSON object a line."""
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stdout.splitlines()]


def one(run: subprocess.CompletedProcess) -> dict:
    """The one JSON object it printed."""
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


class Told:
    """What a daemon said of its things at several moments, before it was stopped."""

    def __init__(self, home: Path):
        self.daemon = Daemon(home).start()
        self.data = ["--data-dir", str(self.daemon.data_dir)]
        with self.daemon.admin() as client, self.daemon.orgkernel() as kernel:
            answer = register(client, key="make", profile={"email": "ada@example.org", "purpose": "testing"})
            self.agent = answer["result"]["agent"]["id"]
            self.born = answer["receipt"]["events"][0]
            self.suspended = submit(client, "SuspendAgent", {"agent": self.agent, "reason": "a look"})["receipt"]["events"][0]
            self.resumed = submit(client, "ResumeAgent", {"agent": self.agent})["receipt"]["events"][0]
            submit(client, "UpdateAgent", {"agent": self.agent, "semver": "2.0"})
            other = issue(kernel)
            self.token = mint(kernel, other, immutable_params={"a": 1})["token_id"]
            kernel.post(f"/token/{self.token}/use")
            self.chain, mission = open_chain(kernel, other.id)
            kernel.post(f"/audit/{self.chain}/append", json=append_body(mission))
            self.mission = submit(client, "OpenMission", {"intent": "to be replayed"})["result"]["mission"]["id"]
            self.size = get(client, "/v1/events", order="descending", limit=1)["items"][0]["seq"] + 1
            moments = [self.born["seq"], self.suspended["seq"], self.resumed["seq"], self.size - 1]
            self.agent_at = {at: get(client, f"/v1/identity/agents/{self.agent}", as_of=at) for at in moments}
            self.token_now = get(client, f"/v1/token/tokens/{self.token}")
            self.mission_now = get(client, f"/v1/execution/missions/{self.mission}")
            self.chain_now = get(client, f"/v1/execution/audit-chains/{self.chain}")
            self.events = list(pages(client, "/v1/events", limit=500))
            views = [view.get("view") or view["name"] for view in get(client, "/v1/views")["views"]]
            self.digests = {view: get(client, f"/v1/views/{view}/digest")["digest"] for view in views}
            self.proof = client.get(f"/v1/events/{self.born['seq']}/proof").text
            self.online = home / "online.chancery"
            self.run_online("export", "--out", str(self.online))
            self.run_online("export", "--out", str(home / "without.chancery"), "--without-bodies")
        self.daemon.stop()
        self.export = home / "offline.chancery"
        chancery("export", *self.data, "--out", str(self.export), check=True)

    def run_online(self, *arguments: str, **how: object) -> subprocess.CompletedProcess:
        key = self.daemon.credentials["admin_key"]
        env = self.daemon.env | {"CHANCERY_URL": self.daemon.url, "CHANCERY_API_KEY": key}
        return chancery(*arguments, env=env, **how)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    return Told(tmp_path_factory.mktemp("tools"))


def test_replay_says_what_the_daemon_said(told: Told) -> None:
    for at, said in told.agent_at.items():
        assert one(chancery("replay", *told.data, "agent", told.agent, "--at", str(at))) == said, at
    assert told.agent_at[told.suspended["seq"]]["status"] == "suspended"
    shown = one(chancery("replay", *told.data, "agent", told.agent, "--at", told.suspended["time"]))
    assert shown["status"] == "suspended"
    assert one(chancery("replay", *told.data, "token", told.token)) == told.token_now
    assert one(chancery("replay", *told.data, "mission", told.mission)) == told.mission_now
    assert one(chancery("replay", *told.data, "thing", f"audit_chain:{told.chain}")) == told.chain_now


def test_replay_of_what_was_not_there(told: Told) -> None:
    run = chancery("replay", *told.data, "agent", told.agent, "--at", str(told.born["seq"] - 1))
    assert run.returncode != 0 or run.stdout.strip() in ("", "null")
    assert chancery("replay", *told.data, "agent", "nonsense").returncode == 2
    assert chancery("replay", *told.data, "agent", told.agent, "--at", str(told.size + 5)).returncode == 2
    assert chancery("replay", "--data-dir", "/nowhere", "agent", told.agent).returncode == 2


def test_a_timeline_is_the_events_about_a_thing(told: Told) -> None:
    shown = lines(chancery("replay", *told.data, "timeline", f"agent:{told.agent}"))
    about = [event for event in told.events if {"kind": "agent", "id": told.agent} in event["subjects"]]
    assert [event["seq"] for event in shown] == [event["seq"] for event in about]
    assert [event["kind"] for event in shown][0] == "AgentRegistered"


def test_a_difference_names_the_things_and_the_events(told: Told) -> None:
    between = ["--from", str(told.born["seq"]), "--to", str(told.suspended["seq"])]
    changed = lines(chancery("replay", *told.data, "diff", *between))
    assert told.agent in json.dumps(changed)
    assert told.token not in json.dumps(changed)
    assert str(told.suspended["seq"]) in json.dumps(changed)
    assert lines(chancery("replay", *told.data, "diff", "--from", str(told.size - 1))) == []


def test_replayed_views_are_the_daemons(told: Told) -> None:
    shown = json.dumps(lines(chancery("replay", *told.data, "digests")))
    for view, digest in told.digests.items():
        assert digest in shown, view


def test_an_export_is_the_same_from_the_daemon_and_from_its_directory(told: Told) -> None:
    assert told.online.read_bytes() == told.export.read_bytes()
    for export in (told.online, told.export.parent / "without.chancery"):
        verdict = json.loads(chancery("verify", "--export", str(export), "--json").stdout)
        assert verdict["whole"] and verdict["events"] == told.size
    # Without keys, what was encrypted shows as what it is: not there.
    shown = one(chancery("replay", "--export", str(told.export), "agent", told.agent))
    assert shown["profile"] is None or shown["profile"].get("email") is None
    assert "ada@example.org" not in chancery("replay", "--export", str(told.export), "view", "identity").stdout


def test_inspect(told: Told) -> None:
    seq = str(told.born["seq"])
    assert chancery("inspect", *told.data, "summary").returncode == 0
    shown = lines(chancery("inspect", *told.data, "events", "0", str(told.size - 1)))
    assert [event["hash"] for event in shown] == [event["hash"] for event in told.events]
    proof = chancery("inspect", *told.data, "proof", seq)
    assert proof.stdout == told.proof
    seal = chancery("inspect", *told.data, "seal", seq)
    assert cv.parse_seal(seal.stdout.encode()).size > told.born["seq"]
    bytes_shown = chancery("inspect", *told.data, "bytes", seq)
    assert bytes_shown.returncode == 0 and told.born["hash"] in bytes_shown.stdout


def test_verify_pins_what_it_saw(new_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    daemon = new_daemon().start()
    daemon.stop()
    old = tmp_path / "old"
    subprocess.run(["cp", "-a", str(daemon.data_dir), str(old)], check=True)
    daemon.start()
    with daemon.admin() as client:
        register(client)
    daemon.stop()
    pin = tmp_path / "pin"

    def verify(data_dir: Path) -> dict:
        return json.loads(chancery("verify", "--data-dir", str(data_dir), "--pin", str(pin), "--json").stdout)

    assert verify(daemon.data_dir)["trust"] == "self"
    pinned = verify(daemon.data_dir)
    assert pinned["whole"] and pinned["trust"] == "pinned"
    assert pinned["truncation_excluded_to"] == pinned["events"]
    cut = verify(old)
    assert cut["first_broken"]["reason"] == "truncated"
    # Another ledger altogether.
    other = new_daemon().start()
    other.stop()
    assert verify(other.data_dir)["first_broken"]["reason"] == "key"


def test_submit_and_keys(new_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    daemon = new_daemon().start()
    env = daemon.env | {"CHANCERY_URL": daemon.url, "CHANCERY_API_KEY": daemon.credentials["admin_key"]}

    def run(*arguments: str) -> subprocess.CompletedProcess:
        return chancery(*arguments, env=env)

    (answer,) = lines(run("submit", "RegisterAgent", json.dumps({"name": "ada"})))
    agent = answer["result"]["agent"]["id"]
    seq = answer["receipt"]["events"][0]["seq"]
    (suspended,) = lines(run("submit", "SuspendAgent", json.dumps({"agent": agent}), "--if-match", str(seq)))
    assert suspended["result"]["agent"]["status"] == "suspended"
    refused = run("submit", "ResumeAgent", json.dumps({"agent": agent}), "--if-match", str(seq))
    assert refused.returncode == 1 and json.loads(refused.stdout)["code"] == "conflict"
    once = [lines(run("submit", "OpenMission", "{}", "--idempotency-key", "once"))[0]["receipt"]["events"] for _ in range(2)]
    assert once[0] == once[1]
    many = tmp_path / "many"
    many.write_text("".join(json.dumps({"command": "OpenMission", "params": {"intent": str(n)}}) + "\n" for n in range(30)))
    assert [answer["status"] for answer in lines(run("submit", "--input", str(many)))] == [200] * 30
    many.write_text('{"command":"OpenMission"}\n{"command":"Nothing"}\n')
    assert run("submit", "--input", str(many)).returncode == 1
    assert run("submit", "OpenMission", "{nonsense").returncode == 2

    made = lines(run("keys", "create", "--name", "reader", "--scope", "agents:read,agents:list"))[0]
    credential = made["result"]["credential"]["id"]
    assert credential in [each["id"] for each in lines(run("keys", "list"))]
    before = run("keys", "signing").stdout
    assert run("keys", "rotate").returncode == 0
    assert run("keys", "signing").stdout != before
    assert run("keys", "revoke", credential).returncode == 0
    with daemon.client(made["result"]["shown_once"]["api_key"]) as reader:
        assert reader.get("/v1/identity/agents").status_code == 401
    no_key = {name: value for name, value in env.items() if name != "CHANCERY_API_KEY"}
    unnamed = chancery("keys", "list", env=no_key)
    assert unnamed.returncode == 2 and "CHANCERY_API_KEY" in unnamed.stderr
    # What `keys signing` shows is what a verifier takes as its trusted key.
    keys = [json.loads(line) for line in before.splitlines()]
    daemon.stop()
    trusted = [key["verifier_key"] for key in keys if key.get("verifier_key")]
    assert trusted
    verdict = chancery("verify", "--data-dir", str(daemon.data_dir), "--key", trusted[0], "--json")
    assert json.loads(verdict.stdout)["trust"] == "given" and verdict.returncode == 0, verdict.stdout
