"""An agent that signs its requests by a library of somebody else (RFC 9421)."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import datetime

import httpx
import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import HTTPMessageSigner, HTTPSignatureKeyResolver, algorithms

from native import submit

COVERED = ("@method", "@target-uri", "content-digest", "content-type")


class OneKey(HTTPSignatureKeyResolver):
    """The signer's own key, whatever it is called."""

    def __init__(self, private: Ed25519PrivateKey):
        self.private = private

    def resolve_private_key(self, key_id: str) -> Ed25519PrivateKey:
        return self.private


@dataclass
class Signer:
    """An agent with its key."""

    url: str
    agent: str
    key: str
    private: Ed25519PrivateKey

    @staticmethod
    def registered(admin: httpx.Client, name: str, scopes: list[str]) -> Signer:
        private = Ed25519PrivateKey.generate()
        public = private.public_key().public_bytes_raw().hex()
        made = submit(admin, "RegisterAgent", {"name": name, "key": {"bring": public}})["result"]
        agent, key = made["agent"]["id"], made["certificate"]["key"]
        if scopes:
            submit(admin, "GrantScopes", {"agent": agent, "scopes": scopes})
        return Signer(str(admin.base_url).rstrip("/"), agent, key, private)

    def signed(
        self,
        command: str,
        params: dict | None = None,
        *,
        covered: tuple[str, ...] = COVERED,
        query: str = "",
        headers: dict[str, str] | None = None,
        created: datetime | None = None,
        expires: datetime | None = None,
        nonce: str | None = None,
    ) -> requests.PreparedRequest:
        """A command as a request that the agent signed."""
        content = json.dumps({"command": command, "params": params or {}}).encode()
        fields = {"Content-Type": "application/json", **(headers or {})}
        prepared = requests.Request("POST", f"{self.url}/v1/commands{query}", headers=fields, data=content).prepare()
        signer = HTTPMessageSigner(signature_algorithm=algorithms.ED25519, key_resolver=OneKey(self.private))
        signer.sign(
            prepared,
            key_id=self.key,
            created=created,
            expires=expires,
            nonce=nonce or secrets.token_urlsafe(16),
            covered_component_ids=covered,
            body=content if "content-digest" in covered else None,
        )
        return prepared

    def send(self, command: str, params: dict | None = None, **how: object) -> requests.Response:
        return deliver(self.signed(command, params, **how))  # type: ignore[arg-type]


def deliver(prepared: requests.PreparedRequest) -> requests.Response:
    """Sends a request as it is."""
    with requests.Session() as session:
        return session.send(prepared, timeout=60)
