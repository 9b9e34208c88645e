"""The services of the asynchronous client, method for method those of `services`."""

from __future__ import annotations

from sentryagent_idp import calls
from sentryagent_idp.transport import AsyncTransport
from sentryagent_idp.types import (
    Agent,
    AuditEvent,
    Credential,
    CredentialWithSecret,
    IntrospectResponse,
    Page,
    RegisterAgentRequest,
    UpdateAgentRequest,
)


class AsyncAgentRegistryClient:
    """`client.agents`"""

    def __init__(self, transport: AsyncTransport):
        self._transport = transport

    async def register_agent(self, request: RegisterAgentRequest) -> Agent:
        """Registers an agent."""
        return await self._transport.send(calls.register_agent(request))

    async def list_agents(
        self,
        status: str | None = None,
        limit: int | None = None,
        owner: str | None = None,
        agent_type: str | None = None,
        page: int | None = None,
    ) -> Page[Agent]:
        """A page of the agents that match."""
        return await self._transport.send(calls.list_agents(status, limit, owner, agent_type, page))

    async def get_agent(self, agent_id: str) -> Agent:
        """One agent."""
        return await self._transport.send(calls.get_agent(agent_id))

    async def update_agent(self, agent_id: str, request: UpdateAgentRequest) -> Agent:
        """Changes what the request names."""
        return await self._transport.send(calls.update_agent(agent_id, request))

    async def decommission_agent(self, agent_id: str) -> None:
        """Ends an agent for good."""
        await self._transport.send(calls.decommission_agent(agent_id))


class AsyncCredentialClient:
    """`client.credentials`"""

    def __init__(self, transport: AsyncTransport):
        self._transport = transport

    async def generate_credential(self, agent_id: str) -> CredentialWithSecret:
        """A new credential, its secret shown this once."""
        return await self._transport.send(calls.generate_credential(agent_id))

    async def list_credentials(self, agent_id: str) -> Page[Credential]:
        """The agent's credentials, without secrets."""
        return await self._transport.send(calls.list_credentials(agent_id))

    async def rotate_credential(self, agent_id: str, credential_id: str) -> CredentialWithSecret:
        """The same credential with a new secret; the old one is dead."""
        return await self._transport.send(calls.rotate_credential(agent_id, credential_id))

    async def revoke_credential(self, agent_id: str, credential_id: str) -> None:
        """Ends a credential for good."""
        await self._transport.send(calls.revoke_credential(agent_id, credential_id))


class AsyncTokenClient:
    """`client.tokens`"""

    def __init__(self, transport: AsyncTransport):
        self._transport = transport

    async def introspect_token(self, token: str) -> IntrospectResponse:
        """What a token is now."""
        return await self._transport.send(calls.introspect_token(token))

    async def revoke_token(self, token: str) -> None:
        """Ends a token for good."""
        await self._transport.send(calls.revoke_token(token))


class AsyncAuditClient:
    """`client.audit`"""

    def __init__(self, transport: AsyncTransport):
        self._transport = transport

    async def query_audit_log(
        self,
        agent_id: str | None = None,
        action: str | None = None,
        outcome: str | None = None,
        from_date: str | None = None,
        to_date: str | None = None,
        limit: int | None = None,
        page: int | None = None,
    ) -> Page[AuditEvent]:
        """A page of the entries that match, newest first."""
        return await self._transport.send(calls.query_audit_log(agent_id, action, outcome, from_date, to_date, limit, page))

    async def get_audit_event(self, event_id: str) -> AuditEvent:
        """One entry."""
        return await self._transport.send(calls.get_audit_event(event_id))
