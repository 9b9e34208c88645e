"""The AgentIdP client by itself, apart from any daemon; how it does with one is in `agentidp/test_sdk.py`."""

from __future__ import annotations

import inspect
from dataclasses import fields

import pytest

from sentryagent_idp import Agent, AgentIdPClient, AgentIdPError, AsyncAgentIdPClient, async_services, services, types


@pytest.mark.parametrize("name", ["AgentRegistryClient", "CredentialClient", "TokenClient", "AuditClient"])
def test_both_faces_are_the_same(name: str) -> None:
    def methods(kind: type) -> dict[str, str]:
        found = inspect.getmembers(kind, lambda each: inspect.isfunction(each) and not each.__name__.startswith("_"))
        return {name: str(inspect.signature(method)) for name, method in found}

    assert methods(getattr(services, name)) == methods(getattr(async_services, "Async" + name)) != {}


def test_what_is_unknown_is_passed_over_and_what_is_missing_is_not() -> None:
    body: dict[str, object] = {types.camel_case(each.name): "x" for each in fields(Agent)}
    assert types.read(Agent, body | {"new": 1}).agent_id == "x"
    for name in body:
        with pytest.raises(KeyError):
            types.read(Agent, {each: value for each, value in body.items() if each != name})


@pytest.mark.anyio
async def test_no_answer_at_all() -> None:
    # Nobody listens on the port of tcpmux.
    with AgentIdPClient("http://127.0.0.1:1", "a", "b") as client, pytest.raises(AgentIdPError) as caught:
        client.agents.list_agents()
    assert (caught.value.code, caught.value.http_status) == ("NETWORK_ERROR", 0) and str(caught.value)
    async with AsyncAgentIdPClient("http://127.0.0.1:1", "a", "b") as other:
        with pytest.raises(AgentIdPError) as caught:
            await other.agents.list_agents()
    assert (caught.value.code, caught.value.http_status) == ("NETWORK_ERROR", 0)


def test_refusals_of_either_shape() -> None:
    own = AgentIdPError.from_reply(400, {"code": "VALIDATION_ERROR", "message": "no", "details": {"field": "email"}})
    assert (own.code, str(own), own.http_status, own.details) == ("VALIDATION_ERROR", "no", 400, {"field": "email"})
    oauth = AgentIdPError.from_reply(401, {"error": "invalid_client", "error_description": "wrong secret"})
    assert (oauth.code, str(oauth), oauth.http_status) == ("invalid_client", "wrong secret", 401)
    others: list[object] = [None, [], {}, "text", {"code": 5}]
    for other in others:
        assert AgentIdPError.from_reply(502, other).http_status == 502
