"""Each operation once, for both clients: which request it is, and what its reply means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, TypeVar
from urllib.parse import quote

from sentryagent_idp.errors import AgentIdPError
from sentryagent_idp.types import (
    Agent,
    AuditEvent,
    Credential,
    CredentialWithSecret,
    IntrospectResponse,
    Page,
    RegisterAgentRequest,
    TokenResponse,
    UpdateAgentRequest,
    as_it_is,
    read,
    read_page,
    to_json,
)

T = TypeVar("T")

BASE_PATH = "/api/v1"
SCOPES = ("agents:read", "agents:write", "tokens:read", "audit:read")


def nothing(_body: object) -> None:
    """The reply of an operation that gives nothing back."""


@dataclass
class Call(Generic[T]):
    """An operation's request, and how to read its reply."""

    method: str
    path: str
    read: Callable[[object], T]
    query: dict[str, str] = field(default_factory=dict)
    json: dict[str, object] | None = None
    form: dict[str, str] | None = None

    def headers(self, access_token: str | None) -> dict[str, str]:
        """The request's fields; the token endpoint alone takes no bearer."""
        accept = {"Accept": "application/json"}
        return accept | ({"Authorization": f"Bearer {access_token}"} if access_token is not None else {})

    def answer(self, status: int, body: object) -> T:
        """What the reply gives; `AgentIdPError` when it refuses."""
        if not 200 <= status < 300:
            raise AgentIdPError.from_reply(status, body)
        return self.read(body)


def _path(*segments: str) -> str:
    return BASE_PATH + "".join("/" + quote(segment, safe="") for segment in segments)


def _query(**named: str | int | None) -> dict[str, str]:
    return {name: str(value) for name, value in named.items() if value is not None}


_agent: Callable[[object], Agent] = partial(read, Agent)
_secret: Callable[[object], CredentialWithSecret] = partial(read, CredentialWithSecret)


def issue_token(client_id: str, client_secret: str, scopes: Sequence[str]) -> Call[TokenResponse]:
    """Row 10."""
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": client_secret}
    reader: Callable[[object], TokenResponse] = partial(read, TokenResponse, spell=as_it_is)
    return Call("POST", _path("token"), reader, form=form | {"scope": " ".join(scopes)})


def register_agent(request: RegisterAgentRequest) -> Call[Agent]:
    """Row 1."""
    return Call("POST", _path("agents"), _agent, json=to_json(request))


def list_agents(
    status: str | None = None,
    limit: int | None = None,
    owner: str | None = None,
    agent_type: str | None = None,
    page: int | None = None,
) -> Call[Page[Agent]]:
    """Row 2."""
    query = _query(status=status, limit=limit, owner=owner, agentType=agent_type, page=page)
    return Call("GET", _path("agents"), read_page(Agent), query)


def get_agent(agent_id: str) -> Call[Agent]:
    """Row 3."""
    return Call("GET", _path("agents", agent_id), _agent)


def update_agent(agent_id: str, request: UpdateAgentRequest) -> Call[Agent]:
    """Row 4."""
    return Call("PATCH", _path("agents", agent_id), _agent, json=to_json(request))


def decommission_agent(agent_id: str) -> Call[None]:
    """Row 5."""
    return Call("DELETE", _path("agents", agent_id), nothing)


def generate_credential(agent_id: str) -> Call[CredentialWithSecret]:
    """Row 6."""
    return Call("POST", _path("agents", agent_id, "credentials"), _secret, json={})


def list_credentials(agent_id: str) -> Call[Page[Credential]]:
    """Row 7."""
    return Call("GET", _path("agents", agent_id, "credentials"), read_page(Credential))


def rotate_credential(agent_id: str, credential_id: str) -> Call[CredentialWithSecret]:
    """Row 8."""
    return Call("POST", _path("agents", agent_id, "credentials", credential_id, "rotate"), _secret, json={})


def revoke_credential(agent_id: str, credential_id: str) -> Call[None]:
    """Row 9."""
    return Call("DELETE", _path("agents", agent_id, "credentials", credential_id), nothing)


def introspect_token(token: str) -> Call[IntrospectResponse]:
    """Row 11."""
    reader: Callable[[object], IntrospectResponse] = partial(read, IntrospectResponse, spell=as_it_is)
    return Call("POST", _path("token", "introspect"), reader, form={"token": token})


def revoke_token(token: str) -> Call[None]:
    """Row 12."""
    return Call("POST", _path("token", "revoke"), nothing, form={"token": token})


def query_audit_log(
    agent_id: str | None = None,
    action: str | None = None,
    outcome: str | None = None,
    from_date: str | None = None,
    to_date: str | None = None,
    limit: int | None = None,
    page: int | None = None,
) -> Call[Page[AuditEvent]]:
    """Row 13."""
    query = _query(
        agentId=agent_id, action=action, outcome=outcome, fromDate=from_date, toDate=to_date, limit=limit, page=page
    )
    return Call("GET", _path("audit"), read_page(AuditEvent), query)


def get_audit_event(event_id: str) -> Call[AuditEvent]:
    """Row 14."""
    reader: Callable[[object], AuditEvent] = partial(read, AuditEvent)
    return Call("GET", _path("audit", event_id), reader)
