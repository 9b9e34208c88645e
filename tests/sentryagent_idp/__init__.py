"""A client for AgentIdP with the names, calls and dataclasses of the `sentryagent-idp` SDK for Python: a synchronous one on
requests, an asynchronous one on httpx. Written from the SDK's README and our contract of it, section 13."""

from sentryagent_idp.client import AgentIdPClient, AsyncAgentIdPClient
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
)

__all__ = [
    "Agent",
    "AgentIdPClient",
    "AgentIdPError",
    "AsyncAgentIdPClient",
    "AuditEvent",
    "Credential",
    "CredentialWithSecret",
    "IntrospectResponse",
    "Page",
    "RegisterAgentRequest",
    "TokenResponse",
    "UpdateAgentRequest",
]
