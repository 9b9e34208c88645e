"""Rows 21 to 25: analytics and tiers, which are computed from what happened. Contract section 11."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import pytest

from agentidp.contract import assert_error
from agentidp.idp import Agent, Caller, Idp, agent_body, ok


def today() -> date:
    return datetime.now(timezone.utc).date()


def counts(caller: Caller, days: int | None = None) -> dict[str, int]:
    answer = ok(caller.get("/analytics/tokens", days=days))
    assert answer["tenantId"] == answer["organizationId"]
    assert answer["days"] == (days or 30) == len(answer["data"])
    dates = [date.fromisoformat(each["date"]) for each in answer["data"]]
    assert dates == [dates[0] + timedelta(days=place) for place in range(len(dates))], "oldest first, without a gap"
    assert today() - timedelta(days=1) <= dates[-1] <= today()
    return {each["date"]: each["count"] for each in answer["data"]}


@pytest.mark.parametrize("days", [None, 1, 7, 30, 90])
def test_tokens_by_day(admin: Caller, days: int | None) -> None:
    found = counts(admin, days)
    assert all(isinstance(count, int) and count >= 0 for count in found.values())


def test_a_token_counts_on_its_day(admin: Caller, agent: Agent) -> None:
    day = today()
    before = counts(admin, 2)
    for _ in range(3):
        agent.login("agents:read")
    after = counts(admin, 2)
    if today() == day:
        assert after[str(day)] == before[str(day)] + 3
    assert sum(after.values()) >= 3


@pytest.mark.parametrize("days", ["0", "91", "-1", "x", "1.5", ""])
def test_days_out_of_range(admin: Caller, days: str) -> None:
    assert_error(admin.get("/analytics/tokens", days=days), 400, "INVALID_DATE_RANGE", "VALIDATION_ERROR")


def test_tokens_by_agent(admin: Caller, agent: Agent) -> None:
    for _ in range(4):
        agent.login("agents:read")
    answer = ok(admin.get("/analytics/agents"))
    assert set(answer) >= {"tenantId", "month", "data"}
    assert answer["month"] in (today().isoformat()[:7], (today() - timedelta(days=1)).isoformat()[:7])
    [row] = [each for each in answer["data"] if each["agentId"] == agent.id]
    assert set(row) >= {"agentId", "name", "tokenCount"}
    assert row["tokenCount"] == 4 and row["name"]


def test_activity(admin: Caller, agent: Agent) -> None:
    for _ in range(2):
        agent.login("agents:read")
    answer = ok(admin.get("/analytics/agents/activity"))
    assert answer["tenantId"]
    rows = [each for each in answer["data"] if each["agentId"] == agent.id]
    assert rows and sum(each["count"] for each in rows) >= 2
    for row in answer["data"]:
        assert set(row) >= {"agentId", "dow", "hour", "count"}
        assert 0 <= row["dow"] <= 6 and 0 <= row["hour"] <= 23 and row["count"] >= 1


def test_analytics_are_the_token_s_organization_s(idp: Idp, admin: Caller) -> None:
    organization = ok(admin.post("/organizations", {"name": "Counted", "slug": "counted-alone"}), 201)["organizationId"]
    agent = idp.agent(organization_id=organization)
    caller = agent.login()
    agent.login()
    assert sum(counts(caller, 7).values()) == 2
    assert ok(caller.get("/analytics/tokens"))["organizationId"] == organization
    assert [each["agentId"] for each in ok(caller.get("/analytics/agents"))["data"]] == [agent.id]
    assert {each["agentId"] for each in ok(caller.get("/analytics/agents/activity"))["data"]} == {agent.id}


# --- Tiers


def test_tier_status(admin: Caller) -> None:
    status = ok(admin.get("/tiers/status"))
    assert status["tier"] in ("free", "pro", "enterprise")
    assert set(status["limits"]) >= {"maxAgents", "maxCallsPerDay", "maxTokensPerDay"}
    assert set(status["usage"]) >= {"agentCount", "callsToday", "tokensToday"}


def test_usage_is_what_was_used(idp: Idp, admin: Caller) -> None:
    organization = ok(admin.post("/organizations", {"name": "Used", "slug": "used-alone"}), 201)["organizationId"]
    agent = idp.agent(organization_id=organization)
    day = today()
    caller = agent.login()
    agent.login()
    usage = ok(caller.get("/tiers/status"))["usage"]
    assert usage["agentCount"] == 1
    if today() == day:
        assert usage["tokensToday"] == 2
        assert ok(caller.get("/tiers/status"))["usage"]["callsToday"] >= usage["callsToday"] >= 1
    other = ok(admin.post("/agents", agent_body(organization_id=organization)), 201)
    assert ok(caller.get("/tiers/status"))["usage"]["agentCount"] == 2
    ok(admin.patch(f"/agents/{other['agentId']}", {"status": "decommissioned"}))
    assert ok(caller.get("/tiers/status"))["usage"]["agentCount"] == 1, "a count of those that are"


def test_upgrade(admin: Caller) -> None:
    reply = admin.post("/tiers/upgrade", {"targetTier": "pro"})
    assert reply.status_code in (200, 404, 501), reply.text
    if reply.status_code == 200:
        assert reply.json()["checkoutUrl"].startswith("https://")
    else:
        assert reply.json()["code"] and reply.json()["message"]
