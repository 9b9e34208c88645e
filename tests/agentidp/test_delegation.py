"""Rows 54 to 56: one agent acts for another. Contract section 11; RFC 8693 at the token endpoint."""

from __future__ import annotations

import pytest

from agentidp.contract import NOBODY, assert_error, assert_id, assert_oauth_error, parse_time
from agentidp.idp import Agent, Caller, Idp, gone, ok
from agentidp.jwts import claims_of

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"


@pytest.fixture
def other(idp: Idp) -> Agent:
    """The delegatee."""
    return idp.agent()


def delegate(caller: Caller, to: str, **changes: object) -> dict:
    body = {"delegateeAgentId": to, "scopes": ["agents:read"], "ttlSeconds": 600} | changes
    return ok(caller.post("/oauth2/token/delegate", body), 201)


def verify(caller: Caller, token: str) -> dict:
    return ok(caller.post("/oauth2/token/verify-delegation", {"delegationToken": token}))


def test_delegate(idp: Idp, agent: Agent, other: Agent) -> None:
    made = delegate(agent.login(), other.id, scopes=["agents:read", "audit:read"])
    assert set(made) >= {"delegationToken", "chainId", "delegatorAgentId", "delegateeAgentId", "scopes", "expiresAt"}
    assert made["delegationToken"].startswith("sa_del_")
    assert_id(made["chainId"])
    assert (made["delegatorAgentId"], made["delegateeAgentId"]) == (agent.id, other.id)
    assert sorted(made["scopes"]) == ["agents:read", "audit:read"]
    found = verify(other.login(), made["delegationToken"])
    assert found["valid"] is True and found["expiresAt"] == made["expiresAt"]
    parse_time(found["expiresAt"])
    assert sorted(found["scopes"]) == ["agents:read", "audit:read"]
    assert made["delegationToken"] not in idp.daemon.log()


@pytest.mark.parametrize("ttl", [60, 86400])
def test_lifetimes(agent: Agent, other: Agent, ttl: int) -> None:
    assert delegate(agent.login(), other.id, ttlSeconds=ttl)["expiresAt"]


@pytest.mark.parametrize("ttl", [59, 86401, 0, -1, "x", 60.5, None])
def test_lifetimes_out_of_bounds(agent: Agent, other: Agent, ttl: object) -> None:
    body = {"delegateeAgentId": other.id, "scopes": ["agents:read"], "ttlSeconds": ttl}
    assert_error(agent.login().post("/oauth2/token/delegate", body), 400, "INVALID_TTL", "VALIDATION_ERROR")
    if isinstance(ttl, int):
        assert_error(agent.login().post("/oauth2/token/delegate", body), 400, "INVALID_TTL")


def test_only_scopes_that_the_caller_has(agent: Agent, other: Agent) -> None:
    caller = agent.login("agents:read")
    body = {"delegateeAgentId": other.id, "scopes": ["agents:read", "audit:read"], "ttlSeconds": 600}
    assert_error(caller.post("/oauth2/token/delegate", body), 400, "INVALID_SCOPES")
    for scopes in ([], "agents:read", [5], None):
        assert_error(caller.post("/oauth2/token/delegate", body | {"scopes": scopes}), 400, "VALIDATION_ERROR", field="scopes")
    assert_error(caller.post("/oauth2/token/delegate", body | {"scopes": ["nonsense"]}), 400, "INVALID_SCOPES", "VALIDATION_ERROR")
    delegate(caller, other.id, scopes=["agents:read"])


def test_to_whom(admin: Caller, agent: Agent, other: Agent) -> None:
    caller = agent.login()
    body = {"scopes": ["agents:read"], "ttlSeconds": 600}
    assert_error(caller.post("/oauth2/token/delegate", body | {"delegateeAgentId": NOBODY}), 404, "AGENT_NOT_FOUND")
    assert_error(caller.post("/oauth2/token/delegate", body | {"delegateeAgentId": agent.id}), 400, "VALIDATION_ERROR")
    assert_error(caller.post("/oauth2/token/delegate", body), 400, "VALIDATION_ERROR", field="delegateeAgentId")
    ok(admin.patch(f"/agents/{other.id}", {"status": "suspended"}))
    reply = caller.post("/oauth2/token/delegate", body | {"delegateeAgentId": other.id})
    assert reply.status_code in (400, 403, 404, 409), reply.text


def test_what_is_no_delegation(agent: Agent) -> None:
    caller = agent.login()
    for text in ("x", "sa_del_" + "0" * 52, caller.token):
        assert verify(caller, text)["valid"] is False
    assert_error(caller.post("/oauth2/token/verify-delegation", {}), 400, "VALIDATION_ERROR", field="delegationToken")


def test_revoke(agent: Agent, other: Agent) -> None:
    caller = agent.login()
    made = delegate(caller, other.id)
    path = f"/oauth2/token/delegate/{made['chainId']}"
    assert_error(other.login().delete(path), 403, "FORBIDDEN")
    assert verify(caller, made["delegationToken"])["valid"] is True
    gone(caller.delete(path))
    assert verify(caller, made["delegationToken"])["valid"] is False
    gone(caller.delete(path))
    for unknown in (NOBODY, "x"):
        assert_error(caller.delete(f"/oauth2/token/delegate/{unknown}"), 404, "DELEGATION_NOT_FOUND", "NOT_FOUND")


@pytest.mark.parametrize("which", ["delegator", "delegatee"])
@pytest.mark.parametrize("status", ["suspended", "decommissioned"])
def test_a_delegation_ends_with_either_agent(admin: Caller, agent: Agent, other: Agent, which: str, status: str) -> None:
    made = delegate(agent.login(), other.id)
    ended = agent if which == "delegator" else other
    ok(admin.patch(f"/agents/{ended.id}", {"status": status}))
    assert verify(admin, made["delegationToken"])["valid"] is False


# --- RFC 8693


def exchange(idp: Idp, agent: Agent, subject: str, **more: str) -> object:
    fields = {"subject_token": subject, "subject_token_type": ACCESS_TOKEN} | more
    return idp.request_token(client_id=agent.id, client_secret=agent.secret, grant_type=EXCHANGE, **fields)


def test_exchange_names_who_acts_for_whom(idp: Idp, agent: Agent, other: Agent) -> None:
    made = delegate(agent.login(), other.id, scopes=["agents:read", "audit:read"])
    issued = ok(exchange(idp, other, made["delegationToken"]))  # type: ignore[arg-type]
    assert issued["token_type"] == "Bearer" and issued["issued_token_type"] == ACCESS_TOKEN
    claims = claims_of(issued["access_token"])
    assert claims["sub"] == agent.id, "whom it is for"
    assert claims["act"]["sub"] == other.id, "who acts"
    assert set(claims["scope"].split(" ")) <= {"agents:read", "audit:read"}
    ok(Caller(idp.http, issued["access_token"]).get("/agents", limit=1))
    narrower = ok(exchange(idp, other, made["delegationToken"], scope="audit:read"))  # type: ignore[arg-type]
    assert narrower["scope"] == "audit:read"
    assert_oauth_error(exchange(idp, other, made["delegationToken"], scope="agents:write"), 400, "invalid_scope")  # type: ignore[arg-type]


def test_exchange_is_refused(idp: Idp, agent: Agent, other: Agent) -> None:
    caller = agent.login()
    made = delegate(caller, other.id)
    third = idp.agent()
    assert_oauth_error(exchange(idp, third, made["delegationToken"]), 400, "invalid_grant", "invalid_request")  # type: ignore[arg-type]
    assert_oauth_error(exchange(idp, other, "sa_del_" + "0" * 52), 400, "invalid_grant", "invalid_request")  # type: ignore[arg-type]
    gone(caller.delete(f"/oauth2/token/delegate/{made['chainId']}"))
    assert_oauth_error(exchange(idp, other, made["delegationToken"]), 400, "invalid_grant", "invalid_request")  # type: ignore[arg-type]


def test_what_came_of_a_delegation_ends_with_it(idp: Idp, agent: Agent, other: Agent) -> None:
    caller = agent.login()
    made = delegate(caller, other.id)
    acting = Caller(idp.http, ok(exchange(idp, other, made["delegationToken"]))["access_token"])  # type: ignore[arg-type]
    ok(acting.get("/agents", limit=1))
    gone(caller.delete(f"/oauth2/token/delegate/{made['chainId']}"))
    assert_error(acting.get("/agents"), 401, "UNAUTHORIZED")
