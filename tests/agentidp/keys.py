"""Agents that prove who they are by their own key: RFC 7523 assertions and RFC 9449 proofs."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from uuid import uuid4

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from joserfc.jwk import OKPKey

from agentidp.idp import Idp, agent_body, ok
from agentidp.jwts import b64u
from native import submit

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@dataclass
class AgentWithKey:
    """An agent whose Ed25519 key we hold."""

    id: str
    key: Ed25519PrivateKey

    def okp(self) -> OKPKey:
        """The key, as Authlib takes it."""
        pem = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return OKPKey.import_key(pem)

    def assertion(self, audience: str, *, key: object = None, algorithm: str = "EdDSA", **claims: object) -> str:
        """A client assertion; `...` leaves a claim out."""
        now = int(time.time())
        good = {"iss": self.id, "sub": self.id, "aud": audience, "jti": str(uuid4()), "iat": now, "exp": now + 60}
        payload = {name: value for name, value in (good | claims).items() if value is not ...}
        return jwt.encode(payload, key or self.key, algorithm)  # type: ignore[arg-type]


def agent_with_key(idp: Idp) -> AgentWithKey:
    """Registers an agent natively with a key that is brought."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()
    with idp.daemon.admin() as native:
        name = agent_body()["email"].split("@")[0]
        registered = submit(native, "RegisterAgent", {"name": name, "key": {"bring": public}})
    agent = registered["result"]["agent"]["id"]
    ok(idp.admin.get(f"/agents/{agent}"))
    return AgentWithKey(agent, key)


class Proof:
    """A client that binds its tokens to a key (RFC 9449)."""

    def __init__(self, algorithm: str = "ES256") -> None:
        self.algorithm = algorithm
        self.key = ec.generate_private_key(ec.SECP256R1()) if algorithm == "ES256" else Ed25519PrivateKey.generate()
        public = self.key.public_key()
        if isinstance(public, ec.EllipticCurvePublicKey):
            numbers = public.public_numbers()
            x, y = (b64u(number.to_bytes(32, "big")) for number in (numbers.x, numbers.y))
            self.jwk = {"crv": "P-256", "kty": "EC", "x": x, "y": y}
        else:
            self.jwk = {"crv": "Ed25519", "kty": "OKP", "x": b64u(public.public_bytes(Encoding.Raw, PublicFormat.Raw))}

    def thumbprint(self) -> str:
        """RFC 7638."""
        members = ",".join(f'"{name}":"{self.jwk[name]}"' for name in sorted(self.jwk))
        return b64u(hashlib.sha256(("{" + members + "}").encode()).digest())

    def sign(self, method: str, url: str, token: str | None = None, *, typ: str = "dpop+jwt", **claims: object) -> str:
        """A proof for one request; `...` leaves a claim out."""
        good: dict[str, object] = {"jti": str(uuid4()), "htm": method, "htu": url, "iat": int(time.time())}
        if token is not None:
            good["ath"] = b64u(hashlib.sha256(token.encode()).digest())
        payload = {name: value for name, value in (good | claims).items() if value is not ...}
        return jwt.encode(payload, self.key, self.algorithm, {"typ": typ, "jwk": self.jwk})
