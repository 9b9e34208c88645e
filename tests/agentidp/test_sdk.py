"""The SDK's client, both faces: every call, its token cache, and its one exception. Contract section 13."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable

import pytest

from agentidp.contract import NOBODY, until
from agentidp.idp import Agent, Idp, fresh
from sentryagent_idp import (
    Agent as SdkAgent,
)
from sentryagent_idp import (
    AgentIdPClient,
    AgentIdPError,
    AsyncAgentIdPClient,
    AuditEvent,
    Credential,
    CredentialWithSecret,
    IntrospectResponse,
    RegisterAgentRequest,
    UpdateAgentRequest,
    transport,
)


def request() -> RegisterAgentRequest:
    return RegisterAgentRequest(
        email=fresh("sdk-") + "@outside.example",
        agent_type="classifier",
        version="2.0.0",
        capabilities=["text-classification"],
        owner="platform-team",
        deployment_env="production",
    )


def test_every_call(idp: Idp) -> None:
    with AgentIdPClient(idp.root, idp.client_id, idp.client_secret) as client:
        agent = client.agents.register_agent(request())
        assert type(agent) is SdkAgent and agent.status == "active" and agent.agent_type == "classifier"
        assert client.agents.get_agent(agent.agent_id) == agent
        page = client.agents.list_agents(status="active", limit=1, owner="platform-team", agent_type="classifier", page=1)
        assert page.data == [agent] and (page.page, page.limit) == (1, 1) and page.total >= 1
        updated = client.agents.update_agent(agent.agent_id, UpdateAgentRequest(version="2.1.0", deployment_env="staging"))
        assert (updated.version, updated.deployment_env, updated.owner) == ("2.1.0", "staging", "platform-team")

        made = client.credentials.generate_credential(agent.agent_id)
        assert type(made) is CredentialWithSecret and made.client_id == agent.agent_id
        rotated = client.credentials.rotate_credential(agent.agent_id, made.credential_id)
        assert rotated.credential_id == made.credential_id and rotated.client_secret != made.client_secret
        [listed] = client.credentials.list_credentials(agent.agent_id).data
        assert type(listed) is Credential and listed.status == "active"

        with AgentIdPClient(idp.root + "/", agent.agent_id, rotated.client_secret, ["tokens:read"]) as theirs:
            assert theirs.tokens.introspect_token("x") == IntrospectResponse(active=False)
            token = idp.login(agent.agent_id, rotated.client_secret, "agents:read").token
            found = theirs.tokens.introspect_token(str(token))
            assert found.active is True and found.sub == agent.agent_id and found.exp == (found.iat or 0) + 3600
            theirs.tokens.revoke_token(str(token))
            assert theirs.tokens.introspect_token(str(token)).active is False

        client.credentials.revoke_credential(agent.agent_id, made.credential_id)
        client.agents.decommission_agent(agent.agent_id)
        assert client.agents.get_agent(agent.agent_id).status == "decommissioned"

        entry = client.audit.query_audit_log(agent_id=agent.agent_id, action="agent.decommissioned", outcome="success", limit=5).data[0]
        assert type(entry) is AuditEvent and client.audit.get_audit_event(entry.event_id) == entry


@pytest.mark.anyio
async def test_every_call_asynchronously(idp: Idp) -> None:
    async with AsyncAgentIdPClient(idp.root, idp.client_id, idp.client_secret) as client:
        agent = await client.agents.register_agent(request())
        assert await client.agents.get_agent(agent.agent_id) == agent
        assert agent in (await client.agents.list_agents(limit=100)).data
        updated = await client.agents.update_agent(agent.agent_id, UpdateAgentRequest(status="suspended"))
        assert updated.status == "suspended"
        await client.agents.update_agent(agent.agent_id, UpdateAgentRequest(status="active"))

        made = await client.credentials.generate_credential(agent.agent_id)
        rotated = await client.credentials.rotate_credential(agent.agent_id, made.credential_id)
        assert [each.credential_id for each in (await client.credentials.list_credentials(agent.agent_id)).data] == [made.credential_id]

        async with AsyncAgentIdPClient(idp.root, agent.agent_id, rotated.client_secret) as theirs:
            tokens = await asyncio.gather(*(theirs._transport.token() for _ in range(10)))
            assert len(set(tokens)) == 1, "tasks share one token"
            assert (await client.tokens.introspect_token(tokens[0])).active is True
            await theirs.tokens.revoke_token(tokens[0])
            assert (await client.tokens.introspect_token(tokens[0])).active is False

        await client.credentials.revoke_credential(agent.agent_id, made.credential_id)
        await client.agents.decommission_agent(agent.agent_id)
        page = await client.audit.query_audit_log(agent_id=agent.agent_id, action="agent.decommissioned")
        assert await client.audit.get_audit_event(page.data[0].event_id) == page.data[0]


def issued(idp: Idp, agent: Agent) -> int:
    return len(idp.audit(agentId=agent.id, action="token.issued"))


def test_one_token_for_many_calls(idp: Idp, agent: Agent) -> None:
    with AgentIdPClient(idp.root, agent.id, agent.secret) as client:
        calls = [threading.Thread(target=client.agents.list_agents) for _ in range(8)]
        for call in calls:
            call.start()
        for call in calls:
            call.join()
        assert issued(idp, agent) == 1
        client.clear_token_cache()
        client.agents.list_agents()
        client.agents.list_agents()
        assert issued(idp, agent) == 2


def test_a_token_is_renewed_before_it_ends(idp: Idp, agent: Agent, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(transport.time, "monotonic", lambda: now)
    with AgentIdPClient(idp.root, agent.id, agent.secret) as client:
        client.agents.list_agents()
        now += 3600 - 61
        client.agents.list_agents()
        assert issued(idp, agent) == 1
        now += 1
        client.agents.list_agents()
        assert issued(idp, agent) == 2


def test_a_rotated_secret_fails_only_the_next_token(idp: Idp, agent: Agent) -> None:
    with AgentIdPClient(idp.root, agent.id, agent.secret) as client:
        client.credentials.rotate_credential(agent.id, agent.credential_id)
        client.agents.list_agents()
        client.clear_token_cache()
        refused(client.agents.list_agents, "invalid_client", 401)


def refused(call: Callable[[], object], code: str, status: int) -> AgentIdPError:
    with pytest.raises(AgentIdPError) as caught:
        call()
    assert (caught.value.code, caught.value.http_status) == (code, status) and str(caught.value)
    return caught.value


def test_refusals(idp: Idp, agent: Agent) -> None:
    with AgentIdPClient(idp.root, idp.client_id, idp.client_secret) as client:
        refused(lambda: client.agents.get_agent("non-existent-id"), "AGENT_NOT_FOUND", 404)
        refused(lambda: client.agents.get_agent("../audit"), "AGENT_NOT_FOUND", 404)
        refused(lambda: client.credentials.revoke_credential(agent.id, NOBODY), "CREDENTIAL_NOT_FOUND", 404)
        bad = request()
        bad.version = "new"
        error = refused(lambda: client.agents.register_agent(bad), "VALIDATION_ERROR", 400)
        assert error.details is not None and error.details["field"] == "version"
    with AgentIdPClient(idp.root, agent.id, agent.secret, scopes=["tokens:read"]) as client:
        refused(client.agents.list_agents, "FORBIDDEN", 403)
    with AgentIdPClient(idp.root, agent.id, "wrong") as client:
        refused(client.agents.list_agents, "invalid_client", 401)
    with AgentIdPClient(idp.daemon.url + "/nowhere", agent.id, agent.secret) as client:
        with pytest.raises(AgentIdPError) as caught:
            client.agents.list_agents()
        assert caught.value.http_status == 404


@pytest.mark.anyio
async def test_refusals_asynchronously(idp: Idp) -> None:
    async with AsyncAgentIdPClient(idp.root, idp.client_id, idp.client_secret) as client:
        with pytest.raises(AgentIdPError) as caught:
            await client.agents.get_agent("non-existent-id")
        assert (caught.value.code, caught.value.http_status) == ("AGENT_NOT_FOUND", 404)


def test_audit_of_the_client_s_own_acts(idp: Idp, agent: Agent) -> None:
    with AgentIdPClient(idp.root, agent.id, agent.secret) as client:
        client.tokens.introspect_token("x")
        until(lambda: client.audit.query_audit_log(agent_id=agent.id, action="token.introspected").total == 1)
        [entry] = client.audit.query_audit_log(agent_id=agent.id, action="token.issued").data
        assert entry.user_agent.startswith("python-requests/")
