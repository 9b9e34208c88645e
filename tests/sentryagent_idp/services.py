"""The services of the synchronous client; `async_services` has the same ones for the other."""

from __future__ import annotations

from sentryagent_idp import calls
from sentryagent_idp.transport import SyncTransport
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


class AgentRegistryClient:
    """`client.agents`"""

    def __init__(self, transport: SyncTransport):
        self._transport = transport

    def register_agent(self, request: RegisterAgentRequest) -> Agent:
        """Registers an agent."""
        return self._transport.send(calls.register_agent(request))

    def list_agents(
        self,
        status: str | None = None,
        limit: int | None = None,
        owner: str | None = None,
        agent_type: str | None = None,
        page: int | None = None,
    ) -> Page[Agent]:
        """A page of the agents that match."""
        return self._transport.send(calls.list_agents(status, limit, owner, agent_type, page))

    def get_agent(self, agent_id: str) -> Agent:
        """One agent."""
        return self._transport.send(calls.get_agent(agent_id))

    def update_agent(self, agent_id: str, request: UpdateAgentRequest) -> Agent:
        """Changes what the request names."""
        return self._transport.send(calls.update_agent(agent_id, request))

    def decommission_agent(self, agent_id: str) -> None:
        """Ends an agent for good."""
        self._transport.send(calls.decommission_agent(agent_id))


class CredentialClient:
    """`client.credentials`"""

    def __init__(self, transport: SyncTransport):
        self._transport = transport

    def generate_credential(self, agent_id: str) -> CredentialWithSecret:
        """A new credential, its secret shown this once."""
        return self._transport.send(calls.generate_credential(agent_id))

    def list_credentials(self, agent_id: str) -> Page[Credential]:
        """The agent's credentials, without secrets."""
        return self._transport.send(calls.list_credentials(agent_id))

    def rotate_credential(self, agent_id: str, credential_id: str) -> CredentialWithSecret:
        """The same credential with a new secret; the old one is dead."""
        return self._transport.send(calls.rotate_credential(agent_id, credential_id))

    def revoke_credential(self, agent_id: str, credential_id: str) -> None:
        """Ends a credential for good."""
        self._transport.send(calls.revoke_credential(agent_id, credential_id))


class TokenClient:
    """`client.tokens`"""

    def __init__(self, transport: SyncTransport):
        self._transport = transport

    def introspect_token(self, token: str) -> IntrospectResponse:
        """What a token is now."""
        return self._transport.send(calls.introspect_token(token))

    def revoke_token(self, token: str) -> None:
        """Ends a token for good."""
        self._transport.send(calls.revoke_token(token))


class AuditClient:
    """`client.audit`"""

    def __init__(self, transport: SyncTransport):
        self._transport = transport

    def query_audit_log(
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
        return self._transport.send(calls.query_audit_log(agent_id, action, outcome, from_date, to_date, limit, page))

    def get_audit_event(self, event_id: str) -> AuditEvent:
        """One entry."""
        return self._transport.send(calls.get_audit_event(event_id))
