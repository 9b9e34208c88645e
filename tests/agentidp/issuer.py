"""A foreign issuer: its keys, the key set it serves, and the tokens it signs."""

from __future__ import annotations

import json
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from agentidp.listener import Listener

JWKS = "/.well-known/jwks"


class Issuer:
    """Signs with RS256 or ES256, as its partners do."""

    def __init__(self, listener: Listener, name: str = ""):
        self.listener = listener
        self.url = listener.url + name
        self.jwks_url = self.url + JWKS
        self._path = name + JWKS
        self.rotate()

    def rotate(self, algorithm: str = "RS256") -> None:
        """A new key, and only that one in the key set."""
        self.algorithm = algorithm
        self.kid = f"key-{time.monotonic_ns()}"
        if algorithm == "RS256":
            self.key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey = rsa.generate_private_key(65537, 2048)
            public = json.loads(RSAAlgorithm.to_jwk(self.key.public_key()))
        else:
            self.key = ec.generate_private_key(ec.SECP256R1())
            public = json.loads(ECAlgorithm.to_jwk(self.key.public_key()))
        public |= {"kid": self.kid, "use": "sig", "alg": algorithm}
        self.listener.documents[self._path] = {"keys": [public]}
        discovery = {"issuer": self.url, "jwks_uri": self.jwks_url}
        self.listener.documents[self._path.removesuffix("jwks") + "openid-configuration"] = discovery

    def sign(self, *, key: object = None, headers: dict | None = None, **claims: object) -> str:
        """A token; `...` leaves a claim out."""
        now = int(time.time())
        good = {"iss": self.url, "sub": "partner-agent", "iat": now, "exp": now + 300}
        payload = {name: value for name, value in (good | claims).items() if value is not ...}
        return jwt.encode(payload, key or self.key, self.algorithm, {"kid": self.kid} | (headers or {}))  # type: ignore[arg-type]
