"""One tenant sees nothing of another: its ids are answered as those of nothing."""

from __future__ import annotations

import httpx
import pytest

from agentidp.contract import NOBODY, assert_error
from agentidp.idp import Agent, Idp, agent_body, gone, ok
from agentidp.tenants import Tenant, another


@pytest.fixture(scope="module")
def them(idp: Idp) -> Tenant:
    return another(idp)


def bare(reply: httpx.Response, thing: str) -> tuple[int, str]:
    """An answer without the id that was asked for."""
    return reply.status_code, reply.text.replace(thing, "…")


def test_ids_of_another_tenant_are_of_nothing(idp: Idp, them: Tenant) -> None:
    agent = idp.agent()
    entry = idp.audit(agentId=agent.id)[0]["eventId"]
    organization = ok(idp.admin.post("/organizations", {"name": "Ours", "slug": "ours-alone"}), 201)["organizationId"]
    agents = f"/agents/{{}}/credentials/{agent.credential_id}"
    for method, path, thing, body in (
        ("GET", "/agents/{}", agent.id, None),
        ("PATCH", "/agents/{}", agent.id, {"version": "9.9.9"}),
        ("DELETE", "/agents/{}", agent.id, None),
        ("GET", "/agents/{}/credentials", agent.id, None),
        ("POST", "/agents/{}/credentials", agent.id, {}),
        ("POST", agents + "/rotate", agent.id, {}),
        ("DELETE", agents, agent.id, None),
        ("GET", "/audit/{}", entry, None),
        ("GET", "/organizations/{}", organization, None),
        ("PATCH", "/organizations/{}", organization, {"name": "Theirs"}),
        ("DELETE", "/organizations/{}", organization, None),
        ("POST", "/organizations/{}/members", organization, {"agentId": them.agent, "role": "member"}),
        ("POST", "/agents", organization, {}),
    ):
        answers = []
        for each in (thing, NOBODY):
            how: dict = {} if body is None else {"json": body}
            if path == "/agents":
                how = {"json": agent_body(organization_id=each)}
            answers.append(bare(them.caller.ask(method, path.format(each), **how), each))
        assert answers[0] == answers[1], f"{method} {path}"
        # Row 1 knows no 404: a field names what is not there.
        assert answers[0][0] == (400 if path == "/agents" else 404)
    assert ok(idp.admin.get(f"/agents/{agent.id}")) == agent.registered
    agent.login()


def test_lists_are_each_tenant_s_own(idp: Idp, them: Tenant, agent: Agent) -> None:
    mine = ok(them.caller.post("/agents", agent_body(owner="theirs")), 201)["agentId"]
    listed = {each["agentId"] for each in ok(them.caller.get("/agents", limit=100))["data"]}
    assert mine in listed and agent.id not in listed
    assert mine not in {each["agentId"] for each in ok(idp.admin.get("/agents", owner="theirs"))["data"]}
    subjects = {entry["agentId"] for entry in idp.audit(them.caller)}
    assert mine in subjects and agent.id not in subjects
    assert idp.audit(agentId=mine) == []
    assert idp.audit(them.caller, agentId=agent.id) == []
    chain = ok(them.caller.get("/audit/verify"))
    assert chain["verified"] is True and chain["checkedCount"] < ok(idp.admin.get("/audit/verify"))["checkedCount"]


def test_an_email_is_taken_in_every_tenant(them: Tenant, agent: Agent) -> None:
    reply = them.caller.post("/agents", agent_body(email=agent.registered["email"]))
    if reply.status_code != 201:
        assert_error(reply, 409, "AGENT_ALREADY_EXISTS")


def test_tokens_of_another_tenant(idp: Idp, them: Tenant, agent: Agent) -> None:
    token = agent.login().token
    assert ok(them.caller.form("/token/introspect", token=token)) == {"active": False}
    reply = them.caller.form("/token/revoke", token=token)
    assert reply.status_code == 200 or assert_error(reply, 403, "FORBIDDEN")
    assert ok(idp.admin.form("/token/introspect", token=token))["active"] is True
    assert ok(idp.admin.form("/token/introspect", token=them.caller.token)) == {"active": False}
    found = {entry["agentId"] for entry in idp.audit(them.caller, action="token.issued")}
    assert agent.id not in found


def test_delegation_stays_in_the_tenant(them: Tenant, agent: Agent) -> None:
    body = {"delegateeAgentId": them.agent, "scopes": ["agents:read"], "ttlSeconds": 600}
    assert_error(agent.login().post("/oauth2/token/delegate", body), 404, "AGENT_NOT_FOUND")


def test_webhooks_and_partners_are_each_tenant_s_own(idp: Idp, them: Tenant) -> None:
    body = {"url": "https://hooks.example/ours", "events": ["agent.created"], "secret": "x" * 32}
    hook = ok(idp.admin.post("/webhooks", body), 201)["id"]
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/deliveries")):
        assert_error(them.caller.ask(method, f"/webhooks/{hook}{path}"), 404, "WEBHOOK_NOT_FOUND")
    assert hook not in {each["id"] for each in ok(them.caller.get("/webhooks", limit=100))["data"]}
    partner = {"name": "Ours", "issuer": "https://ours.example", "jwksUri": "https://ours.example/jwks"}
    made = ok(idp.admin.post("/federation/trust", partner), 201)["id"]
    assert_error(them.caller.get(f"/federation/partners/{made}"), 404, "PARTNER_NOT_FOUND")
    assert_error(them.caller.delete(f"/federation/partners/{made}"), 404, "PARTNER_NOT_FOUND")
    gone(idp.admin.delete(f"/webhooks/{hook}"))
