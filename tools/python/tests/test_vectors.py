"""The vectors of docs/format.md, read from that page."""

from __future__ import annotations

import io
import re
import struct
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

import chancery_verify as cv
from make_log import checkpoint, export

PAGE = (Path(__file__).resolve().parents[3] / "docs/format.md").read_text(encoding="utf-8")


def vectors() -> dict[str, str]:
    """Each vector by its name; the lines of one that has several are indented by two spaces."""
    block = re.search(r"<!-- vectors:.*?-->\n```text\n(.*?)```", PAGE, re.S)
    assert block, "the page has lost its vectors"
    found: dict[str, str] = {}
    name = ""
    for line in block.group(1).splitlines():
        if line.startswith("  ") or not line:
            found[name] += line.removeprefix("  ") + "\n"
        else:
            name, _, value = line.partition(":")
            found[name] = value.strip()
    return found


V = vectors()
KEY = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(V["sealing key seed"]))
HEADERS = [bytes.fromhex(V[f"event {n} header"]) for n in range(3)]
BODIES = [bytes.fromhex(V[f"event {n} body"]) for n in range(3)]


@pytest.mark.parametrize("n", range(3))
def test_events(n: int) -> None:
    assert cv.body_hash(BODIES[n]).hex() == V[f"event {n} body_hash"]
    assert cv.header_hash(HEADERS[n]).hex() == V[f"event {n} hash"]
    assert cv.leaf_hash(HEADERS[n]).hex() == V[f"event {n} leaf_hash"]
    header = cv.parse_header(HEADERS[n])
    assert header.seq == n and header.body_hash == cv.body_hash(BODIES[n])
    assert header.prev == (cv.header_hash(HEADERS[n - 1]) if n else cv.ZERO_HASH)
    row = re.search(rf"^{header.kind} \| (\w+) \|", cv.KINDS, re.M)
    assert row and row.group(1) == V[f"event {n} kind"]
    assert cv.decode_body(header.kind, header.version, BODIES[n]) is not None


def test_roots() -> None:
    tree = cv.Tree()
    for n, header in enumerate(HEADERS):
        tree.push(cv.leaf_hash(header))
        assert tree.root().hex() == V[f"root {n + 1}"]


def test_seal_and_keys() -> None:
    name, public = cv.parse_verifier_key(V["verifier key"])
    assert public == KEY.public_key().public_bytes_raw()
    assert cv.verifier_key(name, public) == V["verifier key"]
    seal = cv.parse_seal(V["seal 3"].encode())
    assert (seal.origin, seal.size, seal.root.hex()) == (name, 3, V["root 3"])
    assert seal.signed_by(public)
    assert checkpoint(3, seal.root, KEY, name) == V["seal 3"].encode(), "Ed25519 is deterministic"


def test_proof() -> None:
    _, public = cv.parse_verifier_key(V["verifier key"])
    assert cv.verify_proof(V["tlog-proof 1"], HEADERS[1], public) == 1
    with pytest.raises(cv.Malformed):
        cv.verify_proof(V["tlog-proof 1"], HEADERS[2], public)


def test_the_three_events_are_a_whole_log() -> None:
    frames = [
        (b"E", struct.pack(">I", len(header)) + header + b"\x01" + body) for header, body in zip(HEADERS, BODIES, strict=True)
    ]
    data = export([*frames, (b"S", V["seal 3"].encode())])
    verdict = cv.verify(io.BytesIO(data), cv.parse_verifier_key(V["verifier key"]))
    assert verdict["whole"], verdict["findings"]
    assert verdict["root"] == V["root 3"] and verdict["bodies"]["intact"] == 3


def test_an_encrypted_field() -> None:
    """Section 11. The library has no XChaCha20, so its nonce is taken apart here (draft-irtf-cfrg-xchacha §2.2)."""
    kind, version, field = re.fullmatch(r"kind (\d+) version (\d+) field (\w+)", V["field place"]).groups()  # type: ignore[union-attr]
    thing, ident = re.fullmatch(r"thing kind (\d+) id ([0-9a-f]{32})", V["field key of"]).groups()  # type: ignore[union-attr]
    place = bytes.fromhex(V["field tenant"]) + struct.pack(">HHB", int(kind), int(version), int(thing)) + bytes.fromhex(ident)
    place += field.encode()
    nonce = bytes.fromhex(V["field nonce"])
    cipher = ChaCha20Poly1305(hchacha20(bytes.fromhex(V["field data key"]), nonce[:16]))
    opened = cipher.decrypt(bytes(4) + nonce[16:], bytes.fromhex(V["field ciphertext"]), place)
    assert opened.hex() == V["field plaintext"]


def hchacha20(key: bytes, nonce: bytes) -> bytes:
    """A key of its own for each nonce: ChaCha20's rounds without the final addition, first and last row."""
    state = list(struct.unpack("<16I", b"expand 32-byte k" + key + nonce))

    def quarter(a: int, b: int, c: int, d: int) -> None:
        for into, plus, turned, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            state[into] = (state[into] + state[plus]) & 0xFFFFFFFF
            mixed = state[turned] ^ state[into]
            state[turned] = (mixed << by | mixed >> (32 - by)) & 0xFFFFFFFF

    for _ in range(10):
        for column in range(4):
            quarter(column, column + 4, column + 8, column + 12)
        for diagonal in range(4):
            quarter(diagonal, (diagonal + 1) % 4 + 4, (diagonal + 2) % 4 + 8, (diagonal + 3) % 4 + 12)
    return struct.pack("<8I", *state[:4], *state[12:])


GOLDEN_SEGMENT = Path(__file__).resolve().parents[3] / "ledger/tests/golden/segment-00000000000000000000-0.archive"


def test_an_archive_segment(tmp_path: Path) -> None:
    found = cv.verify_items(cv.read_archive(GOLDEN_SEGMENT), cv.parse_verifier_key(V["verifier key"]))
    assert found["whole"] and found["events"] == 3, found["findings"]
    whole = GOLDEN_SEGMENT.read_bytes()
    for length in range(len(whole)):
        (tmp_path / GOLDEN_SEGMENT.name).write_bytes(whole[:length])
        items = list(cv.read_archive(tmp_path))
        # One commit: all of it or nothing, wherever a crash cut the segment.
        assert len(items) in (0, 4), length
    changed = bytearray(whole)
    changed[200] ^= 1
    (tmp_path / GOLDEN_SEGMENT.name).write_bytes(changed)
    assert list(cv.read_archive(tmp_path)) == []
    # Elsewhere than at the archive's end, what is missing is a fault.
    (tmp_path / "segment-00000000000000000003-0.archive").write_bytes(whole[:-40])
    with pytest.raises(cv.ContainerFault):
        list(cv.read_archive(tmp_path))
