"""This side's canonical forms give the contract's worked vectors, so that what they say of the daemon counts."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from orgkernel.canonical import (
    ZERO_HASH,
    b64u,
    certificate_preimage,
    chain_is_whole,
    cj,
    entry_hash,
    entry_preimage,
    fingerprint,
    from_b64u,
    signed_by,
    to,
    token_preimage,
    tz,
)

CA = Ed25519PrivateKey.from_private_bytes(bytes(range(0x20)))
AGENT = Ed25519PrivateKey.from_private_bytes(bytes(range(0x20, 0x40)))


def vectors() -> dict[str, list[str]]:
    """The lines of each vector."""
    text = (Path(__file__).parent / "vectors.txt").read_text(encoding="utf-8")
    parts = re.split(r"^\[(V\d)\]$", text, flags=re.M)[1:]
    return {name: body.strip().splitlines() for name, body in zip(parts[::2], parts[1::2], strict=True)}


VECTORS = vectors()


def public(key: Ed25519PrivateKey) -> str:
    return b64u(key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def labelled(name: str) -> dict[str, str]:
    """Lines of a vector that are a label, spaces and a value."""
    split = (line.rsplit(maxsplit=1) for line in VECTORS[name] if line and not line.startswith("{"))
    return {parts[0].strip(): parts[1] for parts in split}


def test_v1_keys() -> None:
    keys = labelled("V1")
    assert public(CA) == keys["CA public (b64u)"]
    assert from_b64u(public(CA)).hex() == keys["CA public (hex)"]
    assert fingerprint(public(CA)) == keys["ca_fingerprint"]
    assert public(AGENT) == keys["agent public (b64u)"]


@pytest.mark.parametrize("name", ["V2", "V3", "V5", "V6"])
def test_certificates_and_tokens(name: str) -> None:
    line = VECTORS[name][0]
    preimage = certificate_preimage if name in ("V2", "V3") else token_preimage
    made = preimage(json.loads(line))
    assert made.decode() == line
    expected = labelled(name)
    assert hashlib.sha256(made).hexdigest() == expected["sha256"]
    assert b64u(CA.sign(made)) == expected["signature"]
    assert signed_by(public(CA), made, expected["signature"])
    assert not signed_by(public(AGENT), made, expected["signature"])


def test_v5_from_the_request_as_sent() -> None:
    token = {
        "token_id": "tok_001122334455",
        "agent_id": "aid_0123456789ab",
        "mission_id": "msn_invoice01",
        "execution_scope": ["write_payment_draft", "read_invoice"],
        "immutable_params": {"currency": "USD", "note": "café 😀", "n": 1, "f": 1.0},
        "bounded_params": [
            {"param_name": "amount", "upper_bound": 50000, "lower_bound": None, "unit": None},
            {"param_name": "ratio", "upper_bound": 1e16, "lower_bound": 0.00001, "unit": "pct"},
        ],
        "issued_at": "2026-01-02T03:04:05.678901Z",
        "expires_at": "2026-01-02T07:04:05Z",
        "boundary_snapshot_id": None,
    }
    assert token_preimage(token).decode() == VECTORS["V5"][0]


def test_v4_the_nonces_text_is_signed() -> None:
    challenge = labelled("V4")
    assert b64u(bytes(range(0x40, 0x60))) == challenge["nonce"]
    assert b64u(AGENT.sign(challenge["nonce"].encode("ascii"))) == challenge["signature"]


def v7() -> list[dict]:
    lines = [line for line in VECTORS["V7"] if line]
    entries = []
    for line, result in zip(lines[::2], lines[1::2], strict=True):
        entry = json.loads(line)
        assert entry_preimage(entry).decode() == line
        entries.append(entry | {"entry_hash": result.split()[1]})
    return entries


def test_v7_chain_and_what_breaks_it() -> None:
    entries = v7()
    assert len(entries) == 5
    assert [entry_hash(entry) for entry in entries] == [entry["entry_hash"] for entry in entries]
    head = entries[-1]["entry_hash"]
    assert chain_is_whole({"entries": entries, "head_hash": head})
    edited = [dict(entry) for entry in entries]
    edited[1]["event"] = "EXECUTION_other"
    assert not chain_is_whole({"entries": edited, "head_hash": head})
    swapped = [entries[0], entries[2], entries[1], *entries[3:]]
    assert not chain_is_whole({"entries": swapped, "head_hash": head})
    assert not chain_is_whole({"entries": entries[:-1], "head_hash": head})
    assert chain_is_whole({"entries": entries[:-1], "head_hash": entries[-2]["entry_hash"]}), "what it cannot see"
    assert not chain_is_whole({"entries": [], "head_hash": ZERO_HASH})


def test_times() -> None:
    assert to("2026-01-02T03:04:05.678901Z") == "2026-01-02T03:04:05.678901+00:00"
    assert to("2026-01-02T03:04:05.000000Z") == "2026-01-02T03:04:05+00:00"
    assert to("2026-01-02T05:04:05.5+02:00") == "2026-01-02T03:04:05.500000+00:00"
    assert tz("2026-01-02T03:04:05.000100+00:00") == "2026-01-02T03:04:05.000100Z"
    with pytest.raises(ValueError):
        to("2026-01-02T03:04:05")


def test_keys_sort_by_code_point_not_by_utf_16() -> None:
    assert cj({"\U0001f600": 1, "\uffff": 2}) == b'{"\\uffff":2,"\\ud83d\\ude00":1}'
