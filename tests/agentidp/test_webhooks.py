"""Rows 30 to 35: webhooks, and what reaches them. Contract section 11."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator

import pytest

from agentidp.contract import NOBODY, NOT_IDS, assert_error, assert_id, assert_page, parse_time, until
from agentidp.idp import Agent, Caller, Idp, fresh, gone, ok
from agentidp.listener import Listener

FIELDS = {"id", "url", "events", "active", "createdAt", "updatedAt"}
EVENTS = [
    "agent.created", "agent.updated", "agent.suspended", "agent.reactivated", "agent.decommissioned",
    "credential.generated", "credential.rotated", "credential.revoked", "token.issued", "token.revoked",
]  # fmt: skip
SECRET = "shared-between-us-" + "x" * 32
NOWHERE = "https://hooks.example/agents"


@pytest.fixture
def listener() -> Iterator[Listener]:
    with Listener() as running:
        yield running


def subscribe(caller: Caller, **changes: object) -> dict:
    body = {"url": NOWHERE, "events": ["agent.created"], "secret": SECRET} | changes
    return ok(caller.post("/webhooks", body), 201)


def test_create(idp: Idp, admin: Caller) -> None:
    made = subscribe(admin, events=EVENTS, name="ops")
    assert set(made) >= FIELDS and SECRET not in json.dumps(made)
    assert_id(made["id"])
    assert made["url"] == NOWHERE and sorted(made["events"]) == sorted(EVENTS) and made["active"] is True
    assert parse_time(made["createdAt"]) == parse_time(made["updatedAt"])
    assert ok(admin.get(f"/webhooks/{made['id']}")) == made
    assert SECRET not in json.dumps(ok(admin.get("/webhooks", limit=100)))
    assert SECRET not in idp.daemon.log()
    gone(admin.delete(f"/webhooks/{made['id']}"))


BAD = {
    "url": ["", "x", "ftp://hooks.example/", "hooks.example", "https://", "https://user:word@hooks.example/", 5, None, ...],
    "events": [[], ["agent.deleted"], ["agent.created", "x"], [5], "agent.created", None, ...],
    "secret": ["", 5, None, ...],
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_webhooks_out_of_bounds(admin: Caller, name: str, value: object) -> None:
    body = {"url": NOWHERE, "events": ["agent.created"], "secret": SECRET} | {name: value}
    reply = admin.post("/webhooks", {each: given for each, given in body.items() if given is not ...})
    assert_error(reply, 400, "VALIDATION_ERROR", field=name)


def test_list_and_change(admin: Caller) -> None:
    made = [subscribe(admin, url=f"{NOWHERE}/{number}") for number in range(3)]
    ids = {each["id"] for each in made}
    page = ok(admin.get("/webhooks", limit=100))
    assert ids <= {each["id"] for each in assert_page(page, limit=100)}
    assert len(assert_page(ok(admin.get("/webhooks", limit=2)), 1, 2)) == 2
    path = f"/webhooks/{made[0]['id']}"
    for changes in ({"url": NOWHERE + "/new"}, {"events": ["token.issued", "token.revoked"]}, {"active": False}, {"active": True}):
        changed = ok(admin.patch(path, changes))
        assert {name: changed[name] for name in changes} == changes
        assert ok(admin.get(path)) == changed
    for name, value in (("url", "x"), ("events", []), ("events", ["x"]), ("active", "yes")):
        assert_error(admin.patch(path, {name: value}), 400, "VALIDATION_ERROR", field=name)
    for each in ids:
        gone(admin.delete(f"/webhooks/{each}"))
        assert_error(admin.get(f"/webhooks/{each}"), 404, "WEBHOOK_NOT_FOUND")
    assert not ids & {each["id"] for each in ok(admin.get("/webhooks", limit=100))["data"]}


@pytest.mark.parametrize("unknown", [NOBODY, *NOT_IDS])
def test_webhooks_that_do_not_exist(admin: Caller, unknown: str) -> None:
    path = f"/webhooks/{unknown}"
    for reply in (admin.get(path), admin.patch(path, {"active": False}), admin.delete(path), admin.get(path + "/deliveries")):
        assert_error(reply, 404, "WEBHOOK_NOT_FOUND")


def test_events_arrive_signed(admin: Caller, agent: Agent, listener: Listener) -> None:
    made = subscribe(admin, url=listener.url, events=["agent.updated", "credential.rotated"])
    ok(admin.patch(f"/agents/{agent.id}", {"version": "5.0.0"}))
    ok(admin.post(f"/agents/{agent.id}/credentials/{agent.credential_id}/rotate", {}))
    until(lambda: len(about(listener, agent.id)) >= 2)
    for request in listener.requests:
        assert request.method == "POST"
        expected = hmac.new(SECRET.encode(), request.body, hashlib.sha256).hexdigest()
        assert request.headers["x-sentryagent-signature"].removeprefix("sha256=") == expected
        assert request.headers["content-type"].startswith("application/json")
        assert b"sk_live_" not in request.body
    names = [next(name for name in EVENTS if name in json.dumps(each)) for each in about(listener, agent.id)]
    assert names == ["agent.updated", "credential.rotated"], "in order"

    path = f"/webhooks/{made['id']}/deliveries"
    until(lambda: ok(admin.get(path, status="delivered"))["total"] >= 2)
    page = ok(admin.get(path))
    for delivery in assert_page(page):
        assert set(delivery) >= {"id", "event", "status", "attempts", "responseStatus", "createdAt"}
        assert delivery["event"] in ("agent.updated", "credential.rotated")
        assert (delivery["status"], delivery["attempts"], delivery["responseStatus"]) == ("delivered", 1, 200)
        parse_time(delivery["createdAt"])
    for name, value in (("status", "lost"), ("page", "0"), ("limit", "101")):
        assert_error(admin.get(path, **{name: value}), 400, "VALIDATION_ERROR", field=name)
    gone(admin.delete(f"/webhooks/{made['id']}"))


def about(listener: Listener, agent: str) -> list[dict]:
    """What arrived about an agent, in order."""
    return [json.loads(request.body) for request in listener.requests if agent.encode() in request.body]


def test_what_is_refused_is_sent_again(admin: Caller, agent: Agent, listener: Listener) -> None:
    listener.statuses = [500]
    made = subscribe(admin, url=listener.url, events=["agent.updated"])
    ok(admin.patch(f"/agents/{agent.id}", {"version": "6.0.0"}))
    until(lambda: len(about(listener, agent.id)) >= 2)
    assert len({request.body for request in listener.requests}) == 1, "the same bytes each time"
    path = f"/webhooks/{made['id']}/deliveries"
    until(lambda: ok(admin.get(path, status="delivered"))["total"] == 1)
    [delivery] = ok(admin.get(path))["data"]
    assert (delivery["status"], delivery["attempts"], delivery["responseStatus"]) == ("delivered", 2, 200)
    gone(admin.delete(f"/webhooks/{made['id']}"))


def test_an_inactive_webhook_gets_nothing(admin: Caller, agent: Agent, listener: Listener) -> None:
    made = subscribe(admin, url=listener.url + "/off", events=["agent.updated"])
    ok(admin.patch(f"/webhooks/{made['id']}", {"active": False}))
    other = subscribe(admin, url=listener.url + "/on", events=["agent.updated"])
    ok(admin.patch(f"/agents/{agent.id}", {"version": "7.0.0"}))
    until(lambda: about(listener, agent.id))
    assert {request.path for request in listener.requests} == {"/on"}
    assert ok(admin.get(f"/webhooks/{made['id']}/deliveries"))["total"] == 0
    for each in (made, other):
        gone(admin.delete(f"/webhooks/{each['id']}"))


def test_agents_write_will_do(idp: Idp, agent: Agent) -> None:
    caller = agent.login("agents:write")
    made = subscribe(caller, name=fresh("hook-"))
    gone(caller.delete(f"/webhooks/{made['id']}"))
