"""Rows 13, 14 and 26: the audit log and its chain. Contract sections 3 and 9."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from urllib.parse import quote

import pytest

from agentidp.contract import (
    ACTIONS,
    EVENT_FIELDS,
    NOBODY,
    NOT_IDS,
    SECRET,
    assert_error,
    assert_id,
    assert_oauth_error,
    assert_page,
    later,
    parse_time,
    until,
)
from agentidp.idp import Agent, Caller, Idp, agent_body, gone, ok


@pytest.fixture(scope="module")
def lived(idp: Idp) -> tuple[str, list[tuple[str, str]]]:
    """An agent that did and suffered everything, and the actions and outcomes this leaves, oldest first."""
    admin = idp.admin
    agent = ok(admin.post("/agents", agent_body(agentType="monitor", owner="ops")), 201)["agentId"]
    path = f"/agents/{agent}"
    credential = ok(admin.post(path + "/credentials", {}), 201)
    ok(admin.patch(path, {"version": "1.0.1"}))
    rotated = ok(admin.post(f"{path}/credentials/{credential['credentialId']}/rotate", {}))
    assert_oauth_error(idp.request_token(client_id=agent, client_secret=credential["clientSecret"]), 401, "invalid_client")
    caller = idp.login(agent, rotated["clientSecret"])
    ok(caller.form("/token/introspect", token=caller.token))
    until(lambda: idp.audit(agentId=agent, action="token.introspected"))
    ok(caller.form("/token/revoke", token=idp.login(agent, rotated["clientSecret"]).token))
    ok(admin.patch(path, {"status": "suspended"}))
    ok(admin.patch(path, {"status": "active"}))
    gone(admin.delete(path))
    left = [
        "agent.created", "credential.generated", "agent.updated", "credential.rotated", "auth.failed", "token.issued",
        "token.introspected", "token.issued", "token.revoked", "agent.suspended", "agent.reactivated",
        "credential.revoked", "agent.decommissioned",
    ]  # fmt: skip
    return agent, [(action, "failure" if action == "auth.failed" else "success") for action in left]


def test_every_act_leaves_its_entry(idp: Idp, lived: tuple[str, list]) -> None:
    agent, left = lived
    entries = idp.audit(agentId=agent)
    assert [(entry["action"], entry["outcome"]) for entry in reversed(entries)] == left
    for entry in entries:
        assert set(entry) >= EVENT_FIELDS
        assert_id(entry["eventId"])
        assert entry["agentId"] == agent
        assert isinstance(entry["metadata"], dict)
        # Introspections of a moment share an event, which has no one origin.
        origin = ("", "") if entry["action"] == "token.introspected" else ("127.0.0.1", "outside-tests/1")
        assert (entry["ipAddress"], entry["userAgent"]) == origin
    times = [parse_time(entry["timestamp"]) for entry in entries]
    assert times == sorted(times, reverse=True)
    assert len({entry["eventId"] for entry in entries}) == len(entries)


def test_what_entries_say_beside(idp: Idp, lived: tuple[str, list]) -> None:
    agent, _ = lived
    by_action = {entry["action"]: entry["metadata"] for entry in idp.audit(agentId=agent)}
    created = by_action["agent.created"]
    assert (created["agentType"], created["owner"]) == ("monitor", "ops")
    for action in ("agent.created", "agent.updated", "credential.generated", "agent.suspended", "agent.decommissioned"):
        assert by_action[action]["actorId"] == idp.client_id
    for action in ("token.issued", "token.introspected", "token.revoked"):
        assert "actorId" not in by_action[action]
    for action in ("credential.generated", "credential.rotated", "credential.revoked"):
        assert_id(by_action[action]["credentialId"])
    assert by_action["credential.revoked"]["cause"] == "agent.decommissioned"


def test_no_entry_has_a_secret_or_a_token(idp: Idp, agent: Agent) -> None:
    caller = agent.login()
    ok(caller.form("/token/introspect", token=caller.token))
    text = json.dumps(idp.audit())
    assert not SECRET.search(text)
    assert "eyJ" not in text
    assert agent.secret not in idp.daemon.log() and caller.token not in idp.daemon.log()


def test_filters(idp: Idp, admin: Caller, lived: tuple[str, list]) -> None:
    agent, left = lived
    everything = idp.audit(agentId=agent)
    for action in sorted({action for action, _ in left}):
        expected = [entry for entry in everything if entry["action"] == action]
        page = ok(admin.get("/audit", agentId=agent, action=action))
        assert assert_page(page, limit=50) == expected and page["total"] == len(expected)
    for outcome in ("success", "failure"):
        expected = [entry for entry in everything if entry["outcome"] == outcome]
        page = ok(admin.get("/audit", agentId=agent, outcome=outcome))
        assert assert_page(page, limit=50) == expected and page["total"] == len(expected)
    assert ok(admin.get("/audit", agentId=agent, action="token.issued", outcome="failure"))["total"] == 0
    assert ok(admin.get("/audit", agentId=NOBODY))["total"] == 0
    for action in ACTIONS:
        page = ok(admin.get("/audit", action=action, limit=5))
        assert all(entry["action"] == action for entry in assert_page(page, limit=5))


def test_dates_are_inclusive(idp: Idp, admin: Caller, lived: tuple[str, list]) -> None:
    agent, _ = lived
    everything = idp.audit(agentId=agent)
    for at in (0, 3, len(everything) - 1):
        moment = everything[at]["timestamp"]
        since = [entry for entry in everything if entry["timestamp"] >= moment]
        before = [entry for entry in everything if entry["timestamp"] <= moment]
        assert idp.audit(agentId=agent, fromDate=moment) == since
        assert idp.audit(agentId=agent, toDate=moment) == before
        assert idp.audit(agentId=agent, fromDate=moment, toDate=moment) == [entry for entry in since if entry in before]
    # An offset is the same moment.
    moment = parse_time(everything[3]["timestamp"]) + timedelta(hours=2)
    text = moment.replace(tzinfo=None).isoformat(timespec="milliseconds") + "+02:00"
    assert idp.audit(agentId=agent, fromDate=text) == [e for e in everything if e["timestamp"] >= everything[3]["timestamp"]]
    # Neither the days before the window of retention nor those to come are an error.
    assert ok(admin.get("/audit", fromDate="2020-01-01T00:00:00Z", toDate="2020-01-31T23:59:59Z"))["total"] == 0
    assert ok(admin.get("/audit", agentId=agent, fromDate="2020-01-01T00:00:00Z"))["total"] == len(everything)
    assert ok(admin.get("/audit", fromDate=later(3600)))["total"] == 0


def test_pages(idp: Idp, admin: Caller, lived: tuple[str, list]) -> None:
    agent, left = lived
    rows = []
    for number in range(1, 6):
        page = ok(admin.get("/audit", agentId=agent, limit=4, page=number))
        rows += assert_page(page, number, 4)
        assert page["total"] == len(left)
    assert rows == idp.audit(agentId=agent)
    assert len(rows) == len(left)
    assert_page(ok(admin.get("/audit")), limit=50)
    assert_page(ok(admin.get("/audit", limit=200)), limit=200)
    assert assert_page(ok(admin.get("/audit", page=1_000_000)), 1_000_000, 50) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("action", value) for value in ("", "agent.deleted", "AGENT.CREATED", "token")),
        *(("outcome", value) for value in ("", "ok", "Success")),
        *(("fromDate", value) for value in ("", "soon", "2026-13-01T00:00:00Z", "2026-01-01T25:00:00Z")),
        *(("toDate", value) for value in ("", "soon", "2026-02-30T00:00:00Z")),
        *(("page", value) for value in ("0", "-1", "x", "1.5")),
        *(("limit", value) for value in ("0", "201", "-1", "x")),
    ],
)
@pytest.mark.parametrize("path", ["/audit", "/audit/verify"])
def test_queries_out_of_bounds(admin: Caller, path: str, name: str, value: str) -> None:
    if path == "/audit/verify" and name not in ("fromDate", "toDate"):
        return
    assert_error(admin.get(path, **{name: value}), 400, "VALIDATION_ERROR", field=name)


@pytest.mark.parametrize("path", ["/audit", "/audit/verify"])
def test_dates_the_wrong_way_round(admin: Caller, path: str) -> None:
    reply = admin.get(path, fromDate="2026-03-02T00:00:00Z", toDate="2026-03-01T00:00:00Z")
    assert_error(reply, 400, "VALIDATION_ERROR")


def test_an_act_is_visible_at_once(idp: Idp, admin: Caller, agent: Agent) -> None:
    for number in range(20):
        ok(admin.patch(f"/agents/{agent.id}", {"version": f"2.0.{number}"}))
        assert ok(admin.get("/audit", agentId=agent.id, action="agent.updated"))["total"] == number + 1


def test_reading_leaves_nothing(idp: Idp, admin: Caller, lived: tuple[str, list]) -> None:
    agent, left = lived
    for path in (f"/agents/{agent}", f"/agents/{agent}/credentials", "/agents", "/audit", "/audit/verify"):
        ok(admin.get(path))
    assert len(idp.audit(agentId=agent)) == len(left)


# --- Row 14


def test_one_entry(idp: Idp, admin: Caller, lived: tuple[str, list]) -> None:
    for entry in idp.audit(agentId=lived[0]):
        assert ok(admin.get(f"/audit/{entry['eventId']}")) == entry


@pytest.mark.parametrize("event_id", [NOBODY, *NOT_IDS, "019b7ca9-8f2e-8000-8000-00000499c800", "ffffffff-ffff-8fff-bfff-ffffffffffff"])
def test_entries_that_do_not_exist(admin: Caller, event_id: str) -> None:
    assert_error(admin.get(f"/audit/{event_id}"), 404, "AUDIT_EVENT_NOT_FOUND")


def test_neighbours_of_an_entry_are_none(idp: Idp, admin: Caller, lived: tuple[str, list]) -> None:
    entry = idp.audit(agentId=lived[0])[0]["eventId"]
    for place in range(len(entry)):
        if entry[place] != "-":
            other = entry[:place] + ("0" if entry[place] != "0" else "1") + entry[place + 1 :]
            reply = admin.get(f"/audit/{other}")
            if reply.status_code == 200:
                assert reply.json()["eventId"] == other, "an entry answers to its own id alone"
            else:
                assert_error(reply, 404, "AUDIT_EVENT_NOT_FOUND")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_nothing_changes_an_entry(idp: Idp, admin: Caller, lived: tuple[str, list], method: str) -> None:
    entry = idp.audit(agentId=lived[0])[0]
    reply = admin.ask(method, f"/audit/{entry['eventId']}", json={"outcome": "failure"})
    assert_error(reply, (404, 405), "NOT_FOUND", "METHOD_NOT_ALLOWED", "AUDIT_EVENT_NOT_FOUND")
    assert ok(admin.get(f"/audit/{entry['eventId']}")) == entry


# --- Row 26


def verify(caller: Caller, **query: str) -> dict:
    result = ok(caller.get("/audit/verify", **query))
    assert isinstance(result["verified"], bool) and isinstance(result["checkedCount"], int)
    assert result["brokenAtEventId"] is None
    for name, value in query.items():
        assert parse_time(result[name].replace("Z", ".000Z") if "." not in result[name] else result[name]), value
    return result


def test_verify(idp: Idp, admin: Caller, lived: tuple[str, list]) -> None:
    # Introspections are recorded a moment after their answer: the count is compared when none is left to be.
    def same() -> bool:
        total = ok(admin.get("/audit", limit=1))["total"]
        result = verify(admin)
        return result["verified"] is True and result["checkedCount"] == total == ok(admin.get("/audit", limit=1))["total"]

    until(same)


def test_verify_a_range(idp: Idp, admin: Caller, lived: tuple[str, list]) -> None:
    agent, _ = lived
    entries = idp.audit(agentId=agent)
    first, last = entries[-1]["timestamp"], entries[0]["timestamp"]
    result = verify(admin, fromDate=first, toDate=last)
    assert result["verified"] is True
    assert result["checkedCount"] == ok(admin.get("/audit", fromDate=first, toDate=last, limit=1))["total"] >= len(entries)
    assert (parse_time(result["fromDate"]), parse_time(result["toDate"])) == (parse_time(first), parse_time(last))
    empty = ok(admin.get("/audit/verify", fromDate="2020-01-01T00:00:00.000Z", toDate="2020-01-02T00:00:00.000Z"))
    assert (empty["verified"], empty["checkedCount"], empty["brokenAtEventId"]) == (True, 0, None)


def test_an_encoded_slash_is_no_path(admin: Caller) -> None:
    assert_error(admin.get("/audit/" + quote("verify/x", safe="")), 404, "AUDIT_EVENT_NOT_FOUND", "NOT_FOUND")


def test_an_entry_has_the_time_of_its_act(idp: Idp, admin: Caller, agent: Agent) -> None:
    before = time.time()
    ok(admin.patch(f"/agents/{agent.id}", {"version": "3.0.0"}))
    [entry] = idp.audit(agentId=agent.id, action="agent.updated")
    moment = parse_time(entry["timestamp"]).timestamp()
    assert before - 1 <= moment <= time.time() + 1
