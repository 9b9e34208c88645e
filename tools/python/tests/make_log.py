"""Writes small logs and exports from docs/format.md, so that the verifier can be tried without the daemon."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from chancery_verify import MAGIC, Tree, body_hash, header_hash, key_id, leaf_hash

import base64

ORIGIN = "ledger.example/1"
TENANT = bytes.fromhex("019b7ca98f2e70008000000000000001")
NONE_SEQ = 2**64 - 1


def varint(value: int) -> bytes:
    if value < 251:
        return bytes([value])
    for marker, size in ((251, 2), (252, 4), (253, 8)):
        if value < 256**size:
            return bytes([marker]) + value.to_bytes(size, "little")
    return b"\xfe" + value.to_bytes(16, "little")


def text(value: str) -> bytes:
    return varint(len(value.encode())) + value.encode()


PRELUDE = b"\x00\x00"


def ledger_created(public: bytes, origin: str = ORIGIN, format_number: int = 1) -> bytes:
    return PRELUDE + bytes(16) + text(origin) + varint(format_number) + bytes(16) + b"\x00" + public


def sealing_key_added(public: bytes, purpose: int = 0) -> bytes:
    return PRELUDE + bytes(16) + varint(purpose) + b"\x00" + varint(len(public)) + public + b"\x00"


def tenant_resumed() -> bytes:
    return PRELUDE + TENANT


def key(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)


def raw(private: Ed25519PrivateKey) -> bytes:
    return private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def checkpoint(size: int, root: bytes, private: Ed25519PrivateKey, origin: str = ORIGIN) -> bytes:
    """A signed checkpoint."""
    signed = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n".encode()
    line = base64.b64encode(key_id(origin, raw(private)) + private.sign(signed)).decode()
    return signed + f"\n\u2014 {origin} {line}\n".encode()


@dataclass
class Event:
    """An event as it is to be written; change a field to damage it."""

    seq: int
    time: int
    kind: int
    version: int
    prev: bytes
    body: bytes | None
    hashed_body: bytes

    def header(self) -> bytes:
        actor = b"\x00" + bytes(16) + b"\x00\x00" + b"\x00" + bytes(16) + bytes(16)
        return (
            struct.pack(">BQq16sHH32s32s", 1, self.seq, self.time, TENANT, self.kind, self.version, self.prev, self.hashed_body)
            + actor
            + b"\x00"
            + bytes(16)
            + struct.pack(">Q", NONE_SEQ)
            + b"\x00\x00"
        )


@dataclass
class Log:
    """Frames in order, and what the next event and seal need."""

    frames: list[tuple[bytes, bytes]] = field(default_factory=list)
    tree: Tree = field(default_factory=Tree)
    prev: bytes = bytes(32)
    next: int = 0
    time: int = 1_767_323_045_678_901

    def event(self, kind: int, body: bytes, version: int = 1, withheld: bool = False, **changes: object) -> None:
        event = Event(self.next, self.time, kind, version, self.prev, body, body_hash(body))
        for name, value in changes.items():
            setattr(event, name, value)
        header = event.header()
        tail = b"\x00" if withheld else b"\x01" + (event.body or b"")
        self.frames.append((b"E", struct.pack(">I", len(header)) + header + tail))
        self.tree.push(leaf_hash(header))
        self.prev = header_hash(header)
        self.next += 1
        self.time += 1

    def seal(self, private: Ed25519PrivateKey, **changes: object) -> bytes:
        size = changes.get("size", self.next)
        sealed = checkpoint(size, changes.get("root", self.tree.root()), private, changes.get("origin", ORIGIN))  # type: ignore[arg-type]
        self.frames.append((b"S", sealed))
        return sealed

    def export(self) -> bytes:
        """The frames as an export with a true end."""
        return export(self.frames)


def export(frames: list[tuple[bytes, bytes]]) -> bytes:
    counts = [sum(kind == wanted for kind, _ in frames) for wanted in (b"E", b"S")]
    frames = [*frames, (b"Z", struct.pack(">QQ", *counts))]
    return MAGIC + b"".join(kind + struct.pack(">I", len(payload)) + payload for kind, payload in frames)


def good_log() -> Log:
    """Genesis, three commits of one, two and three events, and a rotation before the last two."""
    log = Log()
    log.event(1, ledger_created(raw(key(1))))
    log.seal(key(1))
    log.event(103, tenant_resumed())
    log.event(103, tenant_resumed())
    log.seal(key(1))
    log.event(2, sealing_key_added(raw(key(2))))
    log.seal(key(1))
    for _ in range(3):
        log.event(103, tenant_resumed())
    log.seal(key(2))
    log.event(9999, b"a kind of a later version")
    log.seal(key(2))
    return log
