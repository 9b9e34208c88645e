"""Commands that agents sign: what is taken, what is refused and why, and what both verifiers say of it offline."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import httpx
import pytest
from http_message_signatures import ContentDigest

import chancery_verify as cv
from daemon import Daemon, chancery
from native import get, submit
from signing import COVERED, Signer, deliver

Unique = Callable[[str], str]


@pytest.fixture
def ada(admin: httpx.Client, unique: Unique) -> Signer:
    return Signer.registered(admin, unique("ada "), ["agents:register", "agents:suspend"])


def problem(reply, status: int, code: str) -> dict:
    body = reply.json()
    assert (reply.status_code, body.get("code")) == (status, code), reply.text
    return body


def test_a_signed_command_is_the_agents_and_its_signature_stays(admin: httpx.Client, ada: Signer, unique: Unique) -> None:
    name = unique("made by ada ")
    answer = ada.send("RegisterAgent", {"name": name})
    assert answer.status_code == 200, answer.text
    made, events = answer.json()["result"]["agent"]["id"], answer.json()["receipt"]["events"]
    made = get(admin, f"/v1/identity/agents/{made}")
    assert (made["name"], made["owner"]) == (name, {"kind": "agent", "id": ada.agent})
    assert get(admin, f"/v1/identity/agents/{ada.agent}")["identity_key"]["id"] == ada.key
    assert [event["kind"] for event in events] == ["CommandSigned", "AgentRegistered"]
    signed, registered = (get(admin, f"/v1/events/{event['seq']}") for event in events)
    assert registered["causation"] == signed["seq"]
    for event in (signed, registered):
        assert event["actor"]["principal"] == {"kind": "agent", "id": ada.agent}
        assert event["actor"]["method"] == "signature"
    facts = signed["body"]
    assert (facts["agent"], facts["key"]) == (ada.agent, ada.key)
    assert json.loads(facts["content"]) == {"command": "RegisterAgent", "params": {"name": name}}
    # Whoever has the agent's public key alone can check it.
    ada.private.public_key().verify(bytes.fromhex(facts["signature"]), facts["base"].encode())


def test_what_was_altered_on_its_way_is_refused(admin: httpx.Client, ada: Signer, unique: Unique) -> None:
    def altered(change: Callable, **how: object) -> dict:
        request = ada.signed("RegisterAgent", {"name": unique("x ")}, **how)  # type: ignore[arg-type]
        change(request)
        return problem(deliver(request), 401, "signature_invalid")

    def content(request) -> None:
        request.body = request.body.replace(b"x ", b"y ")

    assert "does not have the signed digest" in altered(content)["why"]

    def digest(request) -> None:
        content(request)
        request.headers["Content-Digest"] = ContentDigest.create(request.body)

    assert "did not make this signature" in altered(digest)["why"]

    def created(request) -> None:
        request.headers["Signature-Input"] = request.headers["Signature-Input"].replace("created=1", "created=2")

    assert "did not make this signature" in altered(created)["why"]
    bare = {"X-Api-Key": "chy_x"}
    assert "not both" in altered(lambda request: request.headers.update(bare))["why"]
    key = {"Idempotency-Key": "k"}
    assert "idempotency-key" in altered(lambda request: request.headers.update(key))["why"]
    for name in ("Signature", "Content-Digest"):
        altered(lambda request, name=name: request.headers.pop(name))
    by_path = ("@method", "@authority", "@path", "content-digest")
    with_query = ada.send("RegisterAgent", {"name": "x"}, covered=by_path, query="?proof=true")
    assert "@query" in problem(with_query, 401, "signature_invalid")["why"]


def test_what_says_too_little_or_lies_in_another_time_is_refused(ada: Signer) -> None:
    now = datetime.now(timezone.utc)

    def why(**how: object) -> str:
        return problem(ada.send("RegisterAgent", {"name": "x"}, **how), 401, "signature_invalid")["why"]

    assert "`content-digest`" in why(covered=("@method", "@target-uri"))
    assert "`@method`" in why(covered=("@target-uri", "content-digest"))
    assert "@target-uri" in why(covered=("@method", "@path", "content-digest"))
    assert "none of" in why(covered=(*COVERED, "x-other"), headers={"X-Other": "1"})
    assert "good until" in why(created=now - timedelta(minutes=6))
    assert "good until" in why(created=now - timedelta(seconds=20), expires=now - timedelta(seconds=10))
    assert "has not come" in why(created=now + timedelta(minutes=2))
    assert "nonce" in why(nonce="short")


def test_an_agent_does_what_it_was_granted_and_nobody_signs_for_another(
    admin: httpx.Client, ada: Signer, unique: Unique
) -> None:
    plain = Signer.registered(admin, unique("plain "), [])
    body = problem(plain.send("RegisterAgent", {"name": "x"}), 403, "scope_missing")
    assert body["scope"] == "agents:register"
    problem(ada.send("CreateOrganisation", {"slug": "x", "name": "x"}), 403, "scope_missing")
    thief = Signer(ada.url, ada.agent, ada.key, plain.private)
    assert "did not make" in problem(thief.send("RegisterAgent", {"name": "x"}), 401, "signature_invalid")["why"]
    nobody = Signer(ada.url, ada.agent, "01932c07-209c-7c3a-9f1e-5b6d7e8f9a0b", ada.private)
    assert "no agent" in problem(nobody.send("RegisterAgent", {"name": "x"}), 401, "signature_invalid")["why"]
    submit(admin, "SuspendAgent", {"agent": ada.agent})
    problem(ada.send("RegisterAgent", {"name": "x"}), 409, "agent_not_usable")
    # What did not hold is in the log, told from other log-ins.
    failed = get(admin, "/v1/events", kind="AuthenticationFailed", limit=50)["items"]
    assert "signature" in {event["body"]["why"] for event in failed}


def test_an_agent_hands_on_only_what_it_holds(admin: httpx.Client, unique: Unique) -> None:
    ada = Signer.registered(admin, unique("ada "), ["api_keys:create", "agents:read"])
    held = {"name": "own", "scopes": ["agents:read"]}
    answer = ada.send("CreateApiKey", held)
    assert answer.status_code == 200, answer.text
    with httpx.Client(base_url=ada.url, headers={"X-Api-Key": answer.json()["result"]["shown_once"]["api_key"]}) as own:
        assert own.get(f"/v1/identity/agents/{ada.agent}").status_code == 200
    problem(ada.send("CreateApiKey", {"name": "more", "scopes": ["tenants:manage"]}), 403, "scope_not_held")
    grant = {"agent": ada.agent, "scopes": ["agents:suspend"]}
    problem(ada.send("GrantScopes", grant), 403, "scope_not_held")


def test_a_replay_is_refused_also_after_a_restart_and_both_verifiers_check_what_was_signed(
    new_daemon: Callable[..., Daemon], tmp_path: Path
) -> None:
    daemon = new_daemon().start()
    with daemon.admin() as admin:
        ada = Signer.registered(admin, "ada", ["agents:register"])
    taken = [ada.signed("RegisterAgent", {"name": f"bob {number}"}) for number in range(3)]
    assert all(deliver(request).status_code == 200 for request in taken)
    taken.append(ada.signed("RegisterAgent", {"name": ""}))
    assert problem(deliver(taken[-1]), 422, "invalid")["events"], "that it was asked for is on record"
    for _ in range(2):
        for request in taken:
            problem(deliver(request), 401, "signature_replayed")
        before = daemon.url
        daemon.kill()
        daemon.start()
        for request in taken:
            # The port is another. What was signed is where it went first, which the field `Host` says.
            request.headers.setdefault("Host", before.removeprefix("http://"))
            request.url = str(request.url).replace(before, daemon.url)
    daemon.stop()
    export = tmp_path / "log.chancery"
    chancery("export", "--data-dir", str(daemon.data_dir), "--out", str(export), check=True)
    rust = json.loads(chancery("verify", "--export", str(export), "--json").stdout)
    python = cv.verify(io.BytesIO(export.read_bytes()))
    assert rust == python
    assert rust["whole"] and rust["agent_signatures"] == {"checked": 4, "unchecked": 0}
