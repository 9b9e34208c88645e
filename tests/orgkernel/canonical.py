"""OrgKernel's canonical forms, hashes and signatures, computed here from the contract and from nothing of the daemon's."""

from __future__ import annotations

import base64
import hashlib
import json
from datetime import datetime, timedelta, timezone

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ZERO_HASH = "0" * 64
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


def cj(value: object) -> bytes:
    """Canonical JSON: keys by code point, no spaces, pure ASCII, Python's own number texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode("ascii")


def parse_time(text: str) -> datetime:
    """An instant as the daemon writes it. One without an offset breaks the contract, and so raises."""
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError(f"a timestamp without an offset: {text}")
    return instant.astimezone(timezone.utc)


def micros(instant: datetime) -> int:
    """Microseconds since the epoch."""
    return (instant - EPOCH) // timedelta(microseconds=1)


def _date_and_time(text: str) -> str:
    instant = parse_time(text)
    fraction = f".{instant.microsecond:06d}" if instant.microsecond else ""
    return instant.strftime("%Y-%m-%dT%H:%M:%S") + fraction


def to(text: str | None) -> str | None:
    """The spelling in certificate and token preimages."""
    return None if text is None else _date_and_time(text) + "+00:00"


def tz(text: str) -> str:
    """The spelling in audit-entry preimages."""
    return _date_and_time(text) + "Z"


def b64u(data: bytes) -> str:
    """base64url without padding."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def from_b64u(text: str) -> bytes:
    """The bytes behind unpadded base64url."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def certificate_preimage(certificate: dict) -> bytes:
    """The bytes that the Org CA signs for a certificate."""
    plain = ("agent_id", "agent_name", "ca_fingerprint", "certificate_id", "issued_by", "org_id", "public_key")
    signed = {name: certificate[name] for name in plain}
    signed["issued_at"] = to(certificate["issued_at"])
    signed["valid_until"] = to(certificate["valid_until"])
    return cj(signed)


def token_preimage(token: dict) -> bytes:
    """The bytes that the Org CA signs for an execution token."""

    def number(bound: object) -> float | None:
        return None if bound is None else float(bound)  # type: ignore[arg-type]

    return cj(
        {
            "agent_id": token["agent_id"],
            "boundary_snapshot_id": token["boundary_snapshot_id"],
            "bounded_params": [
                {
                    "lower_bound": number(bound["lower_bound"]),
                    "param_name": bound["param_name"],
                    "unit": bound["unit"],
                    "upper_bound": number(bound["upper_bound"]),
                }
                for bound in token["bounded_params"]
            ],
            "execution_scope": sorted(token["execution_scope"]),
            "expires_at": to(token["expires_at"]),
            "immutable_params": token["immutable_params"],
            "issued_at": to(token["issued_at"]),
            "mission_id": token["mission_id"],
            "token_id": token["token_id"],
        }
    )


def entry_preimage(entry: dict) -> bytes:
    """The bytes that an audit entry's hash is over."""
    plain = ("agent_id", "chain_id", "data", "entry_id", "event", "layer", "mission_id", "prev_hash", "sequence", "token_id")
    hashed = {name: entry[name] for name in plain}
    hashed["timestamp"] = tz(entry["timestamp"])
    return cj(hashed)


def entry_hash(entry: dict) -> str:
    """An audit entry's hash, recomputed."""
    return hashlib.sha256(entry_preimage(entry)).hexdigest()


def fingerprint(public_key: str) -> str:
    """A CA key's fingerprint."""
    return hashlib.sha256(from_b64u(public_key)).hexdigest()


def signed_by(public_key: str, message: bytes, signature: str) -> bool:
    """Whether the signature is that key's over that message."""
    try:
        Ed25519PublicKey.from_public_bytes(from_b64u(public_key)).verify(from_b64u(signature), message)
    except InvalidSignature:
        return False
    return True


def chain_is_whole(chain: dict) -> bool:
    """`verify_integrity`, from the chain alone."""
    if not chain["entries"]:
        return False
    prev = ZERO_HASH
    for sequence, entry in enumerate(chain["entries"]):
        if entry["sequence"] != sequence or entry["prev_hash"] != prev or entry_hash(entry) != entry["entry_hash"]:
            return False
        prev = entry["entry_hash"]
    return chain["head_hash"] == prev
