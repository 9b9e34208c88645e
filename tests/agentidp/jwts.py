"""JSON web tokens by hand: what a server must not take."""

from __future__ import annotations

import base64
import json


def b64u(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def from_b64u(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def part(value: object) -> str:
    """A header or a payload."""
    return b64u(json.dumps(value, separators=(",", ":")).encode())


def header_of(token: str) -> dict:
    return json.loads(from_b64u(token.split(".")[0]))


def claims_of(token: str) -> dict:
    """What a token says, unchecked."""
    return json.loads(from_b64u(token.split(".")[1]))


def forged(token: str) -> dict[str, str]:
    """Texts made from a token that must not pass for one, by what was done to them."""
    head, payload, signature = token.split(".")
    header, claims = header_of(token), claims_of(token)
    flipped = bytearray(from_b64u(signature))
    flipped[0] ^= 1
    later = part(claims | {"exp": claims["exp"] + 1})
    return {
        "without a signature": f"{head}.{payload}.",
        "alg none": f"{part(header | {'alg': 'none'})}.{payload}.",
        "alg none, signature kept": f"{part(header | {'alg': 'none'})}.{payload}.{signature}",
        "alg NONE": f"{part(header | {'alg': 'NONE'})}.{payload}.",
        "alg HS256": f"{part(header | {'alg': 'HS256'})}.{payload}.{signature}",
        "signature changed": f"{head}.{payload}.{b64u(bytes(flipped))}",
        "expiry changed": f"{head}.{later}.{signature}",
        "other subject": f"{head}.{part(claims | {'sub': '01890a5d-ac96-774b-bcce-b302099a8057'})}.{signature}",
        "more scope": f"{head}.{part(claims | {'scope': 'admin:orgs'})}.{signature}",
        "other kid": f"{part(header | {'kid': 'nobody'})}.{payload}.{signature}",
        "without kid": f"{part({name: value for name, value in header.items() if name != 'kid'})}.{payload}.{signature}",
        "key in the header": f"{part(header | {'jwk': {'kty': 'OKP', 'crv': 'Ed25519', 'x': b64u(bytes(32))}})}.{payload}.{signature}",
        "two parts": f"{head}.{payload}",
        "four parts": f"{token}.x",
        "cut off": token[:-4],
        "longer": token + "AAAA",
        "upper case": token.upper(),
        "empty parts": "..",
        "text": "not-a-token",
        "long": "x" * 5000,
    }
