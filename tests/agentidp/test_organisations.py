"""Rows 15 to 20: organizations. Contract section 11."""

from __future__ import annotations

import pytest

from agentidp.contract import NOBODY, NOT_IDS, assert_error, assert_id, assert_page, parse_time
from agentidp.idp import Agent, Caller, Idp, agent_body, fresh, gone, ok

FIELDS = {
    "organizationId", "name", "slug", "planTier", "maxAgents", "maxTokensPerMonth", "status", "createdAt", "updatedAt",
}  # fmt: skip


def made(admin: Caller, **more: object) -> dict:
    body = {"name": "Acme & Co", "slug": fresh("acme-")} | more
    return ok(admin.post("/organizations", body), 201)


def test_life(idp: Idp, admin: Caller) -> None:
    organisation = made(admin)
    assert set(organisation) == FIELDS
    identity = organisation["organizationId"]
    assert_id(identity)
    assert organisation["status"] == "active" and organisation["planTier"] in ("free", "pro", "enterprise")
    assert parse_time(organisation["createdAt"]) == parse_time(organisation["updatedAt"])
    assert ok(admin.get(f"/organizations/{identity}")) == organisation

    changed = ok(admin.patch(f"/organizations/{identity}", {"name": "Acme", "planTier": "pro", "maxAgents": 2}))
    assert (changed["name"], changed["planTier"], changed["maxAgents"]) == ("Acme", "pro", 2)
    assert changed["maxTokensPerMonth"] == 100_000 and changed["slug"] == organisation["slug"]
    back = ok(admin.patch(f"/organizations/{identity}", {"maxAgents": None}))
    assert back["maxAgents"] == 1_000

    agent = ok(admin.post("/agents", agent_body(organization_id=identity)), 201)
    assert agent["organizationId"] == identity
    assert_error(admin.delete(f"/organizations/{identity}"), 409, "ORG_HAS_ACTIVE_AGENTS")
    gone(admin.delete(f"/agents/{agent['agentId']}"))
    gone(admin.delete(f"/organizations/{identity}"))
    assert ok(admin.get(f"/organizations/{identity}"))["status"] == "deleted"
    for again in (admin.delete(f"/organizations/{identity}"), admin.patch(f"/organizations/{identity}", {"name": "xy"})):
        assert_error(again, 404, "ORG_NOT_FOUND")
    assert_error(admin.post("/agents", agent_body(organization_id=identity)), 400, "VALIDATION_ERROR", field="organization_id")
    assert_error(admin.post("/organizations", {"name": "xy", "slug": organisation["slug"]}), 409, "ORG_ALREADY_EXISTS")

    actions = [entry["action"] for entry in idp.audit() if entry["metadata"].get("organizationId") == identity]
    assert actions == [] or set(actions) <= {"org.created", "org.updated", "org.deleted"}
    every = [entry["action"] for entry in idp.audit()]
    assert {"org.created", "org.updated", "org.deleted"} <= set(every)


def test_tiers_have_their_defaults(admin: Caller) -> None:
    for tier, agents, tokens in [("free", 100, 10_000), ("pro", 1_000, 100_000), ("enterprise", None, None)]:
        organisation = made(admin, planTier=tier)
        assert (organisation["maxAgents"], organisation["maxTokensPerMonth"]) == (agents, tokens)
    own = made(admin, planTier="free", maxAgents=5, maxTokensPerMonth=6)
    assert (own["maxAgents"], own["maxTokensPerMonth"]) == (5, 6)


def test_the_limit_on_agents_is_held(admin: Caller) -> None:
    organisation = made(admin, maxAgents=1)["organizationId"]
    first = ok(admin.post("/agents", agent_body(organizationId=organisation)), 201)
    error = assert_error(admin.post("/agents", agent_body(organizationId=organisation)), 403, "FREE_TIER_LIMIT_EXCEEDED")
    assert error["details"]["limit"] == 1
    gone(admin.delete(f"/agents/{first['agentId']}"))
    ok(admin.post("/agents", agent_body(organizationId=organisation)), 201)


def test_suspension_reaches_the_agents(idp: Idp, admin: Caller) -> None:
    organisation = made(admin)["organizationId"]
    agent = idp.agent(organization_id=organisation)
    caller = agent.login()
    ok(caller.get("/agents", limit=1))
    assert ok(admin.patch(f"/organizations/{organisation}", {"status": "suspended"}))["status"] == "suspended"
    assert idp.request_token(client_id=agent.id, client_secret=agent.secret).status_code == 403
    assert_error(caller.get("/agents", limit=1), 401, "UNAUTHORIZED")
    ok(admin.patch(f"/organizations/{organisation}", {"status": "active"}))
    ok(caller.get("/agents", limit=1))


def test_members(admin: Caller, agent: Agent) -> None:
    organisation = made(admin)["organizationId"]
    path = f"/organizations/{organisation}/members"
    membership = ok(admin.post(path, {"agentId": agent.id, "role": "admin"}), 201)
    assert set(membership) == {"memberId", "organizationId", "agentId", "role", "joinedAt"}
    assert_id(membership["memberId"])
    assert (membership["organizationId"], membership["agentId"]) == (organisation, agent.id)
    assert membership["role"] == "admin"
    assert_error(admin.post(path, {"agentId": agent.id, "role": "member"}), 409, "ALREADY_MEMBER")
    assert_error(admin.post(path, {"agentId": NOBODY, "role": "member"}), 404, "AGENT_NOT_FOUND")
    assert_error(admin.post(f"/organizations/{NOBODY}/members", {"agentId": agent.id, "role": "member"}), 404, "ORG_NOT_FOUND")
    for body, field in [
        ({"role": "member"}, "agentId"),
        ({"agentId": "x", "role": "member"}, "agentId"),
        ({"agentId": agent.id, "role": "owner"}, "role"),
    ]:
        assert_error(admin.post(path, body), 400, "VALIDATION_ERROR", field=field)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"slug": "acme-x"}, "name"),
        ({"name": "A", "slug": "acme-x"}, "name"),
        ({"name": "x" * 101, "slug": "acme-x"}, "name"),
        ({"name": "Acme"}, "slug"),
        ({"name": "Acme", "slug": "no slug/"}, "slug"),
        ({"name": "Acme", "slug": "acme-x", "planTier": "gold"}, "planTier"),
        ({"name": "Acme", "slug": "acme-x", "maxAgents": -1}, "maxAgents"),
        ({"name": "Acme", "slug": "acme-x", "maxTokensPerMonth": "many"}, "maxTokensPerMonth"),
    ],
)
def test_what_is_wrong_is_named(admin: Caller, body: dict, field: str) -> None:
    assert_error(admin.post("/organizations", body), 400, "VALIDATION_ERROR", field=field)


def test_changes_that_cannot_be(admin: Caller) -> None:
    organisation = made(admin)["organizationId"]
    for body, field in [({}, "body"), ({"slug": "other"}, "slug"), ({"status": "deleted"}, "status")]:
        assert_error(admin.patch(f"/organizations/{organisation}", body), 400, "VALIDATION_ERROR", field=field)


def test_pages(admin: Caller) -> None:
    ids = [made(admin)["organizationId"] for _ in range(3)]
    gone(admin.delete(f"/organizations/{ids[1]}"))
    rows = assert_page(ok(admin.get("/organizations", page=1, limit=3)), limit=3)
    assert [each["organizationId"] for each in rows] == ids[::-1]
    deleted = ok(admin.get("/organizations", status="deleted", limit=1))
    assert [each["organizationId"] for each in deleted["data"]] == [ids[1]]
    assert ok(admin.get("/organizations", page=10_000))["data"] == []
    for query in ({"status": "gone"}, {"page": 0}, {"limit": 101}):
        assert_error(admin.get("/organizations", **query), 400, "VALIDATION_ERROR", field=next(iter(query)))


def test_who_may(idp: Idp, admin: Caller, agent: Agent) -> None:
    caller = agent.login()
    for reply in (caller.get("/organizations"), caller.post("/organizations", {})):
        assert_error(reply, 403, "FORBIDDEN")
    assert_error(idp.nobody.get("/organizations"), 401, "UNAUTHORIZED")
    for nothing in [NOBODY, *NOT_IDS[:1]]:
        assert_error(admin.get(f"/organizations/{nothing}"), 404, "ORG_NOT_FOUND")
