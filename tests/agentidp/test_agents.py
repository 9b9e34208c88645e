"""Rows 1 to 5: the registry. Contract sections 3, 4 and 5."""

from __future__ import annotations

import pytest

from agentidp.contract import (
    AGENT_FIELDS,
    AGENT_TYPES,
    ENVIRONMENTS,
    NOBODY,
    NOT_IDS,
    assert_error,
    assert_id,
    assert_page,
    parse_time,
    pass_by,
)
from agentidp.idp import Caller, Idp, agent_body, fresh, gone, ok

# A name of 255 characters, in labels of at most 63.
LONG_EMAIL = "a" * 60 + "@" + ".".join(["b" * 61] * 3) + ".examples"


def register(caller: Caller, **changes: object) -> dict:
    return ok(caller.post("/agents", agent_body(**changes)), 201)


def actions_of(idp: Idp, agent: str) -> list[str]:
    """What the audit log has of an agent, oldest first."""
    return [entry["action"] for entry in reversed(idp.audit(agentId=agent))]


# --- Row 1


def test_register(idp: Idp, admin: Caller) -> None:
    body = agent_body()
    agent = register(admin, **body)
    assert set(agent) == AGENT_FIELDS
    assert_id(agent["agentId"])
    assert {name: agent[name] for name in body} == body
    assert agent["status"] == "active" and agent["isPublic"] is False
    assert agent["createdAt"] == agent["updatedAt"]
    parse_time(agent["createdAt"])
    assert agent["did"].startswith("did:web:") and agent["did"].endswith(f":agents:{agent['agentId']}")
    assert ok(admin.get(f"/agents/{agent['agentId']}")) == agent


@pytest.mark.parametrize("kind", AGENT_TYPES)
def test_every_type(admin: Caller, kind: str) -> None:
    assert register(admin, agentType=kind)["agentType"] == kind


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_environment(admin: Caller, environment: str) -> None:
    assert register(admin, deploymentEnv=environment)["deploymentEnv"] == environment


@pytest.mark.parametrize("capability", ["text-classification", "resume:read", "resume:*", "a", "0_9-:*_-", "files:read-write"])
def test_both_forms_of_capabilities(admin: Caller, capability: str) -> None:
    assert register(admin, capabilities=[capability])["capabilities"] == [capability]


@pytest.mark.parametrize("version", ["0.0.0", "1.2.3", "10.20.30", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-0.3.7", "1.0.0-" + "x" * 58])
def test_versions(admin: Caller, version: str) -> None:
    assert register(admin, version=version)["version"] == version


def test_what_is_just_within_bounds(admin: Caller) -> None:
    assert len(LONG_EMAIL) == 255
    owner = "ö" * 128
    agent = register(admin, email=LONG_EMAIL, owner=owner)
    assert (agent["email"], agent["owner"]) == (LONG_EMAIL, owner)
    assert register(admin, owner="x")["owner"] == "x"


BAD = {
    "email": ["", "plain", "@b.example", "a@", "a b@c.example", "a@b@c.example", "x" + LONG_EMAIL, 5, None, ...],
    "agentType": ["", "bot", "Classifier", 5, None, ...],
    "version": ["", "1", "1.0", "v1.0.0", "1.0.0.0", "1.0.x", "1.0.0-", "1.0.0 ", "1.0.0-" + "x" * 59, 1, None, ...],
    "capabilities": [[], ["Read"], ["a b"], ["a:b:c"], [":a"], ["a:"], [""], ["a:b!"], ["ok", "no!"], [5], "a:b", None, ...],
    "owner": ["", "x" * 129, 5, None, ...],
    "deploymentEnv": ["", "prod", "Production", 5, None, ...],
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_registrations_out_of_bounds(admin: Caller, name: str, value: object) -> None:
    assert_error(admin.post("/agents", agent_body(**{name: value})), 400, "VALIDATION_ERROR", field=name)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'"x"', b"5", b"null", b"\xff", b'{"email": "a@b.example",}'])
def test_bodies_that_are_no_registration(admin: Caller, content: bytes) -> None:
    reply = admin.ask("POST", "/agents", content=content, headers={"Content-Type": "application/json"})
    assert_error(reply, 400, "VALIDATION_ERROR")


def test_an_email_is_taken_once_and_for_good(admin: Caller) -> None:
    agent = register(admin)
    for email in (agent["email"], agent["email"].upper()):
        assert_error(admin.post("/agents", agent_body(email=email)), 409, "AGENT_ALREADY_EXISTS")
    gone(admin.delete(f"/agents/{agent['agentId']}"))
    assert_error(admin.post("/agents", agent_body(email=agent["email"])), 409, "AGENT_ALREADY_EXISTS")


def test_a_refused_registration_takes_no_email(admin: Caller) -> None:
    email = fresh("late-") + "@outside.example"
    assert_error(admin.post("/agents", agent_body(email=email, version="1")), 400, "VALIDATION_ERROR")
    register(admin, email=email)


@pytest.mark.parametrize("name", ["organization_id", "organizationId"])
def test_the_organization_must_exist(admin: Caller, name: str) -> None:
    for value in (NOBODY, "acme", 5):
        refused = assert_error(admin.post("/agents", agent_body(**{name: value})), 400, "VALIDATION_ERROR")
        assert refused["details"]["field"] in ("organization_id", name)


# --- Row 2


@pytest.fixture(scope="module")
def fleet(idp: Idp) -> tuple[str, list[dict]]:
    """An owner with five agents, oldest first."""
    owner = fresh("fleet-")
    agents = [register(idp.admin, owner=owner, agentType=kind) for kind in ("router", "monitor", "router", "custom", "router")]
    agents[1] = ok(idp.admin.patch(f"/agents/{agents[1]['agentId']}", {"status": "suspended"}))
    gone(idp.admin.delete(f"/agents/{agents[2]['agentId']}"))
    agents[2] = ok(idp.admin.get(f"/agents/{agents[2]['agentId']}"))
    return owner, agents


def test_list_newest_first(admin: Caller, fleet: tuple[str, list[dict]]) -> None:
    owner, agents = fleet
    page = ok(admin.get("/agents", owner=owner))
    assert assert_page(page) == agents[::-1], "decommissioned ones too"
    assert page["total"] == 5


@pytest.mark.parametrize(
    ("filters", "places"),
    [
        ({"status": "active"}, [4, 3, 0]),
        ({"status": "suspended"}, [1]),
        ({"status": "decommissioned"}, [2]),
        ({"agentType": "router"}, [4, 2, 0]),
        ({"agentType": "router", "status": "active"}, [4, 0]),
        ({"agentType": "screener"}, []),
    ],
)
def test_filters_combine(admin: Caller, fleet: tuple[str, list[dict]], filters: dict, places: list[int]) -> None:
    owner, agents = fleet
    page = ok(admin.get("/agents", owner=owner, **filters))
    assert assert_page(page) == [agents[place] for place in places]
    assert page["total"] == len(places)


def test_a_filter_without_the_owner(admin: Caller, fleet: tuple[str, list[dict]]) -> None:
    for filters in ({"status": "suspended"}, {"agentType": "custom"}, {}):
        page = ok(admin.get("/agents", limit=100, **filters))
        for agent in assert_page(page, limit=100):
            assert {name: agent[name] for name in filters} == filters
        times = [parse_time(agent["createdAt"]) for agent in page["data"]]
        assert times == sorted(times, reverse=True)


def test_pages(admin: Caller, fleet: tuple[str, list[dict]]) -> None:
    owner, agents = fleet
    rows = []
    for number, size in ((1, 2), (2, 2), (3, 1), (4, 0)):
        page = ok(admin.get("/agents", owner=owner, limit=2, page=number))
        assert len(assert_page(page, number, 2)) == size
        assert page["total"] == 5
        rows += page["data"]
    assert rows == agents[::-1]
    far = ok(admin.get("/agents", owner=owner, page=1_000_000, limit=100))
    assert assert_page(far, 1_000_000, 100) == [] and far["total"] == 5
    assert assert_page(ok(admin.get("/agents", owner=fresh("nobody-")))) == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("status", value) for value in ("", "ACTIVE", "deleted", "active,suspended")),
        *(("agentType", value) for value in ("", "bot", "Router")),
        *(("page", value) for value in ("0", "-1", "x", "1.5", "", "99999999999999999999")),
        *(("limit", value) for value in ("0", "-1", "101", "x", "2.0", "")),
    ],
)
def test_lists_out_of_bounds(admin: Caller, name: str, value: str) -> None:
    assert_error(admin.get("/agents", **{name: value}), 400, "VALIDATION_ERROR", field=name)


# --- Row 3


@pytest.mark.parametrize("agent_id", [NOBODY, *NOT_IDS])
@pytest.mark.parametrize("method", ["GET", "PATCH", "DELETE"])
def test_agents_that_do_not_exist(admin: Caller, method: str, agent_id: str) -> None:
    body = {"json": {"version": "1.0.1"}} if method == "PATCH" else {}
    assert_error(admin.ask(method, f"/agents/{agent_id}", **body), 404, "AGENT_NOT_FOUND")


# --- Row 4


@pytest.fixture(scope="module")
def kept(idp: Idp) -> dict:
    """An agent that every update is refused of."""
    return register(idp.admin)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("agentType", "monitor"),
        ("version", "2.0.0-rc.1"),
        ("capabilities", ["intent-detection"]),
        ("owner", "another-team"),
        ("deploymentEnv", "staging"),
    ],
)
def test_update_one_field(idp: Idp, admin: Caller, name: str, value: object) -> None:
    agent = register(admin)
    pass_by(agent["updatedAt"])
    changed = ok(admin.patch(f"/agents/{agent['agentId']}", {name: value}))
    assert parse_time(changed["updatedAt"]) > parse_time(agent["updatedAt"])
    assert changed == agent | {name: value, "updatedAt": changed["updatedAt"]}
    assert ok(admin.get(f"/agents/{agent['agentId']}")) == changed
    assert actions_of(idp, agent["agentId"]) == ["agent.created", "agent.updated"]


def test_update_all_at_once(idp: Idp, admin: Caller) -> None:
    agent = register(admin)
    changes = {
        "agentType": "router",
        "version": "3.0.0",
        "capabilities": ["a:b", "c"],
        "owner": "o2",
        "deploymentEnv": "development",
        "status": "suspended",
    }
    changed = ok(admin.patch(f"/agents/{agent['agentId']}", changes))
    assert changed == agent | changes | {"updatedAt": changed["updatedAt"]}
    assert ok(admin.get(f"/agents/{agent['agentId']}")) == changed
    assert "agent.suspended" in actions_of(idp, agent["agentId"])


def test_an_update_finds_its_agent_in_lists(admin: Caller) -> None:
    before, after = fresh("owner-"), fresh("owner-")
    agent = register(admin, owner=before)
    ok(admin.patch(f"/agents/{agent['agentId']}", {"owner": after}))
    assert ok(admin.get("/agents", owner=before))["total"] == 0
    assert [each["agentId"] for each in ok(admin.get("/agents", owner=after))["data"]] == [agent["agentId"]]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("agentId", NOBODY),
        ("email", "other@outside.example"),
        ("createdAt", "2026-01-01T00:00:00.000Z"),
        *((name, value) for name in BAD if name != "email" for value in BAD[name] if value not in (None, ...)),
        ("status", "deleted"),
        ("status", "Active"),
        ("status", 5),
    ],
)
def test_updates_out_of_bounds(admin: Caller, kept: dict, name: str, value: object) -> None:
    changes = {"version": "9.9.9"} | {name: value}
    assert_error(admin.patch(f"/agents/{kept['agentId']}", changes), 400, "VALIDATION_ERROR", field=name)
    assert ok(admin.get(f"/agents/{kept['agentId']}")) == kept, "nothing of a refused update is kept"


def test_an_update_of_nothing(admin: Caller, kept: dict) -> None:
    path = f"/agents/{kept['agentId']}"
    for reply in (admin.patch(path, {}), admin.patch(path), admin.patch(path, [])):
        assert_error(reply, 400, "VALIDATION_ERROR")
    reply = admin.ask("PATCH", path, content=b'{"version": ', headers={"Content-Type": "application/json"})
    assert_error(reply, 400, "VALIDATION_ERROR")


def test_suspend_and_reactivate(idp: Idp, admin: Caller) -> None:
    agent = register(admin)
    path = f"/agents/{agent['agentId']}"
    for status in ("suspended", "active", "suspended"):
        pass_by(agent["updatedAt"])
        changed = ok(admin.patch(path, {"status": status}))
        assert changed == agent | {"status": status, "updatedAt": changed["updatedAt"]}
        assert parse_time(changed["updatedAt"]) > parse_time(agent["updatedAt"])
        agent = changed
    gone(admin.delete(path))
    assert actions_of(idp, agent["agentId"]) == [
        "agent.created",
        "agent.suspended",
        "agent.reactivated",
        "agent.suspended",
        "agent.decommissioned",
    ]


# --- Row 5


def test_decommission_is_for_good(idp: Idp, admin: Caller) -> None:
    agent = register(admin)
    path = f"/agents/{agent['agentId']}"
    pass_by(agent["updatedAt"])
    gone(admin.delete(path))
    ended = ok(admin.get(path))
    assert ended == agent | {"status": "decommissioned", "updatedAt": ended["updatedAt"]}
    assert parse_time(ended["updatedAt"]) > parse_time(agent["updatedAt"])
    assert_error(admin.delete(path), 409, "AGENT_ALREADY_DECOMMISSIONED")
    for changes in ({"version": "2.0.0"}, {"status": "active"}, {"status": "suspended"}, {"status": "decommissioned"}):
        assert_error(admin.patch(path, changes), 409, "AGENT_ALREADY_DECOMMISSIONED")
    assert ok(admin.get(path)) == ended
    assert actions_of(idp, agent["agentId"]) == ["agent.created", "agent.decommissioned"]


def test_decommission_by_status(idp: Idp, admin: Caller) -> None:
    agent = register(admin)
    path = f"/agents/{agent['agentId']}"
    ended = ok(admin.patch(path, {"status": "decommissioned"}))
    assert ended["status"] == "decommissioned"
    assert_error(admin.delete(path), 409, "AGENT_ALREADY_DECOMMISSIONED")
    assert actions_of(idp, agent["agentId"])[-1] == "agent.decommissioned"


def test_any_agent_may_register_others(idp: Idp) -> None:
    caller = idp.agent().login("agents:read agents:write")
    agent = register(caller)
    assert ok(caller.get(f"/agents/{agent['agentId']}")) == agent
    gone(caller.delete(f"/agents/{agent['agentId']}"))
