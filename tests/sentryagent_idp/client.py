"""The two clients."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from sentryagent_idp.async_services import (
    AsyncAgentRegistryClient,
    AsyncAuditClient,
    AsyncCredentialClient,
    AsyncTokenClient,
)
from sentryagent_idp.calls import SCOPES
from sentryagent_idp.services import AgentRegistryClient, AuditClient, CredentialClient, TokenClient
from sentryagent_idp.transport import AsyncTransport, SyncTransport


class AgentIdPClient:
    """The synchronous client. It asks for all four core scopes unless told otherwise."""

    def __init__(self, base_url: str, client_id: str, client_secret: str, scopes: Sequence[str] | None = None):
        self._transport = SyncTransport(base_url, client_id, client_secret, list(scopes or SCOPES))
        self.agents = AgentRegistryClient(self._transport)
        self.credentials = CredentialClient(self._transport)
        self.tokens = TokenClient(self._transport)
        self.audit = AuditClient(self._transport)

    def clear_token_cache(self) -> None:
        """Makes the next call fetch a new token."""
        self._transport.cache.clear()

    def __enter__(self) -> AgentIdPClient:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._transport.close()


class AsyncAgentIdPClient:
    """The asynchronous client. It asks for all four core scopes unless told otherwise."""

    def __init__(self, base_url: str, client_id: str, client_secret: str, scopes: Sequence[str] | None = None):
        self._transport = AsyncTransport(base_url, client_id, client_secret, list(scopes or SCOPES))
        self.agents = AsyncAgentRegistryClient(self._transport)
        self.credentials = AsyncCredentialClient(self._transport)
        self.tokens = AsyncTokenClient(self._transport)
        self.audit = AsyncAuditClient(self._transport)

    def clear_token_cache(self) -> None:
        """Makes the next call fetch a new token."""
        self._transport.cache.clear()

    async def __aenter__(self) -> AsyncAgentIdPClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.close()
