"""What the client sends and receives. Names are Python's; on the wire they are camelCase, except where OAuth 2.0 says
otherwise. What the server adds is passed over; what it leaves out is an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Generic, Literal, TypeVar

AgentType = Literal["screener", "classifier", "orchestrator", "extractor", "summarizer", "router", "monitor", "custom"]
DeploymentEnv = Literal["development", "staging", "production"]
AgentStatus = Literal["active", "suspended", "decommissioned"]
CredentialStatus = Literal["active", "revoked"]
AuditOutcome = Literal["success", "failure"]

T = TypeVar("T")


def camel_case(name: str) -> str:
    """`agent_id` as `agentId`."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


def as_it_is(name: str) -> str:
    """A name that is the same on the wire."""
    return name


def read(kind: type[T], body: object, spell: Callable[[str], str] = camel_case) -> T:
    """An object of that kind from a reply's JSON."""
    if not isinstance(body, Mapping):
        raise TypeError(f"{kind.__name__} is no JSON object: {body!r}")
    known = [each for each in fields(kind) if spell(each.name) in body or each.default is MISSING]  # type: ignore[arg-type]
    return kind(**{each.name: body[spell(each.name)] for each in known})


def to_json(request: object) -> dict[str, object]:
    """A request's fields that are set."""
    values = {camel_case(each.name): getattr(request, each.name) for each in fields(request)}  # type: ignore[arg-type]
    return {name: value for name, value in values.items() if value is not None}


@dataclass
class RegisterAgentRequest:
    """An agent to register."""

    email: str
    agent_type: AgentType
    version: str
    capabilities: list[str]
    owner: str
    deployment_env: DeploymentEnv


@dataclass
class UpdateAgentRequest:
    """What is to change; the rest stays."""

    agent_type: AgentType | None = None
    version: str | None = None
    capabilities: list[str] | None = None
    owner: str | None = None
    deployment_env: DeploymentEnv | None = None
    status: AgentStatus | None = None


@dataclass
class Agent:
    """An agent of the registry."""

    agent_id: str
    email: str
    agent_type: AgentType
    version: str
    capabilities: list[str]
    owner: str
    deployment_env: DeploymentEnv
    status: AgentStatus
    created_at: str
    updated_at: str


@dataclass
class Credential:
    """A credential without its secret."""

    credential_id: str
    client_id: str
    status: CredentialStatus
    created_at: str
    expires_at: str | None
    revoked_at: str | None


@dataclass
class CredentialWithSecret(Credential):
    """A credential just made or rotated: the only time its secret is shown."""

    client_secret: str


@dataclass
class TokenResponse:
    """An access token, as the token endpoint answers."""

    access_token: str
    token_type: str
    expires_in: int
    scope: str


@dataclass
class IntrospectResponse:
    """What a token is now. An inactive one is nothing else."""

    active: bool
    sub: str | None = None
    client_id: str | None = None
    scope: str | None = None
    token_type: str | None = None
    iat: int | None = None
    exp: int | None = None


@dataclass
class AuditEvent:
    """An entry of the audit log."""

    event_id: str
    agent_id: str
    action: str
    outcome: AuditOutcome
    ip_address: str
    user_agent: str
    metadata: dict[str, object]
    timestamp: str


@dataclass
class Page(Generic[T]):
    """A page of a list, and how many there are over all pages."""

    data: list[T]
    total: int
    page: int
    limit: int


def read_page(kind: type[T]) -> Callable[[object], Page[T]]:
    """A reader of pages of that kind."""

    def reader(body: object) -> Page[T]:
        page: Page[T] = read(Page, body)
        page.data = [read(kind, each) for each in page.data]
        return page

    return reader
