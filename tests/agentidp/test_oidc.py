"""Rows 50 to 53: a workflow's token becomes an agent's. Contract section 11."""

from __future__ import annotations

import pytest

from agentidp.contract import NOBODY, assert_error
from agentidp.idp import Agent, Caller, fresh, ok

FIELDS = {"id", "provider", "repository", "branch", "agentId", "createdAt", "updatedAt"}


def policy(caller: Caller, agent: str, **changes: object) -> dict:
    body = {"provider": "github", "repository": fresh("acme/agents-"), "agentId": agent} | changes
    return ok(caller.post("/oidc/trust-policies", body), 201)


def policies(caller: Caller, **query: object) -> list[dict]:
    answer = caller.get("/oidc/trust-policies", **query).json()
    return answer if isinstance(answer, list) else answer["data"]


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
