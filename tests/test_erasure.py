"""Erasure from outside: what is erased reads as erased everywhere and for good, what is on hold is not erased, and a copy of
keys from before brings nothing back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon import Daemon, chancery
from native import fresh, get, pages, refused, register, send, submit
from orgkernel.contract import csr

OWNER = "Ada Lovelace, Marylebone"
EMAIL = "ada@analytical.example"
HOUSEHOLD = "lovelace_household"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that this test may stop and start."""
    daemon = Daemon(tmp_path).start()
    yield daemon
    daemon.kill()


def agent(kind_id: str) -> dict:
    return {"kind": "agent", "id": kind_id}


def erase(client, subject: dict) -> dict:
    return submit(client, "EraseSubject", {"subject": subject, "reason": "asked for by the person concerned"})


def destroyed(client, subject: dict) -> str:
    """When the keystore's files were rid of the key; the daemon sees to that by itself."""
    path = f"/v1/erasures/{subject['kind']}:{subject['id']}"
    with client.stream("GET", "/v1/events/stream") as events:
        if at := get(client, path)["destroyed"]:
            return at
        for line in events.iter_lines():
            if line.startswith("data:") and json.loads(line[5:]).get("kind") == "KeyDestroyed":
                at = get(client, path)["destroyed"]
                if at:
                    return at
    raise AssertionError("the stream ended")


def timeline(data_dir: Path, id: str) -> list[dict]:
    """The events about an agent, as the offline command shows them."""
    told = chancery("replay", "--data-dir", str(data_dir), "timeline", f"agent:{id}", check=True).stdout
    assert OWNER not in told
    return [json.loads(line) for line in told.splitlines()]


def test_an_erased_agent_reads_null_everywhere(admin) -> None:
    profile = {"owner": OWNER, "email": EMAIL, "purpose": "weaving"}
    made = register(admin, profile=profile)
    id, registered = made["result"]["agent"]["id"], made["receipt"]["events"][0]["seq"]
    assert get(admin, f"/v1/identity/agents/{id}")["profile"]["owner"] == OWNER
    before = get(admin, f"/v1/events/{registered}")
    answer = erase(admin, agent(id))
    assert [event["kind"] for event in answer["receipt"]["events"]] == ["SubjectErased"]
    assert answer["result"]["erasure"]["subject"] == agent(id)
    # Now, and as of when it was readable.
    assert get(admin, f"/v1/identity/agents/{id}")["profile"] is None
    assert get(admin, f"/v1/identity/agents/{id}", as_of=registered)["profile"] is None
    after = get(admin, f"/v1/events/{registered}")
    assert (after["body"]["personal"], after["erased"]) == (None, ["personal"])
    assert (after["hash"], after["body_hash"]) == (before["hash"], before["body_hash"])
    for path in ("/v1/identity/agents", "/v1/events"):
        assert not any(OWNER in json.dumps(item) for item in pages(admin, path)), path
    # Again it is no news.
    assert erase(admin, agent(id))["receipt"]["events"] == []
    assert destroyed(admin, agent(id))
    assert agent(id) in [item["subject"] for item in pages(admin, "/v1/erasures")]
    # The timeline says what became of it.
    kinds = [event["kind"] for event in pages(admin, "/v1/events", subject=f"agent:{id}", order="ascending")]
    assert kinds[-2:] == ["SubjectErased", "KeyDestroyed"]


def test_a_hold_keeps_what_belongs_to_the_held(admin) -> None:
    id = register(admin, profile={"owner": OWNER})["result"]["agent"]["id"]
    mission = submit(admin, "OpenMission", {"agent": id, "intent": "weave"})["result"]["mission"]["id"]
    subject = {"kind": "mission", "id": mission}
    problem = refused(send(admin, "EraseSubject", {"subject": subject, "reason": "x"}), 409, "still_in_use")
    assert problem["thing"] == "mission"
    submit(admin, "CompleteMission", {"mission": mission})
    matter = fresh("matter-")
    params = {"subject": agent(id), "matter": matter, "reason": "a claim is to be expected"}
    holds = submit(admin, "PlaceHold", params)["result"]["holds"]
    assert [hold["matter"] for hold in holds["holds"]] == [matter]
    for what in (subject, agent(id)):
        assert refused(send(admin, "EraseSubject", {"subject": what, "reason": "x"}), 409, "on_hold")["thing"] == "agent"
    assert get(admin, f"/v1/holds/agent:{id}")["holds"][0]["reason"] == params["reason"]
    assert agent(id) in [item["subject"] for item in pages(admin, "/v1/holds")]
    submit(admin, "LiftHold", params | {"reason": "settled"})
    assert agent(id) not in [item["subject"] for item in pages(admin, "/v1/holds")]
    erase(admin, subject)
    assert get(admin, f"/v1/execution/missions/{mission}")["intent"] is None
    refused(admin.get("/v1/erasures/agent:nobody"), 404, "not_found")
    refused(admin.get(f"/v1/holds/mission:{mission}"), 404, "not_found")


def test_dialects_show_an_erased_agent_with_empty_fields(daemon, admin) -> None:
    kernel, name = daemon.orgkernel(), fresh("ada-")
    request = csr(agent_name=name, requested_ou=HOUSEHOLD, purpose="weaving", metadata={"room": "seventh"})
    issued = kernel.post("/identity/issue", json=request)
    assert issued.status_code == 200, issued.text
    aid = issued.json()["identity"]["agent_id"]
    assert kernel.get(f"/identity/{aid}").json()["issued_by"] == HOUSEHOLD
    found = next(item for item in pages(admin, "/v1/identity/agents") if item["name"] == name)
    erase(admin, agent(found["id"]))
    shown = kernel.get(f"/identity/{aid}")
    assert (shown.status_code, shown.json()["metadata"]) == (200, {})
    for path in (f"/identity/{aid}", f"/identity/org/{request['org_id']}"):
        assert HOUSEHOLD not in kernel.get(path).text, path
    for key, mount in (("alsorn", "/alsorn"), ("admin_key", "/v1/identity")):
        secret = daemon.credentials[key]["api_key"] if key == "alsorn" else daemon.credentials[key]
        listed = daemon.client(secret, mount).get("/agents/" if key == "alsorn" else "/agents")
        assert listed.status_code == 200 and HOUSEHOLD not in listed.text


def test_keys_from_before_bring_nothing_back(own: Daemon, tmp_path: Path) -> None:
    admin = own.admin()
    id = register(admin, profile={"owner": OWNER})["result"]["agent"]["id"]
    kept = register(admin, profile={"owner": "Grace"})["result"]["agent"]["id"]
    own.stop()
    old = tmp_path / "keystore-of-before"
    shutil.copytree(own.data_dir / "keystore", old)
    admin = own.start().admin()
    erase(admin, agent(id))
    destroyed(admin, agent(id))
    # Killed, with the old copy put in its place.
    own.kill()
    shutil.rmtree(own.data_dir / "keystore")
    shutil.copytree(old, own.data_dir / "keystore")
    admin = own.start().admin()
    assert get(admin, f"/v1/identity/agents/{id}")["profile"] is None
    assert get(admin, f"/v1/identity/agents/{kept}")["profile"]["owner"] == "Grace"
    assert "destroyed again" in own.log()
    # And from the log alone.
    own.stop()
    shutil.rmtree(own.data_dir / "views")
    admin = own.start().admin()
    assert get(admin, f"/v1/identity/agents/{id}")["profile"] is None
    own.stop()
    verified = chancery("verify", "--data-dir", str(own.data_dir), "--json")
    assert json.loads(verified.stdout)["whole"] is True, verified.stdout
    assert timeline(own.data_dir, id)[0]["erased"] == ["personal"]


def test_retention_is_a_policy(admin) -> None:
    wrong = send(admin, "SetPolicy", {"kind": "retention", "document": {"agents_days": 0}})
    assert refused(wrong, 422, "policy_invalid")["path"] == "agents_days"
    assert get(admin, "/v1/trust/policies/retention")["document"]["agents_days"] is None
    rules = {"agents_days": 30, "missions_days": 365, "deliveries_days": 90, "origins_days": 90}
    try:
        policy = submit(admin, "SetPolicy", {"kind": "retention", "document": rules})["result"]["policy"]
        assert (policy["document"], policy["set"]) == (rules, True)
        assert get(admin, "/v1/trust/policies/retention")["document"] == rules
    finally:
        submit(admin, "ResetPolicy", {"kind": "retention"})


def test_keys_are_struck_out_of_backups(own: Daemon, tmp_path: Path) -> None:
    admin = own.admin()
    id = register(admin, profile={"owner": OWNER})["result"]["agent"]["id"]
    reach = ("--url", own.url, "--api-key", own.credentials["admin_key"])
    backup, export, copied = tmp_path / "backup", tmp_path / "now.export", tmp_path / "copied"
    chancery("backup", *reach, "--out", str(backup), "--keystore", check=True)
    own.stop()
    shutil.copytree(own.data_dir / "keystore", copied)
    own.start()
    admin = own.admin()
    erase(admin, agent(id))
    reach = ("--url", own.url, "--api-key", own.credentials["admin_key"])
    chancery("export", *reach, "--out", str(export), check=True)
    before = (backup / "keystore.backup").read_bytes()
    for copy in (backup, copied):
        for struck in (1, 0):
            done = json.loads(chancery("shred", str(copy), "--export", str(export), "--json", check=True).stdout)
            assert (done["erased"], done["struck"]) == (1, struck), copy
    after = (backup / "keystore.backup").read_bytes()
    assert len(before) - len(after) == 72, "a nonce, a key and a tag are gone"
    assert (backup / "keystore.backup").stat().st_mode & 0o777 == 0o600
    # What is left of it is a backup as good as any.
    own.stop()
    restored = tmp_path / "restored"
    wrapping = own.data_dir / "keystore" / "wrapping.key"
    where = ("--data-dir", str(restored), "--wrapping-key", str(wrapping))
    chancery("restore", "--from", str(backup), *where, check=True)
    told = timeline(restored, id)
    assert [event["kind"] for event in told] == ["AgentRegistered"], "the log of the backup knows of no erasure"
    assert told[0]["erased"] == ["personal"], "the key is gone all the same"
    nothing = chancery("shred", str(tmp_path / "nothing"), "--export", str(export))
    assert nothing.returncode == 2 and "neither" in nothing.stderr
