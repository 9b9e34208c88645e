"""The same agent, credential and token natively and through the other dialects: a dialect is a way of speaking, no store."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from agentidp.contract import assert_error, assert_oauth_error
from agentidp.idp import Agent, Caller, Idp, fresh, gone, ok
from native import get, submit


@pytest.fixture(scope="module")
def native(idp: Idp) -> Iterator[httpx.Client]:
    with idp.daemon.admin() as client:
        yield client


def test_an_agent_registered_here_is_there_natively(native: httpx.Client, admin: Caller, agent: Agent) -> None:
    found = get(native, f"/v1/identity/agents/{agent.id}")
    assert found["id"] == agent.id and found["status"] == "active"
    submit(native, "SuspendAgent", {"agent": agent.id})
    assert ok(admin.get(f"/agents/{agent.id}"))["status"] == "suspended"
    assert_oauth_error(admin_token(agent), 403, "unauthorized_client")
    submit(native, "ResumeAgent", {"agent": agent.id})
    caller = agent.login()
    submit(native, "DecommissionAgent", {"agent": agent.id})
    assert ok(admin.get(f"/agents/{agent.id}"))["status"] == "decommissioned"
    assert_error(caller.get("/agents"), 401, "UNAUTHORIZED")
    assert [row["status"] for row in ok(admin.get(f"/agents/{agent.id}/credentials"))["data"]] == ["revoked"]


def admin_token(agent: Agent) -> httpx.Response:
    return agent.idp.request_token(client_id=agent.id, client_secret=agent.secret)


def test_an_agent_registered_natively_is_here(idp: Idp, native: httpx.Client, admin: Caller) -> None:
    name = fresh("natively-")
    profile = {"email": f"{name}@outside.example"}
    agent = submit(native, "RegisterAgent", {"name": name, "profile": profile, "capabilities": ["files:read"]})["result"]["agent"]["id"]
    found = ok(admin.get(f"/agents/{agent}"))
    assert found["status"] == "active" and found["agentType"] == "custom" and found["version"] == "1.0.0"
    credential = ok(admin.post(f"/agents/{agent}/credentials", {}), 201)
    caller = idp.login(agent, credential["clientSecret"])
    assert ok(caller.root("GET", "/agent-info"))["agent_id"] == agent
    gone(admin.delete(f"/agents/{agent}"))
    assert get(native, f"/v1/identity/agents/{agent}")["status"] == "decommissioned"


def test_a_credential_made_natively_opens_this_door(idp: Idp, native: httpx.Client, agent: Agent) -> None:
    made = submit(native, "CreateCredential", {"agent": agent.id})["result"]
    secret = made["shown_once"]["client_secret"]
    idp.login(agent.id, secret)
    submit(native, "RevokeCredential", {"credential": made["credential"]["id"]})
    assert_oauth_error(idp.request_token(client_id=agent.id, client_secret=secret), 401, "invalid_client")


def test_a_token_issued_here_is_there_natively(idp: Idp, native: httpx.Client, admin: Caller, agent: Agent) -> None:
    caller = agent.login("agents:read")
    [token] = get(native, "/v1/token/tokens", agent=agent.id, profile="access")["items"]
    assert token["agent"] == agent.id
    submit(native, "RevokeToken", {"token": token["id"]})
    assert_error(caller.get("/agents"), 401, "UNAUTHORIZED")
    assert ok(admin.form("/token/introspect", token=caller.token)) == {"active": False}


def test_an_access_token_is_good_natively_only_within_its_scopes(idp: Idp, agent: Agent) -> None:
    token = agent.login("agents:read").token
    with idp.daemon.client(token) as client:
        reply = client.get(f"/v1/identity/agents/{agent.id}")
        assert reply.status_code in (200, 401)
        assert client.post("/v1/commands", json={"command": "DecommissionAgent", "params": {"agent": agent.id}}).status_code in (401, 403)
    assert ok(idp.admin.get(f"/agents/{agent.id}"))["status"] == "active"


def test_orgkernel_sees_it_too(idp: Idp, agent: Agent) -> None:
    with idp.daemon.orgkernel() as kernel:
        pages = kernel.get("/identity/org/root").json()
        assert isinstance(pages, list)


def test_every_act_is_an_event(idp: Idp, native: httpx.Client, agent: Agent) -> None:
    agent.login()
    ok(idp.admin.patch(f"/agents/{agent.id}", {"version": "1.2.0"}))
    gone(idp.admin.delete(f"/agents/{agent.id}"))
    kinds = [event["kind"] for event in get(native, "/v1/events", subject=f"agent:{agent.id}", limit=100)["items"]]
    for kind in ("AgentRegistered", "AgentKeyAdded", "CredentialCreated", "TokenIssued", "AgentUpdated", "CredentialRevoked"):
        assert kind in kinds, kinds
    assert kinds[-1] == "AgentDecommissioned"
