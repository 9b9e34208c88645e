"""Rows 50 to 53: a workflow's token becomes an agent's. Contract section 11."""

from __future__ import annotations

import pytest

from agentidp.contract import NOBODY, assert_error, assert_id, parse_time
from agentidp.idp import Agent, Caller, Idp, fresh, gone, ok

FIELDS = {"id", "provider", "repository", "branch", "agentId", "createdAt", "updatedAt"}


def policy(caller: Caller, agent: str, **changes: object) -> dict:
    body = {"provider": "github", "repository": fresh("acme/agents-"), "agentId": agent} | changes
    return ok(caller.post("/oidc/trust-policies", body), 201)


def policies(caller: Caller, **query: object) -> list[dict]:
    answer = caller.get("/oidc/trust-policies", **query).json()
    return answer if isinstance(answer, list) else answer["data"]


def test_policies(admin: Caller, agent: Agent) -> None:
    anywhere = policy(admin, agent.id)
    main = policy(admin, agent.id, branch="main")
    for made, branch in ((anywhere, None), (main, "main")):
        assert set(made) >= FIELDS
        assert_id(made["id"])
        assert (made["provider"], made["branch"], made["agentId"]) == ("github", branch, agent.id)
        parse_time(made["createdAt"])
        assert made in policies(admin, agentId=agent.id)
    assert len(policies(admin, agentId=agent.id)) == 2
    gone(admin.delete(f"/oidc/trust-policies/{main['id']}"))
    assert policies(admin, agentId=agent.id) == [anywhere]
    assert_error(admin.delete(f"/oidc/trust-policies/{main['id']}"), 404, "TRUST_POLICY_NOT_FOUND")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("provider", value) for value in ("gitlab", "", 5, None)),
        *(("repository", value) for value in ("", "acme", "a/b/c", "a b/c", "/", 5, None)),
        *(("branch", value) for value in ("", 5)),
        *(("agentId", value) for value in ("x", 5, None)),
    ],
)
def test_policies_out_of_bounds(admin: Caller, agent: Agent, name: str, value: object) -> None:
    body = {"provider": "github", "repository": "acme/agents", "agentId": agent.id} | {name: value}
    assert_error(admin.post("/oidc/trust-policies", body), 400, "VALIDATION_ERROR", field=name)


def test_the_agent_must_exist(admin: Caller) -> None:
    body = {"provider": "github", "repository": "acme/agents", "agentId": NOBODY}
    assert_error(admin.post("/oidc/trust-policies", body), 404, "AGENT_NOT_FOUND")


def test_tokens_that_are_none(idp: Idp) -> None:
    assert idp.nobody.post("/oidc/token", {}).status_code == 400
    for text in ("x", "a.b.c", "x" * 5000):
        assert idp.nobody.post("/oidc/token", {"token": text}).status_code in (400, 401, 403)
