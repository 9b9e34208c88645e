"""What the client sends and receives, under the reference page's names. An absent optional is not sent."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime, timezone
from enum import Enum


class AgentIdentityStatus(str, Enum):
    """An identity's status; prints as its bare name, as the page shows."""

    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    REVOKED = "REVOKED"
    EXPIRED = "EXPIRED"

    __str__ = str.__str__


class AuditLayer(str, Enum):
    """An audit entry's layer."""

    IDENTITY = "IDENTITY"
    EXECUTION = "EXECUTION"
    COMPLIANCE = "COMPLIANCE"
    GOVERNANCE = "GOVERNANCE"

    __str__ = str.__str__


class Sent:
    """A request body."""

    def to_json(self) -> dict:
        """The fields that are set."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}  # type: ignore[arg-type]
        return {name: to_wire(value) for name, value in values.items() if value is not None}


def to_wire(value: object) -> object:
    """A Python value as JSON; a time must know its zone."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be sent")
        return value.astimezone(timezone.utc).isoformat()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, list):
        return [to_wire(each) for each in value]
    return value


@dataclass
class AgentIdentityCSR(Sent):
    """A request for an identity."""

    agent_name: str
    org_id: str
    requested_ou: str
    public_key: str
    purpose: str
    metadata: dict = field(default_factory=dict)
    requested_validity_days: int | None = None


@dataclass
class AgentIdentityVerify(Sent):
    """Which identity to check."""

    agent_id: str


@dataclass
class AgentIdentityRevoke(Sent):
    """Who revokes, and why."""

    revoked_by: str
    reason: str


@dataclass
class ChallengeResponse(Sent):
    """An agent's answer to a challenge."""

    challenge_id: str
    agent_id: str
    certificate_id: str
    public_key: str
    nonce: str
    signature: str
    issued_at: datetime | None = None


@dataclass
class ExecutionTokenCreate(Sent):
    """What a token is to allow."""

    agent_id: str
    mission_id: str
    execution_scope: list
    expires_at: datetime
    immutable_params: dict = field(default_factory=dict)
    bounded_params: list = field(default_factory=list)
    boundary_snapshot_id: str | None = None


@dataclass
class ScopeCheckRequest(Sent):
    """A tool call to hold against a token."""

    token_id: str
    tool_name: str
    params: dict = field(default_factory=dict)
    agent_id: str | None = None


_ENUMS = {"status": AgentIdentityStatus, "layer": AuditLayer}
_TIMES = {
    "issued_at", "valid_until", "revoked_at", "verified_at", "created_at", "expires_at", "invalidated_at",
    "initialized_at", "closed_at", "timestamp",
}  # fmt: skip
_OBJECTS = {"identity", "certificate"}


class Received:
    """A reply's object, field by field, with times and enumerations typed; `raw` is the JSON it came as."""

    def __init__(self, raw: dict):
        self.raw = raw
        for name, value in raw.items():
            setattr(self, name, _typed(name, value))

    def __repr__(self) -> str:
        return f"Received({self.raw!r})"


def _typed(name: str, value: object) -> object:
    if value is None:
        return None
    if name in _ENUMS:
        return _ENUMS[name](value)
    if name in _TIMES:
        instant = datetime.fromisoformat(value)  # type: ignore[arg-type]
        if instant.tzinfo is None:
            raise ValueError(f"{name} came without an offset: {value}")
        return instant
    if name in _OBJECTS:
        return Received(value)  # type: ignore[arg-type]
    if name == "entries":
        return [Received(each) for each in value]  # type: ignore[attr-defined]
    return value
