"""How calls travel: each transport keeps one access token, and fetches the next before that one ends."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TypeVar

import httpx
import requests

from sentryagent_idp.calls import Call, issue_token
from sentryagent_idp.errors import AgentIdPError
from sentryagent_idp.types import TokenResponse

T = TypeVar("T")

# A token with less left than this is not used again.
RENEW_SECS = 60
TIMEOUT_SECS = 30


class TokenCache:
    """The last access token, and until when it is used."""

    def __init__(self) -> None:
        self._token: str | None = None
        self._until = 0.0

    def get(self) -> str | None:
        """The token, while it is good for a call."""
        return self._token if time.monotonic() < self._until else None

    def put(self, token: TokenResponse) -> str:
        """Keeps a new one."""
        self._token, self._until = token.access_token, time.monotonic() + token.expires_in - RENEW_SECS
        return token.access_token

    def clear(self) -> None:
        """Forgets it."""
        self._token, self._until = None, 0.0


class SyncTransport:
    """On requests; threads may share it."""

    def __init__(self, base_url: str, client_id: str, client_secret: str, scopes: list[str]):
        self._base_url = base_url.rstrip("/")
        self._token_call = issue_token(client_id, client_secret, scopes)
        self._session = requests.Session()
        self._lock = threading.Lock()
        self.cache = TokenCache()

    def send(self, call: Call[T]) -> T:
        """One exchange, with a bearer."""
        return self._exchange(call, self.token())

    def token(self) -> str:
        """An access token; the first caller fetches it, the others wait for that."""
        with self._lock:
            return self.cache.get() or self.cache.put(self._exchange(self._token_call, None))

    def close(self) -> None:
        """Closes its connections."""
        self._session.close()

    def _exchange(self, call: Call[T], access_token: str | None) -> T:
        try:
            reply = self._session.request(
                call.method,
                self._base_url + call.path,
                params=call.query,
                json=call.json,
                data=call.form,
                headers=call.headers(access_token),
                timeout=TIMEOUT_SECS,
            )
            body = reply.json() if reply.content else None
        except requests.JSONDecodeError:
            raise AgentIdPError.from_reply(reply.status_code, None) from None
        except requests.RequestException as error:
            raise AgentIdPError.network_error(error) from error
        return call.answer(reply.status_code, body)


class AsyncTransport:
    """On httpx; tasks may share it."""

    def __init__(self, base_url: str, client_id: str, client_secret: str, scopes: list[str]):
        self._base_url = base_url.rstrip("/")
        self._token_call = issue_token(client_id, client_secret, scopes)
        self._client = httpx.AsyncClient(timeout=TIMEOUT_SECS)
        self._lock = asyncio.Lock()
        self.cache = TokenCache()

    async def send(self, call: Call[T]) -> T:
        """One exchange, with a bearer."""
        return await self._exchange(call, await self.token())

    async def token(self) -> str:
        """An access token; the first caller fetches it, the others wait for that."""
        async with self._lock:
            return self.cache.get() or self.cache.put(await self._exchange(self._token_call, None))

    async def close(self) -> None:
        """Closes its connections."""
        await self._client.aclose()

    async def _exchange(self, call: Call[T], access_token: str | None) -> T:
        try:
            reply = await self._client.request(
                call.method,
                self._base_url + call.path,
                params=call.query,
                json=call.json,
                data=call.form,
                headers=call.headers(access_token),
            )
        except httpx.HTTPError as error:
            raise AgentIdPError.network_error(error) from error
        try:
            body = reply.json() if reply.content else None
        except ValueError:
            raise AgentIdPError.from_reply(reply.status_code, None) from None
        return call.answer(reply.status_code, body)
