#!/usr/bin/env python3
"""Verifies a Chancery export, archive, evidence bundle or view receipt offline: an independent reading of docs/format.md,
sharing no code with the Rust one.

    python chancery_verify.py EXPORT|ARCHIVE|BUNDLE [--key VERIFIER_KEY] [--head CHECKPOINT]... [--witness VERIFIER_KEY]...
        [--json]
    python chancery_verify.py --receipt RECEIPT --key VERIFIER_KEY [--json]

Needs Python 3.11 and the packages `blake3` and `cryptography`. It is one file, in the order of that page's sections (the
numbers in brackets are theirs), so that an auditor can carry it, read it in one sitting, and trust it alone.
Exit code: 0 whole, 1 not whole, 2 not checked.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import hashlib
import heapq
import json
import re
import struct
import sys
import unicodedata
import uuid
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, TypeVar

from blake3 import blake3
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

U64_MAX = 2**64 - 1
NIL = bytes(16)
ZERO_HASH = bytes(32)


class Malformed(Exception):
    """Bytes are not of the shape they must have."""


class Reader:
    """Bytes, taken from the front; the integers of headers and frames are big-endian."""

    def __init__(self, data: bytes):
        self.data = data
        self.at = 0

    def take(self, count: int) -> bytes:
        end = self.at + count
        if count < 0 or end > len(self.data):
            raise Malformed("it ends within a field")
        piece, self.at = self.data[self.at : end], end
        return piece

    def uint(self, count: int) -> int:
        return int.from_bytes(self.take(count), "big")

    def text(self, longest: int) -> str:
        length = self.uint(2)
        if length > longest:
            raise Malformed("a text is longer than it may be")
        return utf8(self.take(length))

    def end(self) -> None:
        if self.at != len(self.data):
            raise Malformed("bytes are left over")


def utf8(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("a text is not UTF-8") from None


# --- [2] Header -------------------------------------------------------------------------------------------------------

LAYOUT = 1
PRINCIPAL_KINDS = range(8)
PRINCIPALS_WITHOUT_ID = (0, 1, 7)
EXTERNAL_SUBJECT = 7
METHODS = range(5)
# The kind of thing that a principal with an id is.
ACTING = {2: 2, 3: 4, 4: 5, 5: 6, 6: 13}
THING_KINDS = (*range(1, 22), *range(30, 33))
SUBJECTS_MAX = 64
PRINCIPAL_TEXT_MAX = 1024
IDEMPOTENCY_KEY_MAX = 255


@dataclass
class Header:
    """What the verifier needs of a header; the rest is checked and let go. A thing is its kind and its id."""

    seq: int
    time: int
    tenant: bytes
    kind: int
    version: int
    prev: bytes
    body_hash: bytes
    things: set[tuple[int, bytes]]


def parse_header(data: bytes) -> Header:
    r = Reader(data)
    if r.uint(1) != LAYOUT:
        raise Malformed("its layout is not known")
    seq = r.uint(8)
    time = int.from_bytes(r.take(8), "big", signed=True)
    tenant = r.take(16)
    kind, version = r.uint(2), r.uint(2)
    prev, body_hash = r.take(32), r.take(32)
    principal, principal_id, principal_text = r.uint(1), r.take(16), r.text(PRINCIPAL_TEXT_MAX)
    if principal not in PRINCIPAL_KINDS:
        raise Malformed("its principal is of no known kind")
    if principal in PRINCIPALS_WITHOUT_ID and principal_id != NIL:
        raise Malformed("its principal has an id and must not")
    if principal != EXTERNAL_SUBJECT and principal_text:
        raise Malformed("its principal has a text and must not")
    if r.uint(1) not in METHODS:
        raise Malformed("its method of authentication is not known")
    r.take(16 + 16)  # credential, acting_in
    subjects = r.uint(1)
    if subjects > SUBJECTS_MAX:
        raise Malformed("it has too many subjects")
    things = {(ACTING[principal], principal_id)} if principal in ACTING else set()
    for _ in range(subjects):
        kind_of_thing = r.uint(1)
        if kind_of_thing not in THING_KINDS:
            raise Malformed("a subject is of no known kind")
        things.add((kind_of_thing, r.take(16)))
    r.take(16 + 8)  # correlation, causation
    if r.text(IDEMPOTENCY_KEY_MAX):
        r.take(32)
    r.end()
    return Header(seq, time, tenant, kind, version, prev, body_hash, things)


# --- [3] Hashes -------------------------------------------------------------------------------------------------------


def body_hash(body: bytes) -> bytes:
    return blake3(body, derive_key_context="chancery 2026 event body v1").digest()


def header_hash(header: bytes) -> bytes:
    return blake3(header, derive_key_context="chancery 2026 event header v1").digest()


# --- [4] Tree ---------------------------------------------------------------------------------------------------------


def leaf_hash(header: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + header).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """The roots of the complete subtrees that the leaves so far fall into, largest first: O(log n) of memory."""

    def __init__(self) -> None:
        self.size = 0
        self.peaks: list[bytes] = []

    def push(self, leaf: bytes, level: int = 0) -> None:
        """Adds a leaf, or all leaves of a complete subtree by its root, where one of that level can start."""
        self.peaks.append(leaf)
        self.size += 1 << level
        closed = self.size >> level
        while closed % 2 == 0:
            right, left = self.peaks.pop(), self.peaks.pop()
            self.peaks.append(node_hash(left, right))
            closed //= 2

    def root(self) -> bytes:
        if not self.peaks:
            return hashlib.sha256(b"").digest()
        root = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            root = node_hash(peak, root)
        return root


def inclusion_root(leaf: bytes, index: int, size: int, path: list[bytes]) -> bytes:
    """The root that an inclusion path leads to (RFC 9162 §2.1.3.2)."""
    if index >= size:
        raise Malformed("the index is not in the tree")
    fn, sn, root = index, size - 1, leaf
    for step in path:
        if sn == 0:
            raise Malformed("the path is too long")
        if fn % 2 or fn == sn:
            root = node_hash(step, root)
            while fn % 2 == 0 and fn:
                fn, sn = fn // 2, sn // 2
        else:
            root = node_hash(root, step)
        fn, sn = fn // 2, sn // 2
    if sn:
        raise Malformed("the path is too short")
    return root


# --- [5] Seal ---------------------------------------------------------------------------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_MINUS_ONE = pow(2, (P - 1) // 4, P)

ORIGIN_BYTES_MAX = 255
SEAL_BYTES_MAX = 262_144
SIGNATURE_LINES_MAX = 100


def decode_point(encoded: bytes) -> tuple[int, int] | None:
    """The point of edwards25519 that these bytes are the canonical encoding of."""
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if len(encoded) != 32 or y >= P:
        return None
    # RFC 8032 §5.1.3: x² = (y² − 1) / (d·y² + 1)
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if v * x * x % P == -u % P:
        x = x * SQRT_MINUS_ONE % P
    if v * x * x % P != u % P or (x == 0 and sign):
        return None
    return (x if x % 2 == sign else P - x), y


@lru_cache(maxsize=1024)
def of_large_order(encoded: bytes) -> bool:
    """Whether these are the canonical bytes of a point whose order is not 1, 2, 4 or 8."""
    point = decode_point(encoded)
    if point is None:
        return False
    x, y = point
    for _ in range(3):
        xx, yy, xy = x * x % P, y * y % P, x * y % P
        dxxyy = D * xx * yy % P
        x, y = 2 * xy * pow(1 + dxxyy, -1, P) % P, (yy + xx) * pow(1 - dxxyy, -1, P) % P
    return (x, y) != (0, 1)


def strictly_signed(public: bytes, message: bytes, signature: bytes) -> bool:
    """Strict Ed25519: S reduced, A and R canonical and not of small order, and the equation without the cofactor.

    The library checks the equation by encoding S·B − h·A and comparing bytes with R, which is the cofactorless form.
    """
    if len(public) != 32 or len(signature) != 64 or int.from_bytes(signature[32:], "little") >= L:
        return False
    if not of_large_order(public) or not of_large_order(signature[:32]):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def from_base64(text: str) -> bytes:
    """Canonical base64 and nothing else."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("it holds what is not base64") from None
    if base64.b64encode(data).decode() != text:
        raise Malformed("it holds base64 of more than one spelling")
    return data


# The types of keys: a log's, and a witness's.
OF_LOG, OF_WITNESS = 1, 4


def key_id(name: str, public: bytes, of: int = OF_LOG) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + bytes([of]) + public).digest()[:4]


def verifier_key(name: str, public: bytes, of: int = OF_LOG) -> str:
    return f"{name}+{key_id(name, public, of).hex()}+{base64.b64encode(bytes([of]) + public).decode()}"


def parse_verifier_key(text: str, of: int = OF_LOG) -> tuple[str, bytes]:
    parts = text.strip().split("+", 2)
    if len(parts) != 3 or not is_origin(parts[0]):
        raise Malformed("a verifier key is NAME+ID+KEY")
    name, ident, encoded = parts
    raw = from_base64(encoded)
    if len(raw) != 33 or raw[0] != of:
        raise Malformed(f"the verifier key is not an Ed25519 key of type {of:#04x}")
    if key_id(name, raw[1:], of).hex() != ident:
        raise Malformed("the verifier key's id is not that of its name and key")
    return name, raw[1:]


def is_name(text: str) -> bool:
    """Whether a text can name a key in a signed note."""
    return bool(text) and "+" not in text and not any(c.isspace() for c in text)


def is_origin(text: str) -> bool:
    """Whether a text can name a log."""
    controls = any(unicodedata.category(c) == "Cc" for c in text)
    return is_name(text) and not controls and len(text.encode()) <= ORIGIN_BYTES_MAX


@dataclass
class Seal:
    """A signed checkpoint. `text` is what the signatures are over."""

    origin: str
    size: int
    root: bytes
    text: bytes
    signatures: list[tuple[str, bytes]]

    def signed_by(self, public: bytes) -> bool:
        """Whether the first line under the origin's name and this key's id is there and valid."""
        ident = key_id(self.origin, public)
        ours = [raw[4:] for name, raw in self.signatures if name == self.origin and raw[:4] == ident]
        return bool(ours) and strictly_signed(public, self.text, ours[0])


def parse_seal(data: bytes) -> Seal:
    if len(data) > SEAL_BYTES_MAX:
        raise Malformed("the seal is too long")
    note = utf8(data)
    if any(ord(c) < 0x20 and c != "\n" for c in note):
        raise Malformed("the seal holds control characters")
    text, blank, signatures = note.rpartition("\n\n")
    lines = (text + "\n").split("\n")
    if not blank or len(lines) != 4:
        raise Malformed("the seal is not three lines, an empty one, and signatures")
    origin, size, root = lines[:3]
    if not is_origin(origin):
        raise Malformed("the seal's origin is not one")
    if not re.fullmatch("0|[1-9][0-9]{0,19}", size, re.ASCII) or int(size) > U64_MAX:
        raise Malformed("the seal's size is not a number")
    root_bytes = from_base64(root)
    if len(root_bytes) != 32:
        raise Malformed("the seal's root is not 32 bytes")
    parsed = []
    if not signatures.endswith("\n"):
        raise Malformed("the seal's last line does not end")
    lines = signatures[:-1].split("\n")
    if len(lines) > SIGNATURE_LINES_MAX:
        raise Malformed("the seal has too many signatures")
    for line in lines:
        parts = line.split(" ")
        if len(parts) != 3 or parts[0] != "\u2014" or not is_name(parts[1]):
            raise Malformed("a signature line is not one")
        raw = from_base64(parts[2])
        if len(raw) < 5:
            raise Malformed("a signature is too short")
        parsed.append((parts[1], raw))
    return Seal(origin, int(size), root_bytes, (text + "\n").encode(), parsed)


# --- [5] Cosignatures --------------------------------------------------------------------------------------------------

COSIGNATURE_BYTES = 8 + 64


def cosigned_at(text: bytes, cosignature: bytes, public: bytes) -> int | None:
    """When a witness cosigned a checkpoint's text, in seconds since 1970; None if this is not its cosignature."""
    if len(cosignature) != COSIGNATURE_BYTES:
        return None
    secs = int.from_bytes(cosignature[:8], "big")
    if not 0 < secs < 2**63:
        return None
    message = f"cosignature/v1\ntime {secs}\n".encode() + text
    return secs if strictly_signed(public, message, cosignature[8:]) else None


@dataclass
class Witness:
    """A witness that the reader trusts, and what it cosigned last."""

    name: str
    public: bytes
    newest: tuple[int, int] | None = None

    def key(self) -> str:
        return verifier_key(self.name, self.public, OF_WITNESS)

    def line(self, seal: Seal) -> bytes | None:
        """What stands on its line of a checkpoint, if it has one."""
        ident = key_id(self.name, self.public, OF_WITNESS)
        return next((raw[4:] for name, raw in seal.signatures if name == self.name and raw[:4] == ident), None)

    def note(self, size: int, secs: int) -> None:
        self.newest = max(self.newest or (0, 0), (size, secs))


# --- [6] An event's signature -----------------------------------------------------------------------------------------


def verify_proof(proof: str, header: bytes, public: bytes) -> int:
    """Checks one event's `tlog-proof` under the key then in force, and gives the event's seq."""
    text, blank, seal_text = proof.partition("\n\n")
    lines = text.split("\n")
    if not blank or lines[0] != "c2sp.org/tlog-proof@v1" or len(lines) < 2:
        raise Malformed("it is no tlog-proof of version 1")
    if len(lines) > 2 and lines[1].startswith("extra "):
        if from_base64(lines.pop(1).removeprefix("extra ")) != header:
            raise Malformed("its extra data is not the event's header")
    index = re.fullmatch("index (0|[1-9][0-9]{0,19})", lines[1], re.ASCII)
    if not index:
        raise Malformed("the proof names no index")
    seq = int(index.group(1))
    path = [from_base64(line) for line in lines[2:]]
    if any(len(step) != 32 for step in path):
        raise Malformed("a hash of the path is not 32 bytes")
    seal = parse_seal(seal_text.encode())
    if inclusion_root(leaf_hash(header), seq, seal.size, path) != seal.root:
        raise Malformed("the path does not lead to the seal's root")
    if not seal.signed_by(public):
        raise Malformed("the seal is not signed by this key")
    if parse_header(header).seq != seq:
        raise Malformed("the header is of another event")
    return seq


# --- [8] Bodies -------------------------------------------------------------------------------------------------------

BODY_BYTES_MAX = 65_536
LEDGER_CREATED, SIGNING_KEY_ADDED, COMMAND_SIGNED = 1, 2, 16
AGENT_KEY_ADDED, AGENT_KEY_REVOKED = 140, 141
CHECKPOINT_COSIGNED = 610
CHECKPOINT_TIMESTAMPED = 611

# Code | kind | fields: the page's own table, line for line.
KINDS = """
1 | LedgerCreated | ledger id, origin str, format u16, key id, algorithm enum(ed25519, rsa, p256), public h32
2 | SigningKeyAdded | key id, purpose enum(seal, org_ca, jwt_eddsa, jwt_rs256, witness), algorithm enum(ed25519, rsa, p256), public bytes, tenant id?
3 | SigningKeyRetired | as SigningKeyAdded
4 | TailLost | ledger id, found u64, signed u64, checkpoint str, reason str
10 | SubjectErased | subject, reason str, policy u32?
11 | HoldPlaced | subject, matter str, reason str
12 | HoldLifted | subject, matter str, reason str
13 | KeyDestroyed | key subject, cause u64
14 | EvidenceExported | first u64, end u64, from t?, to t?, of id?, things [subject], bodies bool, headers bool
15 | ViewRootsPublished | ledger id, size u64, format u16, roots [view str, rows u64, root h32]
16 | CommandSigned | agent id, key id, base str, signature sig, nonce str, created t, expires t?, content enc
100 | TenantCreated | tenant id, slug str, name str, tier str, limits {str: u64}, root bool, parent id?
101 | TenantUpdated | tenant id, changes {str: json}
102 | TenantSuspended | tenant id, reason str?
103 | TenantResumed | tenant id
104 | TenantDeleted | tenant id, reason str?
110 | OrganisationCreated | organisation id, slug str, name str, tier str?, limits {str: u64}, default bool
111 | OrganisationUpdated | organisation id, changes {str: json}
112 | OrganisationDeleted | organisation id
113 | OrganisationMemberAdded | membership id, organisation id, agent id, role enum(member, admin)
114 | OrganisationVerified | organisation id, verified bool
120 | MemberInvited | member id, email_hash h32, personal enc, role enum(owner, admin, standard, readonly), expires t?
121 | MemberJoined | member id
130 | AgentRegistered | agent id, organisation id, owner principal, via str, name str, handles [namespace str, value str], kind str?, semver str?, capabilities [str], environment enum(production, staging, development), owner_hash h32?, actions [str], limit (amount decimal, currency str)?, accountability, valid_until t?, visibility enum(owner, tenant, everyone), disclosure enum(none, verifiable, listed), personal enc
131 | AgentUpdated | agent id, changes {str: json}, personal enc?
132, 133 | AgentSuspended, AgentResumed | agent id, cause id?, reason enc?
134 | AgentDecommissioned | agent id, cause enum(revoked, decommissioned, deleted), personal enc
135 | AgentReachChanged | agent id, visibility enum(owner, tenant, everyone)?, disclosure enum(none, verifiable, listed)?
136, 137 | HandleClaimed, HandleReleased | agent id, namespace str, value str
140, 141 | AgentKeyAdded, AgentKeyRevoked | agent id, key id, purpose enum(identity, enrolled, did), algorithm enum(ed25519, rsa, p256), public bytes
142 | CertificateIssued | agent id, key id, ca_key id, agent_name str, organisation_slug str, issued_by enc, issued t, valid_until t?, signature sig
150 | CredentialCreated | credential id, principal, kind enum(api_key, client_secret), name str?, hash h32, scopes [str], audience [str], expires t?
151 | CredentialRevoked | credential id, principal, cause str
152 | CredentialsUsed | items [credential id, count u32, last t]
153 | AuthenticationFailed | mount str, claimed str?, principal?, why str, count u32
154 | CredentialRotated | credential id, principal, hash h32, expires t?
155 | ScopesGranted | principal, scopes [str], administrator bool
160 | ChallengeIssued | challenge id, purpose enum(prove, enrol), about id, nonce str, issued_by str, expires t, tries u8
161 | ChallengeAnswered | challenge id, about id, passed bool, why str?, evidence bytes?
170 | IssuerTrusted | issuer id, name str, iss str, jwks_uri str, organisations [str], expires t?
171 | IssuerUpdated | issuer id, changes {str: json}
172 | IssuerRemoved | issuer id
173 | IssuerRuleAdded | rule id, provider str, repository str, branch str?, agent id
174 | IssuerRuleRemoved | rule id, agent id
200 | TokenIssued | token id, profile enum(execution, access, passport, session, code, refresh, delegation, workload), grant enum(issue, client, code, refresh, delegate, exchange), principal, agent id?, mission id?, execution id?, session id?, parent id?, root id, depth u8, replaces id?, audience [str], scopes [str], services [service str, connection str?, scopes [str], constraints json], terms enc?, interval u32?, accountability?, expires t, max_uses u32?, hash h32?, cnf h32?, key id?, signature sig?, snapshot str?
201 | TokenRefused | profile, agent id?, mission id?, parent id?, why str
202 | TokenUsed | token id
203 | TokenRevoked | token id, agent id?, cause enum(requested, ancestor, agent, mission), first id, reason enc?
204 | ScopeChecked | token id, agent id?, mission id?, tool str, passed bool, violations [str], params enc?, params_hash h32
205 | TokensIntrospected | items [token id?, caller principal, active bool]
300 | TrustEvaluated | agent id, action str?, amount decimal?, currency str?, allowed bool, reason str, score u16, policy u32
301 | DisputeFiled | dispute id, agent id, transaction id?, reporter principal, texts enc
302 | DisputeResolved | dispute id, agent id, outcome enum(upheld, dismissed)
310 | PolicyChanged | kind str, key str, policy id, version u32, document json
311 | PolicyReset | kind str, key str, policy id
400 | MissionOpened | mission id, agent id?, implicit bool, key (namespace str, text str)?, terms enc?, services [str], limits {str: u64}, expires t?
401 | MissionCompleted | mission id, agent id?, end enc?
402 | MissionRevoked | mission id, agent id?, cause id?, end enc?
410 | AuditChainOpened | chain id, mission id, agent_text str, mission_text str, opened t
411 | AuditEntryAppended | entry id, chain id, mission id, sequence u64, layer enum(IDENTITY, EXECUTION, COMPLIANCE, GOVERNANCE), event str, agent_text str, mission_text str, token_text str?, at t, data enc, prev h32, entry_hash h32
412 | AuditChainClosed | chain id, entries u64, head h32
460 | TransactionCompleted | transaction id, agent id, agent_name str, counterparty enum(agent id, external str), amount decimal, currency str, action str, notes enc?, key str?
461 | TransactionFailed | transaction id, agent id, agent_name str, counterparty enum(agent id, external str), amount decimal, currency str, action str, notes enc?, key str?, failure str
462 | TransactionReversed | transaction id, reversal id, agent id, counterparty id?, reason enc?
500 | DestinationAdded | destination id, channel enum(webhook, email, sms), address_hash h32, address enc, secret enc, code enc?, verified bool
501, 503 | DestinationVerified, DestinationRemoved | destination id
502 | DestinationSecretRotated | destination id, secret enc
510 | SubscriptionCreated | subscription id, name str?, destinations [id], own bool, kinds [str], rendering str, severity str?, disabled bool
511 | SubscriptionChanged | subscription id, changes {str: json}
512 | SubscriptionEnded | subscription id
520 | DeliveriesRecorded | subscription id, items [event u64?, attempt u8, outcome enum(delivered, failed, dead_letter, requested), status u16?, ms u32, at t, next t?], excerpt enc?
610 | CheckpointCosigned | ledger id, size u64, root h32, witness str, cosignature bytes
611 | CheckpointTimestamped | ledger id, size u64, root h32, at t, token bytes
612 | WitnessedCheckpoint | key id, log str, size u64, root h32, checkpoint str, cosignature bytes
"""  # fmt: skip
PRELUDE = "origin enc?, due t?"
ACCOUNTABILITY = "mode str, on_warning str?, on_critical str?, credential_access str, key_mode str, llm [str]"

# A decoder takes one value from the reader.
Decoder = Callable[[Reader], object]


def varint(r: Reader, longest: int) -> int:
    """A variable-length integer of at most that many bytes."""
    first = r.take(1)[0]
    if first < 251:
        return first
    size = {251: 2, 252: 4, 253: 8, 254: 16}.get(first, longest + 1)
    if size > longest:
        raise Malformed("an integer is larger than its type")
    return int.from_bytes(r.take(size), "little")


def unsigned(longest: int) -> Decoder:
    return lambda r: varint(r, longest)


def signed(longest: int) -> Decoder:
    def decode(r: Reader) -> int:
        zigzag = varint(r, longest)
        return -(zigzag // 2) - 1 if zigzag % 2 else zigzag // 2

    return decode


def fixed(count: int) -> Decoder:
    return lambda r: r.take(count)


def counted(r: Reader) -> bytes:
    return r.take(varint(r, 8))


def string(r: Reader) -> str:
    return utf8(counted(r))


def one_bit(r: Reader) -> bool:
    value = r.take(1)[0]
    if value > 1:
        raise Malformed("a truth value or an option is neither 0 nor 1")
    return value == 1


def chosen(names: list[str], held: list[Decoder | None]) -> Decoder:
    def decode(r: Reader) -> object:
        index = varint(r, 4)
        if index >= len(names):
            raise Malformed("an enumeration has no such value")
        inner = held[index]
        return names[index] if inner is None else {names[index]: inner(r)}

    return decode


def optional(inner: Decoder) -> Decoder:
    return lambda r: inner(r) if one_bit(r) else None


def listed(inner: Decoder) -> Decoder:
    def decode(r: Reader) -> list:
        count = varint(r, 8)
        if count > len(r.data):
            raise Malformed("a list has more values than bytes")
        return [inner(r) for _ in range(count)]

    return decode


def mapped(key: Decoder, value: Decoder) -> Decoder:
    return listed(lambda r: (key(r), value(r)))


def record(fields: list[tuple[str, Decoder]]) -> Decoder:
    return lambda r: {name: decode(r) for name, decode in fields}


def sixty_four(r: Reader) -> bytes:
    data = counted(r)
    if len(data) != 64:
        raise Malformed("a signature is not 64 bytes")
    return data


def a_subject(r: Reader) -> tuple[int, bytes]:
    kind, ident = r.uint(1) + 1, r.take(16)
    if kind not in THING_KINDS:
        raise Malformed("a subject is of no known kind")
    return kind, ident


def a_principal(r: Reader) -> tuple[int, object]:
    kind = varint(r, 4)
    if kind not in PRINCIPAL_KINDS:
        raise Malformed("a principal is of no known kind")
    if kind == EXTERNAL_SUBJECT:
        return kind, string(r)
    return kind, None if kind in PRINCIPALS_WITHOUT_ID else r.take(16)


def comma_parts(text: str) -> list[str]:
    """Splits at the commas that stand in no brackets."""
    parts, depth, begin = [], 0, 0
    for at, char in enumerate(text):
        depth += (char in "([{") - (char in ")]}")
        if char == "," and depth == 0:
            parts.append(text[begin:at].strip())
            begin = at + 1
    return [*parts, text[begin:].strip()]


class Shapes:
    """Decoders made from the page's notation: `name type` with `?`, `[T]`, `{K: V}`, `(fields)` and `enum(…)`."""

    def __init__(self) -> None:
        self.named: dict[str, Decoder] = {
            "u8": fixed(1), "bool": one_bit, "u16": unsigned(2), "u32": unsigned(4), "u64": unsigned(8),
            "str": string, "json": string, "bytes": counted, "id": fixed(16), "h32": fixed(32), "b24": fixed(24),
            "sig": sixty_four, "t": signed(8), "i128": signed(16), "subject": a_subject, "principal": a_principal,
        }  # fmt: skip
        self.named["enc"] = self.fields("key subject, nonce b24, ciphertext bytes")
        self.named["decimal"] = self.fields("mantissa i128, scale u8")
        self.named["accountability"] = self.fields(ACCOUNTABILITY)

    def fields(self, text: str) -> Decoder:
        made = []
        for part in comma_parts(text):
            name, _, kind = part.partition(" ")
            # A field that has its type's name, or that of an enumeration further up, stands alone.
            decoder = self.type(kind or name)
            if kind.startswith("enum("):
                self.named[name] = decoder
            made.append((name.rstrip("?"), decoder))
        return record(made)

    def type(self, text: str) -> Decoder:
        if text.endswith("?"):
            return optional(self.type(text[:-1]))
        if text.startswith("enum("):
            parts = [part.partition(" ") for part in comma_parts(text[5:-1])]
            return chosen([name for name, _, _ in parts], [self.type(held) if held else None for _, _, held in parts])
        if text.startswith("{"):
            key, value = text[1:-1].split(": ")
            return mapped(self.type(key), self.type(value))
        if text.startswith("("):
            return self.fields(text[1:-1])
        if text.startswith("["):
            inner = text[1:-1]
            return listed(self.fields(inner) if " " in inner else self.type(inner))
        return self.named[text]

    def kinds(self) -> dict[int, Decoder]:
        prelude = self.fields(PRELUDE)
        made: dict[int, Decoder] = {}
        by_name: dict[str, Decoder] = {}
        for line in KINDS.strip().splitlines():
            codes, names, text = (column.strip() for column in line.split(" | "))
            fields = by_name[text[3:]] if text.startswith("as ") else self.fields(text)
            for code, name in zip(codes.split(", "), names.split(", "), strict=True):
                by_name[name] = fields
                made[int(code)] = record([("prelude", prelude), ("body", fields)])
        return made


BODIES = Shapes().kinds()


def decode_body(kind: int, version: int, body: bytes) -> dict | None:
    """The body's fields; None for a kind or version that is not known here."""
    decoder = BODIES.get(kind)
    if decoder is None or version != 1:
        return None
    if len(body) > BODY_BYTES_MAX:
        raise Malformed("the body is longer than bodies may be")
    r = Reader(body)
    value = decoder(r)
    r.end()
    return value["body"]  # type: ignore[index]


# --- [10] Export ------------------------------------------------------------------------------------------------------

MAGIC = b"chancery export 1\n"
FRAME_BYTES_MAX = 1024 * 1024


@dataclass
class EventFrame:
    """An event as an export holds it; `body` is None when it is withheld."""

    header: bytes
    body: bytes | None


class ContainerFault(Exception):
    """The export's frames are malformed or stop early."""


def read_export(source: BinaryIO) -> Iterator[EventFrame | bytes]:
    """The frames in order: events, and seals as bytes. Raises ContainerFault where the frames stop making sense."""

    def fill(count: int) -> bytes:
        data = source.read(count)
        if len(data) != count:
            raise ContainerFault("it ends before its end frame")
        return data

    if fill(len(MAGIC)) != MAGIC:
        raise ContainerFault("it does not begin as an export does")
    events = seals = 0
    while True:
        kind, length = struct.unpack(">cI", fill(5))
        if length > FRAME_BYTES_MAX:
            raise ContainerFault("a frame is longer than frames may be")
        payload = fill(length)
        if kind == b"E":
            events += 1
            yield event_frame(payload)
        elif kind == b"S":
            seals += 1
            yield payload
        elif kind == b"Z":
            if payload != struct.pack(">QQ", events, seals):
                raise ContainerFault("it does not hold as many events and seals as it says")
            if source.read(1):
                raise ContainerFault("something follows its end")
            return
        else:
            raise ContainerFault("a frame is of no known type")


def event_frame(payload: bytes) -> EventFrame:
    r = Reader(payload)
    try:
        header = r.take(r.uint(4))
        with_body = r.uint(1)
    except Malformed:
        raise ContainerFault("an event's frame does not fit its parts") from None
    body = payload[r.at :]
    if with_body == 1:
        return EventFrame(header, body)
    if with_body == 0 and not body:
        return EventFrame(header, None)
    raise ContainerFault("an event's frame does not fit its parts")


# --- [18] What agents sign --------------------------------------------------------------------------------------------

BASE_BYTES_MAX = 8192
NONCE_CHARS = range(16, 129)
LIFE = 300_000_000
CLOCK_SKEW = 60_000_000
LATEST_SECS = 253_402_300_799
COMPONENTS = (
    "@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query", "content-digest",
    "content-type", "content-length", "date", "idempotency-key", "if-match", "chancery-tenant",
)  # fmt: skip
DIGEST_BYTES = {"sha-256": 32, "sha-512": 64}
A_PARAMETER = re.compile(
    r';(?:(created|expires)=(0|[1-9][0-9]{0,14})|(nonce|alg|keyid|tag)="((?:[ !#-\[\]-~]|\\["\\])*)")', re.ASCII
)
A_DIGEST = re.compile(r"([a-z*][a-z0-9_.*-]*)=:([A-Za-z0-9+/]*={0,2}):", re.ASCII)


def parse_base(text: str) -> dict[str, str]:
    """The parameters of a signature base, when it says enough to hold its signer to it."""
    if len(text.encode()) > BASE_BYTES_MAX or not re.fullmatch(r"[\n\t -~]*", text):
        raise Malformed("the signature base is too long, or not printable ASCII")
    pairs = [line[1:].partition('": ') if line.startswith('"') else ("", "", "") for line in text.split("\n")]
    if not all(colon for _, colon, _ in pairs) or pairs[-1][0] != "@signature-params":
        raise Malformed("the signature base is not lines of names and values")
    *lines, (_, _, last) = pairs
    names = [name for name, _, _ in lines]
    listed = "(" + " ".join(f'"{name}"' for name in names) + ")"
    if not last.startswith(listed):
        raise Malformed("the signature base's lines are not those that its last line names")
    if len(set(names)) < len(names) or not set(names) <= set(COMPONENTS):
        raise Malformed("the signature covers what it must not, or twice")
    if "@method" not in names or not ("@target-uri" in names or {"@authority", "@path"} <= set(names)):
        raise Malformed("the signature does not cover method and target")
    check_digest(next((value for name, _, value in lines if name == "content-digest"), ""))
    return parse_parameters(last[len(listed) :])


def check_digest(text: str) -> None:
    digests = [A_DIGEST.fullmatch(part.strip(" \t")) for part in text.split(",")]
    known = [found for found in digests if found and found[1] in DIGEST_BYTES]
    if None in digests or not known or any(len(from_base64(it[2])) != DIGEST_BYTES[it[1]] for it in known):
        raise Malformed("the signature does not cover a digest of the content")


def parse_parameters(text: str) -> dict[str, str]:
    found, at = {}, 0
    while at < len(text):
        one = A_PARAMETER.match(text, at)
        if one is None or (one[1] or one[3]) in found:
            raise Malformed("the signature's parameters are malformed")
        found[one[1] or one[3]] = one[2] if one[1] else re.sub(r"\\(.)", r"\1", one[4])
        at = one.end()
    if found.get("alg", "ed25519") != "ed25519" or len(found.get("nonce", "")) not in NONCE_CHARS:
        raise Malformed("the signature's algorithm or nonce is not as it must be")
    times = [int(found[name]) for name in ("created", "expires") if name in found]
    if "created" not in found or times != sorted(times) or times[-1] > LATEST_SECS:
        raise Malformed("the signature's times are not as they must be")
    return found


@dataclass
class Agents:
    """Agents' identity keys so far, and the nonces of what they signed of late."""

    keys: dict[bytes, tuple[bytes, bytes]] = field(default_factory=dict)
    # Whether there can be keys that are not among them.
    partial: bool = False
    nonces: dict[tuple[bytes, str], int] = field(default_factory=dict)
    prune_at: int = 1024
    checked: int = 0
    unchecked: int = 0

    def take(self, kind: int, time: int, value: dict | None) -> None:
        if kind in (AGENT_KEY_ADDED, AGENT_KEY_REVOKED) and value is None:
            self.partial = True
        elif kind == AGENT_KEY_ADDED and value["purpose"] == "identity":  # type: ignore[index]
            if value["algorithm"] == "ed25519" and len(value["public"]) == 32:  # type: ignore[index]
                self.keys[value["key"]] = (value["agent"], value["public"])  # type: ignore[index]
        elif kind == AGENT_KEY_REVOKED:
            self.keys.pop(value["key"], None)  # type: ignore[index]
        elif kind == COMMAND_SIGNED and value is None:
            self.unchecked += 1
        elif kind == COMMAND_SIGNED:
            self.signed(time, value)  # type: ignore[arg-type]

    def signed(self, time: int, value: dict) -> None:
        known = self.keys.get(value["key"])
        self.checked += 1
        parameters = parse_base(value["base"])
        said = {"keyid": str(uuid.UUID(bytes=value["key"])), "nonce": value["nonce"]}
        said |= {name: str(value[name] // 1_000_000) for name in ("created", "expires") if value[name] is not None}
        whole = all(value[name] is None or value[name] % 1_000_000 == 0 for name in ("created", "expires"))
        if not whole or said != {name: text for name, text in parameters.items() if name not in ("alg", "tag")}:
            raise Malformed("the signature base says something else than stands beside it")
        if known is None and self.partial:
            self.checked, self.unchecked = self.checked - 1, self.unchecked + 1
            return
        if known is None or known[0] != value["agent"]:
            raise Malformed("the log gave the agent no such identity key")
        until = min(value["created"] + LIFE, value["expires"] or U64_MAX)
        if value["created"] > time + CLOCK_SKEW or time > until:
            raise Malformed("the signature was not good when it was recorded")
        if len(self.nonces) >= self.prune_at:
            self.nonces = {name: until for name, until in self.nonces.items() if until >= time}
            self.prune_at = 2 * len(self.nonces) + 1024
        if (value["key"], value["nonce"]) in self.nonces:
            raise Malformed("the agent signed it once, and it stands in the log twice")
        self.nonces[value["key"], value["nonce"]] = until
        if not strictly_signed(known[1], value["base"].encode(), value["signature"]):
            raise Malformed("the agent's key did not make this signature")


# --- [9], [13] Key history and verification ---------------------------------------------------------------------------

FINDINGS_KEPT = 100
SEALS_REMEMBERED = 65_536
AUTHENTIC = {"header", "record", "body", "key", "head", "checkpoint", "signature", "agent_signature", "timestamp"}
CHAIN = {"header", "record", "gap", "link", "time", "truncated", "container"}
TREE = {"header", "record", "tree", "checkpoint", "diverged"}
KEYS = {"key", "head", "signature", "cosignature"}
# Roots that are remembered for the cosignatures that come after them.
ROOTS_KEPT = 65_536


@dataclass
class Finding:
    """One thing that is wrong, and at which event."""

    seq: int
    reason: str
    detail: str

    def to_json(self) -> dict:
        return {"seq": self.seq, "reason": self.reason, "detail": self.detail}


@dataclass
class Verifier:
    """Section 13. `n` is the number of the next event."""

    trusted: tuple[str, bytes] | None = None
    heads: list[Seal] = field(default_factory=list)
    witnesses: list[Witness] = field(default_factory=list)

    n: int = 0
    events: int = 0
    seals: int = 0
    prev: bytes | None = ZERO_HASH
    time: int | None = None
    tree: Tree = field(default_factory=Tree)
    roots_hold: bool = True
    origin: str | None = None
    keys: list[tuple[int, bytes]] = field(default_factory=list)
    # A sealing key named in the commit being read, and the event that names it.
    added: tuple[int, bytes] | None = None
    sealed_to: int = 0
    held: tuple[int, bytes] | None = None
    trusted_key_sealed: bool = False
    bodies: dict = field(default_factory=lambda: {"intact": 0, "withheld": 0, "unknown": 0})
    agents: Agents = field(default_factory=lambda: Agents())
    # Roots by size, of the last seals, and how many timestamps there are.
    sealed: dict[int, bytes] = field(default_factory=dict)
    timestamps: int = 0
    head_roots: dict[int, bytes] = field(default_factory=dict)
    roots: OrderedDict[int, bytes] = field(default_factory=OrderedDict)
    findings: list[Finding] = field(default_factory=list)
    # Of a bundle, what it was asked for.
    census: Census | None = None
    heads_not_compared: list[int] = field(default_factory=list)

    def found(self, seq: int, reason: str, detail: str) -> None:
        self.findings.append(Finding(seq, reason, detail))

    def event(self, frame: EventFrame) -> None:
        self.events += 1
        self.commit_goes_on()
        try:
            header = parse_header(frame.header)
        except Malformed as why:
            self.found(self.n, "header", str(why))
            self.roots_hold = False
        else:
            self.in_place(header)
            self.body(header, frame.body)
            if self.census and (lacking := self.census.event(header, self.n, frame.body is not None)):
                self.found(self.n, "choice", lacking)
        self.tree.push(leaf_hash(frame.header))
        self.prev = header_hash(frame.header)
        self.n += 1
        self.note_heads()

    def note_heads(self) -> None:
        if self.roots_hold and any(head.size == self.n for head in self.heads):
            self.head_roots[self.n] = self.tree.root()

    def commit_goes_on(self) -> None:
        if self.added:
            self.found(self.added[0], "key", "a sealing key was added, and its commit went on")
            self.added = None

    def skipped(self, subtrees: list[tuple[int, bytes]]) -> None:
        """Section 17: events that a bundle does not show."""
        self.commit_goes_on()
        self.agents.partial = True
        for level, root in subtrees:
            if level > 63 or self.n % (1 << level) or self.n + (1 << level) > U64_MAX:
                if self.roots_hold:
                    self.found(self.n, "tree", "no subtree as large as the one given can start here")
                self.roots_hold = False
                continue
            missing = self.census.missing(self.n, 1 << level) if self.census else None
            if missing is not None:
                self.found(missing, "choice", "it was asked for and is not here")
            if self.roots_hold:
                self.tree.push(root, level)
            self.n += 1 << level
            self.note_heads()
        self.prev = None

    def in_place(self, header: Header) -> None:
        if header.seq != self.n:
            self.found(self.n, "gap", f"event {header.seq} stands where {self.n} should")
            self.roots_hold = False
            self.n = header.seq
        if self.prev is not None and header.prev != self.prev:
            self.found(self.n, "link", "it does not name the hash of the event before it")
        if self.time is not None and header.time < self.time:
            self.found(self.n, "time", "it is earlier than the event before it")
        self.time = header.time

    def body(self, header: Header, body: bytes | None) -> None:
        value: dict | None = None
        damaged = False
        if body is None:
            self.bodies["withheld"] += 1
        elif body_hash(body) != header.body_hash:
            damaged = True
            self.found(self.n, "body", "the body does not have the hash in the header")
        else:
            try:
                value = decode_body(header.kind, header.version, body)
            except Malformed as why:
                damaged = True
                self.found(self.n, "body", f"the body is not of its kind: {why}")
            else:
                self.bodies["unknown" if value is None else "intact"] += 1
        self.key_history(header, value, damaged)
        try:
            self.agents.take(header.kind, header.time, value)
        except Malformed as why:
            self.found(self.n, "agent_signature", str(why))
        if header.kind == CHECKPOINT_COSIGNED and value is not None and self.n:
            self.cosigned(value)
        if header.kind == CHECKPOINT_TIMESTAMPED and value is not None:
            self.timestamp(value)

    def cosigned(self, value: dict) -> None:
        """Section 13: the log records what a witness said."""
        witness = next((known for known in self.witnesses if known.key() == value["witness"]), None)
        if witness is None:
            return
        size, root = value["size"], value["root"]
        text = f"{self.origin or ''}\n{size}\n{base64.b64encode(root).decode()}\n".encode()
        secs = cosigned_at(text, value["cosignature"], witness.public)
        if secs is None:
            self.found(self.n, "cosignature", "the witness named did not cosign what it is said to have")
        elif self.roots.get(size, root) != root:
            self.found(max(size - 1, 0), "diverged", f"`{witness.name}` cosigned another tree of this size")
        elif size in self.roots:
            witness.note(size, secs)

    def timestamp(self, value: dict) -> None:
        """That it is over a root of this log. Tokens themselves are read by `chancery verify --tsa-ca` and `openssl ts`."""
        if self.sealed.get(value["size"], value["root"]) == value["root"]:
            self.timestamps += 1
        else:
            self.found(self.n, "timestamp", "it is over a root that the log did not have")

    def key_history(self, header: Header, value: dict | None, damaged: bool) -> None:
        """Rule 6: who may seal, and from where on."""
        first = self.n == 0
        of_keys = header.kind in (LEDGER_CREATED, SIGNING_KEY_ADDED)
        if of_keys and value is None and not damaged:
            self.found(self.n, "key", "the log's keys are not known without its body")
        elif header.kind == LEDGER_CREATED and value is not None and value["format"] != 1:
            self.found(self.n, "key", "the log is of a format that is not known")
        elif header.kind == LEDGER_CREATED and value is not None and not sealing_key(value):
            self.found(self.n, "key", "its sealing key is no Ed25519 key")
        elif header.kind == LEDGER_CREATED and value is not None and first:
            self.origin = value["origin"]
            self.keys.append((1, value["public"]))
        elif first:
            self.found(0, "key", "it is not the first event of a ledger")
        elif header.kind == LEDGER_CREATED:
            self.found(self.n, "key", "a second ledger begins here")
        elif header.kind == SIGNING_KEY_ADDED and value is not None and value["purpose"] == "seal":
            if sealing_key(value):
                self.added = (self.n, value["public"])
            else:
                self.found(self.n, "key", "its sealing key is no Ed25519 key")

    def seal(self, data: bytes) -> None:
        self.seals += 1
        at = max(self.n - 1, 0)
        try:
            seal = parse_seal(data)
        except Malformed as why:
            self.found(at, "checkpoint", str(why))
            return
        if self.origin is not None and seal.origin != self.origin:
            self.found(at, "checkpoint", f"the seal is of another log, `{seal.origin}`")
        elif seal.size != self.n:
            self.found(at, "checkpoint", f"the seal signs {seal.size} events where {self.n} end")
        elif self.roots_hold:
            root = self.tree.root()
            if seal.root == root:
                self.held = (self.n, root)
                if self.witnesses:
                    self.roots[self.n] = root
                    if len(self.roots) > ROOTS_KEPT:
                        self.roots.popitem(last=False)
                    self.lines(seal, at, "the seal")
                self.sealed[self.n] = root
                if len(self.sealed) > SEALS_REMEMBERED:
                    del self.sealed[next(iter(self.sealed))]
            else:
                self.found(at, "checkpoint", "the seal does not sign the events before it")
                self.roots_hold = False
        self.signature(seal, at)
        if self.added:
            self.keys.append((self.n + 1, self.added[1]))
            self.added = None
        self.sealed_to = seal.size

    def signature(self, seal: Seal, at: int) -> None:
        if not self.keys:
            return
        *earlier, in_force = (public for _, public in self.keys)
        if self.trusted and self.trusted[1] == in_force:
            self.trusted_key_sealed = True
        if seal.signed_by(in_force):
            return
        if any(seal.signed_by(public) for public in earlier):
            self.found(at, "key", "the seal is by a key of this log, but not by the one then in force")
        else:
            self.found(at, "signature", "the seal is not signed by the key then in force")

    def end(self) -> None:
        if self.n == 0:
            self.found(0, "gap", "there is no event")
        elif self.sealed_to < self.n:
            self.found(self.sealed_to, "checkpoint", "no seal signs this event")
        if self.trusted and self.events and not (self.trusted_key_sealed and self.trusted[0] == self.origin):
            self.found(0, "key", "the log is not sealed by the trusted key")
        for head in self.heads:
            self.head(head)

    def head(self, head: Seal) -> None:
        last = max(head.size - 1, 0)
        if head.origin != self.origin or not any(head.signed_by(public) for _, public in self.keys):
            self.found(last, "head", "the head given is not signed by a key of this log")
        elif self.census and head.size not in self.head_roots:
            self.heads_not_compared.append(head.size)
        elif head.size > self.n:
            self.found(self.n, "truncated", f"the log ends here, and a head for {head.size} events was signed")
        elif self.head_roots.get(head.size, head.root) != head.root:
            self.found(last, "diverged", "the log is not the one that the head given signs")
        elif head.size in self.head_roots:
            self.lines(head, last, "the head given")

    def lines(self, seal: Seal, last: int, what: str) -> None:
        """What witnesses say on a checkpoint that is the log's own."""
        for witness in self.witnesses:
            line = witness.line(seal)
            secs = None if line is None else cosigned_at(seal.text, line, witness.public)
            if secs is not None:
                witness.note(seal.size, secs)
            elif line is not None:
                self.found(last, "cosignature", f"{what} has a line of `{witness.name}` that is not its cosignature")

    def witnessed(self) -> tuple[str, int | None]:
        """How many of the witnesses cosigned the log, and up to which size."""
        size = max((witness.newest[0] for witness in self.witnesses if witness.newest), default=None)
        if size is None:
            return "unwitnessed", None
        count = sum(witness.newest is not None and witness.newest[0] >= size for witness in self.witnesses)
        return f"{count} of {len(self.witnesses)}", size

    def verdict(self) -> dict:
        reasons = {finding.reason for finding in self.findings}
        kept = [finding.to_json() for finding in self.findings[:FINDINGS_KEPT]]
        witnesses, witnessed_size = self.witnessed()
        return {
            "whole": not self.findings,
            "origin": self.origin,
            "events": self.events,
            "seals": self.seals,
            "size": self.held[0] if self.held else 0,
            "root": self.held[1].hex() if self.held else None,
            "trust": "given" if self.trusted else "self",
            "keys": [
                {"from_size": size, "verifier_key": verifier_key(self.origin or "", public)} for size, public in self.keys
            ],
            "checks": {
                "events_authentic": "no" if reasons & AUTHENTIC else "yes",
                "chain_whole": "no" if reasons & CHAIN else "yes",
                "tree_consistent": "no" if reasons & TREE else "yes",
                "keys_consistent": "no" if reasons & KEYS else "yes",
            },
            "bodies": self.bodies,
            "agent_signatures": {"checked": self.agents.checked, "unchecked": self.agents.unchecked},
            "timestamps": {"verified": 0, "unverified": self.timestamps, "newest": None},
            "truncation_excluded_to": max(
                (head.size for head in self.heads if head.size not in self.heads_not_compared), default=None
            ),
            "witnesses": witnesses,
            "witnessed_size": witnessed_size,
            "cosigned_by": [
                {
                    "witness": witness.key(),
                    "size": witness.newest[0] if witness.newest else None,
                    "time_secs": witness.newest[1] if witness.newest else None,
                }
                for witness in self.witnesses
            ],
            "diverged": "diverged" in reasons,
            "first_broken": kept[0] if kept else None,
            "findings": kept,
            "findings_total": len(self.findings),
        } | ({"bundle": self.census.verdict(not self.findings, self.heads_not_compared)} if self.census else {})


def sealing_key(value: dict) -> bool:
    """Whether a key event names an Ed25519 key."""
    return value["algorithm"] == "ed25519" and of_large_order(value["public"])


def verify(
    source: BinaryIO,
    trusted: tuple[str, bytes] | None = None,
    heads: list[Seal] | None = None,
    progress: Callable[[int], None] = lambda events: None,
    witnesses: list[Witness] | None = None,
) -> dict:
    """Reads an export to its end and gives the verdict."""
    return verify_items(read_export(source), trusted, heads, progress, witnesses)


def verify_items(
    items: Iterator[EventFrame | bytes],
    trusted: tuple[str, bytes] | None = None,
    heads: list[Seal] | None = None,
    progress: Callable[[int], None] = lambda events: None,
    witnesses: list[Witness] | None = None,
) -> dict:
    """Reads a log to its end and gives the verdict."""
    verifier = Verifier(trusted, heads or [], witnesses or [])
    try:
        for item in items:
            if isinstance(item, EventFrame):
                verifier.event(item)
                progress(verifier.events)
            else:
                verifier.seal(item)
    except ContainerFault as why:
        verifier.found(verifier.n, "container", str(why))
    verifier.end()
    return verifier.verdict()


# --- [15] Archive -----------------------------------------------------------------------------------------------------

SEGMENT_MAGIC = b"chancery archive 1\n"
SEGMENT_NAME = re.compile(r"segment-([0-9]{20})-(0|[1-9][0-9]*)\.archive")
COMMIT_EVENTS_MAX = 4096


def archive_checksum(data: bytes) -> bytes:
    return blake3(data, derive_key_context="chancery 2026 archive commit v1").digest()


class Segment:
    """A segment, read commit by commit: each is a list of frames, and either all of it is there or nothing."""

    def __init__(self, source: BinaryIO):
        self.source = source
        self.pending = b""
        self.first: int | None = None
        self.events = self.seals = 0
        self.torn: str | None = None
        try:
            self.read_head()
        except ContainerFault as why:
            self.torn = str(why)

    def fill(self, count: int) -> bytes:
        data = self.source.read(count)
        if len(data) != count:
            raise ContainerFault("it ends before its end frame")
        return data

    def frame(self) -> tuple[bytes, bytes] | None:
        kind = self.source.read(1)
        if not kind:
            return None
        (length,) = struct.unpack(">I", raw := self.fill(4))
        if length > FRAME_BYTES_MAX:
            raise ContainerFault("a frame is longer than frames may be")
        payload = self.fill(length)
        if kind == b"C":
            if payload != archive_checksum(self.pending):
                raise ContainerFault("a checksum is not that of its bytes")
            self.pending = b""
        else:
            self.pending += kind + raw + payload
        return kind, payload

    def read_head(self) -> None:
        self.pending = self.fill(len(SEGMENT_MAGIC))
        if self.pending != SEGMENT_MAGIC:
            raise ContainerFault("it does not begin as a segment does")
        head = self.frame()
        if head is None or head[0] != b"A" or len(head[1]) < 40:
            raise ContainerFault("it does not say what it goes on from")
        checksum = self.frame()
        if checksum is None or checksum[0] != b"C":
            raise ContainerFault("its head has no checksum")
        self.first = struct.unpack(">Q", head[1][:8])[0]

    def commits(self) -> Iterator[list[EventFrame | bytes]]:
        if self.torn is None:
            try:
                yield from self.whole_commits()
            except ContainerFault as why:
                self.torn = str(why)

    def whole_commits(self) -> Iterator[list[EventFrame | bytes]]:
        items: list[EventFrame | bytes] = []
        while (frame := self.frame()) is not None:
            kind, payload = frame
            if kind == b"E" and len(items) < COMMIT_EVENTS_MAX:
                items.append(event_frame(payload))
            elif kind == b"S" and items:
                checksum = self.frame()
                if checksum is None or checksum[0] != b"C":
                    raise ContainerFault("a commit has no checksum")
                self.events, self.seals = self.events + len(items), self.seals + 1
                yield [*items, payload]
                items = []
            elif kind == b"Z" and not items:
                if payload != struct.pack(">QQ", self.events, self.seals) or self.source.read(1):
                    raise ContainerFault("it does not hold as many events and seals as it says")
                return
            else:
                raise ContainerFault("a frame is out of place, or of no known type")
        if items:
            raise ContainerFault("it ends within a commit")


def read_archive(place: Path) -> Iterator[EventFrame | bytes]:
    """An archive's frames in order, of a directory or of one segment. What stands behind the last whole commit of the last
    segment is nothing; anywhere else what is missing is a fault."""
    parent = place.parent if place.is_file() else place
    found = [SEGMENT_NAME.fullmatch(path.name) for path in ([place] if place.is_file() else place.iterdir())]
    names = sorted((int(name[1]), int(name[2]), name[0]) for name in found if name)
    if not names:
        raise FileNotFoundError(f"there is no archive segment in {place}")
    size = 0
    for place_in_order, (first, _, name) in enumerate(names):
        limit = names[place_in_order + 1][0] if place_in_order + 1 < len(names) else None
        if first > size:
            raise ContainerFault(f"there is no event {size} before {name}")
        with (parent / name).open("rb") as source:
            segment = Segment(source)
            if segment.first not in (None, first):
                raise ContainerFault(f"{name} begins with another event than its name says")
            commits = segment.commits()
            while limit is None or size < limit:
                commit = next(commits, None)
                if commit is None:
                    break
                size += len(commit) - 1
                if limit is not None and size > limit:
                    raise ContainerFault(f"a commit in {name} goes beyond event {limit}, where the next segment begins")
                yield from commit
            if limit is not None and size < limit:
                raise ContainerFault(f"{name} ends before the next segment begins: {segment.torn or 'it is cut short'}")


# --- [17] Evidence bundle ----------------------------------------------------------------------------------------------

BUNDLE_MAGIC = b"chancery bundle 1\n"
GZIP_MAGIC = b"\x1f\x8b"
MANIFEST_BYTES_MAX = 64 * 1024
SUBTREES_MAX = 128
THINGS_MAX = 64
THING_NAMES = {
    "ledger": 1, "tenant": 2, "organisation": 3, "member": 4, "agent": 5, "client": 6, "credential": 7, "key": 8,
    "challenge": 9, "token": 10, "session": 11, "mission": 12, "execution": 13, "action": 14, "approval": 15,
    "audit_chain": 16, "audit_entry": 17, "destination": 18, "subscription": 19, "issuer": 20, "issuer_rule": 21,
    "membership": 25, "transaction": 30, "dispute": 31, "policy": 32,
}  # fmt: skip


class Gunzip:
    """One gzip stream, decompressed as it is read; nothing may follow it."""

    def __init__(self, source: BinaryIO):
        self.source = source
        self.inflate = zlib.decompressobj(wbits=31)
        self.ahead = b""
        self.at = 0

    def read(self, count: int) -> bytes:
        if len(self.ahead) - self.at < count:
            self.refill(count)
        piece = self.ahead[self.at : self.at + count]
        self.at += len(piece)
        return piece

    def refill(self, count: int) -> None:
        parts = [self.ahead[self.at :]]
        have = len(parts[0])
        try:
            while have < count and not self.inflate.eof:
                data = self.inflate.unconsumed_tail or self.source.read(65536)
                part = self.inflate.decompress(data, FRAME_BYTES_MAX)
                if not data and not part:
                    raise ContainerFault("its compression is damaged or cut short")
                parts.append(part)
                have += len(part)
        except zlib.error:
            raise ContainerFault("its compression is damaged or cut short") from None
        self.ahead, self.at = b"".join(parts), 0

    def is_over(self) -> bool:
        return not self.read(1) and not self.inflate.unused_data and not self.source.read(1)


@dataclass
class Choice:
    """What a bundle was asked for."""

    first: int
    end: int
    from_time: int | None
    to_time: int | None
    tenant: bytes | None
    things: set[tuple[int, bytes]]

    def takes(self, header: Header) -> bool:
        return (
            self.first <= header.seq < self.end
            and (self.from_time is None or header.time >= self.from_time)
            and (self.to_time is None or header.time <= self.to_time)
            and (self.tenant is None or header.tenant == self.tenant)
            and (not self.things or bool(self.things & header.things))
        )


def micros(text: str) -> int:
    """A time of the JSON form, `2026-01-02T03:04:05.678901Z`."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z", text, re.ASCII):
        raise Malformed("a time is not one")
    since = datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


@dataclass
class Manifest:
    """The first frame of a bundle. `given` is its choice, as it was written."""

    origin: str
    size: int
    choice: Choice
    bodies: bool
    headers: bool
    recorded: int | None
    given: dict

    def is_complete(self) -> bool:
        return self.headers or (self.choice.tenant is None and not self.choice.things)


def parse_manifest(payload: bytes) -> Manifest:
    try:
        found = json.loads(utf8(payload))
        if set(found) != {"origin", "size", "choice", "bodies", "others", "recorded", "proves", "does_not_prove"}:
            raise Malformed("the manifest has other members")
        given = found["choice"]
        if set(given) != {"first", "end", "from_time", "to_time", "tenant", "things"}:
            raise Malformed("the choice has other members")
        choice = Choice(
            given["first"],
            given["end"],
            given["from_time"] and micros(given["from_time"]),
            given["to_time"] and micros(given["to_time"]),
            uuid.UUID(given["tenant"]).bytes if given["tenant"] else None,
            {(THING_NAMES[thing["kind"]], uuid.UUID(thing["id"]).bytes) for thing in given["things"]},
        )
        bodies = {"included": True, "withheld": False}[found["bodies"]]
        headers = {"headers": True, "left_out": False}[found["others"]]
        numbers = [choice.first, choice.end, found["size"], found["recorded"] or 0]
        if any(type(number) is not int for number in numbers) or not isinstance(found["origin"], str):
            raise Malformed("the manifest is not one")
        sound = 0 <= choice.first <= choice.end <= found["size"] <= U64_MAX and 0 < found["size"]
        if not sound or len(given["things"]) > THINGS_MAX:
            raise Malformed("the manifest contradicts itself")
        return Manifest(found["origin"], found["size"], choice, bodies, headers, found["recorded"], given)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise Malformed("the manifest is not one") from None


# --- [20] Sample --------------------------------------------------------------------------------------------------------


class Draw:
    """The events with the lowest tickets, of those that come by."""

    def __init__(self, seed_bytes: bytes, size: int):
        self.seed = hashlib.sha256(b"chancery sample seed 1\n" + seed_bytes).digest()
        self.size = size
        # The highest of the lowest is on top, as heapq has the smallest there.
        self.drawn: list[tuple[int, int]] = []

    def take(self, seq: int) -> None:
        ticket = hashlib.sha256(b"chancery sample ticket 1\n" + self.seed + seq.to_bytes(8, "big")).digest()
        heapq.heappush(self.drawn, (-int.from_bytes(ticket, "big"), -seq))
        if len(self.drawn) > self.size:
            heapq.heappop(self.drawn)

    def sample(self) -> list[int]:
        return sorted(-seq for _, seq in self.drawn)


@dataclass
class Census:
    """Counts what a bundle holds, and compares it with what was asked."""

    manifest: Manifest
    chosen: int = 0
    beside: int = 0
    kinds: dict[int, int] = field(default_factory=dict)
    said: dict[int, int] | None = None
    starts: bool = False
    ends: bool = False
    whole: bool = True
    draw: Draw | None = None

    def event(self, header: Header, seq: int, has_body: bool) -> str | None:
        choice = self.manifest.choice
        if not choice.takes(header):
            self.beside += 1
            self.starts |= seq + 1 == choice.first and choice.from_time is not None and header.time < choice.from_time
            self.ends |= seq == choice.end and choice.to_time is not None and header.time > choice.to_time
            return None
        self.chosen += 1
        self.kinds[header.kind] = self.kinds.get(header.kind, 0) + 1
        if self.draw:
            self.draw.take(seq)
        return "its body was asked for and is not here" if self.manifest.bodies and not has_body else None

    def missing(self, start: int, leaves: int) -> int | None:
        """The first of some events in a row that must be shown."""
        first = max(start, self.manifest.choice.first)
        if self.manifest.is_complete() and first < min(self.manifest.choice.end, start + leaves):
            self.whole = False
            return first
        return None

    def verdict(self, whole: bool, heads_not_compared: list[int]) -> dict:
        choice = self.manifest.choice
        starts = self.starts or choice.from_time is None or choice.first == 0
        ends = self.ends or choice.to_time is None or choice.end == self.manifest.size
        complete = whole and self.whole and self.manifest.is_complete()
        return {
            "choice": self.manifest.given,
            "chosen": self.chosen,
            "kinds": {str(kind): self.kinds[kind] for kind in sorted(self.kinds)},
            "beside": self.beside,
            "complete": "yes" if complete else "no",
            "period_complete": "yes" if complete and starts and ends else "no",
            "recorded": self.manifest.recorded,
            "heads_not_compared": heads_not_compared,
        } | ({"sample": self.draw.sample()} if self.draw else {})


def read_frame(source: Gunzip) -> tuple[bytes, bytes]:
    head = source.read(5)
    if len(head) != 5:
        raise ContainerFault("it ends before its end frame")
    kind, length = struct.unpack(">cI", head)
    if length > FRAME_BYTES_MAX:
        raise ContainerFault("a frame is longer than frames may be")
    payload = source.read(length)
    if len(payload) != length:
        raise ContainerFault("it ends before its end frame")
    return kind, payload


def read_manifest(source: Gunzip) -> Manifest:
    if source.read(len(BUNDLE_MAGIC)) != BUNDLE_MAGIC:
        raise ContainerFault("it does not begin as a bundle does")
    kind, payload = read_frame(source)
    if kind != b"M" or len(payload) > MANIFEST_BYTES_MAX:
        raise ContainerFault("it has no manifest")
    try:
        return parse_manifest(payload)
    except Malformed as why:
        raise ContainerFault(str(why)) from None


def read_bundle(source: Gunzip, census: Census) -> Iterator[EventFrame | bytes | list[tuple[int, bytes]]]:
    """What follows the manifest, in order: events, seals as bytes, and subtrees in place of events."""
    events = seals = subtrees = 0
    while True:
        kind, payload = read_frame(source)
        if census.said is not None and kind != b"Z":
            raise ContainerFault("a frame stands between the counts and the end")
        if kind == b"E":
            events += 1
            yield event_frame(payload)
        elif kind == b"S":
            seals += 1
            yield payload
        elif kind == b"N":
            if not payload or len(payload) % 33 or len(payload) // 33 > SUBTREES_MAX:
                raise ContainerFault("a frame of subtrees is not one")
            parts = [(payload[at], payload[at + 1 : at + 33]) for at in range(0, len(payload), 33)]
            subtrees += len(parts)
            yield parts
        elif kind == b"C":
            parts = [struct.unpack_from(">HQ", payload, at) for at in range(0, len(payload) - 9, 10)]
            codes = [code for code, _ in parts]
            if len(payload) % 10 or codes != sorted(set(codes)) or any(count == 0 for _, count in parts):
                raise ContainerFault("its counts are not counts")
            census.said = dict(parts)
        elif kind == b"Z":
            if census.said is None:
                raise ContainerFault("it does not say how many events of each kind it holds")
            if payload != struct.pack(">QQQ", events, seals, subtrees):
                raise ContainerFault("it does not hold as many events, seals and subtrees as it says")
            if not source.is_over():
                raise ContainerFault("something follows its end")
            return
        else:
            raise ContainerFault("a frame is of no known type")


def verify_bundle(
    source: BinaryIO,
    trusted: tuple[str, bytes] | None = None,
    heads: list[Seal] | None = None,
    witnesses: list[Witness] | None = None,
    sample: tuple[int, bytes] | None = None,
) -> dict:
    """Reads a bundle to its end and gives the verdict; with a size and a seed's bytes also a sample. Raises ContainerFault when it does not begin as one."""
    plain = Gunzip(source)
    manifest = read_manifest(plain)
    census = Census(manifest, draw=Draw(sample[1], sample[0]) if sample else None)
    verifier = Verifier(trusted, heads or [], witnesses or [], census=census)
    try:
        for piece in read_bundle(plain, census):
            if isinstance(piece, EventFrame):
                verifier.event(piece)
            elif isinstance(piece, list):
                verifier.skipped(piece)
            else:
                verifier.seal(piece)
    except ContainerFault as why:
        verifier.found(verifier.n, "container", str(why))
    if census.said is not None:
        if verifier.origin != manifest.origin or verifier.n != manifest.size:
            verifier.found(verifier.n, "container", "its manifest is of another log, or another size of it")
        elif census.said != census.kinds:
            verifier.found(verifier.n, "container", "it does not hold as many events of each kind as it says")
    verifier.end()
    return verifier.verdict()


# --- [19] View receipts -----------------------------------------------------------------------------------------------

RECEIPT = "chancery view receipt 1"
RECEIPT_BYTES_MAX = 1_048_576
ROW_BYTES_MAX = 4 * BODY_BYTES_MAX
ROWS_FORMAT = 3
VIEW_ROOTS_PUBLISHED = 15

# Sort | view | table | where the owner begins | fields: the page's own table, line for line.
ROWS = """
tenant | identity | 4 | 0 | tenant id, slug str, name str, tier str, limits {str: u64}, root bool, standing enum(active, suspended, deleted), default_organisation id?, created t
organisation | identity | 8 | 16 | organisation id, tenant id, slug str, name str, tier str?, limits {str: u64}, default bool, verified bool, standing enum(active, suspended, deleted), ordinal u64, created t, updated t
member | identity | 12 | 16 | member id, tenant id, personal enc, role enum(owner, admin, standard, readonly), joined bool, expires t?
agent | identity | 13 | 16 | agent id, tenant id, organisation id, ordinal u64, ordinal_in_tenant u64, owner principal, via str, name str, handles [namespace str, value str], kind str?, semver str?, capabilities [str], environment enum(production, staging, development), actions [str], limit (amount decimal, currency str)?, accountability, valid_until t?, visibility enum(owner, tenant, everyone), disclosure enum(none, verifiable, listed), listed t?, personal enc, personal_updated bool, owner_hash h32?, identity_key (key id, purpose enum(identity, enrolled, did), public bytes)?, did_key (key id, purpose enum(identity, enrolled, did), public bytes)?, status enum(active, suspended, decommissioned), end (cause enum(revoked, decommissioned, deleted), at t, personal enc)?, created t, updated t
grants | identity | 33 | 16 | agent id, tenant id, scopes [str], administrator bool
credential | identity | 20 | 16 | credential id, tenant id, principal, kind enum(api_key, client_secret), hash h32, ordinal u64, name str?, scopes [str], audience [str], expires t?, revoked t?, created t
challenge | identity | 24 | 16 | challenge id, tenant id, purpose enum(prove, enrol), about id, nonce str, issued_by str, created t, expires t, answered bool?
issuer | identity | 40 | 16 | issuer id, tenant id, ordinal u64, name str, iss str, jwks_uri str, organisations [str], suspended bool, expires t?, removed t?, created t, updated t
issuer_rule | identity | 44 | 16 | rule id, tenant id, ordinal u64, provider str, repository str, branch str?, agent id, removed t?, created t, updated t
token | token | 1 | 16 | token id, tenant id, profile enum(execution, access, passport, session, code, refresh, delegation, workload), grant enum(issue, client, code, refresh, delegate, exchange), principal, agent id?, mission id?, ordinal u64, parent id?, depth u8, audience [str], scopes [str], terms enc?, issued t, expires t, cnf h32?, key id?, signature sig?, snapshot str?, used bool, revoked (at t, reason enc?)?
trust | trust | 1 | 16 | agent id, tenant id, organisation id, registered t, basis (counts (completed u64, reversed u64, failed u64, refused_scope_checks u64, revoked_missions u64, suspensions u64, disputes u64), tenure_days u32, operator_verified bool), components (completion_rate u16, dispute_rate u16, tenure u16, operator_verified u16, penalty u16), policy u32, scored t, evaluated t?, suspended t?
dispute | trust | 3 | 16 | dispute id, tenant id, reporter principal, agent id, transaction id?, texts enc, filed t, resolved (outcome enum(upheld, dismissed), at t)?
mission | execution | 1 | 16 | mission id, tenant id, ordinal u64, agent id?, implicit bool, key (namespace str, text str)?, terms enc?, services [str], limits {str: u64}, state enum(open, completed, revoked), opened t, ended t?, end enc?
audit_chain | execution | 5 | 0 | tenant id, opened (chain id, mission id, agent_text str, mission_text str, opened t), closed t?
transaction | execution | 13 | 16 | transaction id, tenant id, ordinal u64, agent id, agent_name str, counterparty enum(agent id, external str), amount decimal, currency str, action str, notes enc?, key str?, status enum(completed, reversed, failed), failure str?, at t, reversal (reversal id, at t, reason enc?)?
destination | execution | 20 | 16 | destination id, tenant id, ordinal u64, channel enum(webhook, email, sms), address enc, secret enum(added enc, rotated enc), code enc?, verified bool, users u32, created t, removed t?
subscription | execution | 23 | 16 | subscription id, tenant id, ordinal u64, name str?, destinations [id], own bool, kinds [str], rendering str, disabled bool, created t, updated t, ended t?
"""  # fmt: skip


@dataclass
class Sort:
    """A sort of thing that has receipts, and where its rows stand."""

    view: str
    table: int
    owner_at: int
    decode: Decoder


def sorts() -> dict[str, Sort]:
    shapes, made = Shapes(), {}
    for line in ROWS.strip().splitlines():
        name, view, table, owner_at, fields = line.split(" | ")
        made[name] = Sort(view, int(table), int(owner_at), shapes.fields(fields))
    return made


SORTS = sorts()
Field = TypeVar("Field")


def row_place(owner: bytes, key: bytes) -> bytes:
    return blake3(owner + key, derive_key_context="chancery 2026 view row place v1").digest()


def row_hash(value: bytes) -> bytes:
    return blake3(value, derive_key_context="chancery 2026 view row v1").digest()


def decode_row(sort: Sort, value: bytes) -> dict:
    if len(value) > ROW_BYTES_MAX:
        raise Malformed("the row is longer than rows may be")
    r = Reader(value)
    row = sort.decode(r)
    r.end()
    return row  # type: ignore[return-value]


def member(of: object, name: str, kind: type[Field]) -> Field:
    """A member of a JSON object, which must be there and be of a kind."""
    value = of.get(name) if isinstance(of, dict) else None
    if type(value) is not kind:
        raise Malformed(f"its member `{name}` is missing, or is not what it must be")
    return value


def texts(values: list) -> list[str]:
    if not all(isinstance(value, str) for value in values):
        raise Malformed("it holds what is not a text")
    return values


def fixed_hex(text: str, count: int) -> bytes:
    if not re.fullmatch(f"[0-9a-f]{{{2 * count}}}", text):
        raise Malformed(f"it holds what is not {count} bytes in hexadecimal")
    return bytes.fromhex(text)


def uuid_bytes(text: str) -> bytes:
    if not re.fullmatch("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", text):
        raise Malformed("it holds what is not a UUID")
    return bytes.fromhex(text.replace("-", ""))


@dataclass
class RowLeaf:
    """A leaf of a view's tree."""

    index: int
    place: bytes
    seq: int
    row: bytes


def row_leaf(given: object, rows: int, root: bytes) -> RowLeaf:
    """A leaf, checked to be in the tree of so many rows with that root."""
    index, seq = member(given, "index", int), member(given, "seq", int)
    place, row = fixed_hex(member(given, "place", str), 32), fixed_hex(member(given, "row", str), 32)
    path = [from_base64(step) for step in texts(member(given, "path", list))]
    if not (0 <= index <= U64_MAX and 0 <= seq <= U64_MAX) or any(len(step) != 32 for step in path):
        raise Malformed("a leaf is not one")
    if inclusion_root(leaf_hash(place + seq.to_bytes(8, "big") + row), index, rows, path) != root:
        raise Malformed(f"leaf {index} does not lead to the root that was published")
    return RowLeaf(index, place, seq, row)


def is_gap(place: bytes, leaves: list[RowLeaf], rows: int) -> bool:
    """Whether the leaves show that nothing stands at a place."""
    if not leaves:
        return rows == 0
    first, last = leaves[0], leaves[-1]
    if len(leaves) == 1:
        return (first.index == 0 and place < first.place) or (last.index == rows - 1 and last.place < place)
    return last.index == first.index + 1 and first.place < place < last.place


def published_root(receipt: object, view: str, trusted: tuple[str, bytes]) -> tuple[int, int, dict]:
    """The event that published the roots, how many events they reflect, and that of a view."""
    proof, body = member(receipt, "proof", str), from_base64(member(receipt, "body", str))
    extra = re.match("c2sp.org/tlog-proof@v1\nextra (.*)\n", proof)
    if not extra:
        raise Malformed("its proof does not hold the event's header")
    data = from_base64(extra.group(1))
    if parse_seal(proof.partition("\n\n")[2].encode()).origin != trusted[0]:
        raise Malformed("its checkpoint is of another log")
    seq, header = verify_proof(proof, data, trusted[1]), parse_header(data)
    published = decode_body(header.kind, header.version, body) if header.body_hash == body_hash(body) else None
    if header.kind != VIEW_ROOTS_PUBLISHED or published is None or published["size"] > seq:
        raise Malformed("its event did not publish roots of what was before it")
    if published["format"] != ROWS_FORMAT:
        raise Malformed(f"its rows are in format {published['format']}, which is not known here")
    root = next((root for root in published["roots"] if root["view"] == view), None)
    if root is None:
        raise Malformed(f"its event published no root of the {view} view")
    return seq, published["size"], root


def verify_receipt(data: bytes, trusted: tuple[str, bytes]) -> dict:
    """Checks a view receipt and gives what it proves."""
    if len(data) > RECEIPT_BYTES_MAX:
        raise Malformed("the receipt is too long")
    try:
        receipt = json.loads(data)
    except (ValueError, RecursionError):
        raise Malformed("it is no JSON") from None
    if member(receipt, "receipt", str) != RECEIPT or len(receipt) != 7 or "row" not in receipt:
        raise Malformed("it is no view receipt of this version")
    name, _, ident = member(receipt, "thing", str).partition(":")
    sort, tenant = SORTS.get(name), uuid_bytes(member(receipt, "tenant", str))
    if sort is None:
        raise Malformed("its thing is of no known sort")
    published, size, root = published_root(receipt, sort.view, trusted)
    given = member(receipt, "leaves", list)
    if len(given) > 2:
        raise Malformed("it has more than two leaves")
    leaves = [row_leaf(leaf, root["rows"], root["root"]) for leaf in given]
    place = row_place(tenant, bytes([sort.table]) + uuid_bytes(ident))
    row = written = None
    if receipt["row"] is None:
        if not is_gap(place, leaves, root["rows"]):
            raise Malformed("its leaves do not stand on both sides of where the row would be")
    else:
        value = from_base64(member(receipt, "row", str))
        if len(leaves) != 1 or leaves[0].place != place or leaves[0].row != row_hash(value):
            raise Malformed("its leaf is not that of this row of this thing")
        if value[sort.owner_at : sort.owner_at + 16] != tenant:
            raise Malformed("its row is another tenant's")
        row, written = decode_row(sort, value), leaves[0].seq
    return {"thing": receipt["thing"], "view": sort.view, "size": size, "published": published, "written": written, "row": row}


# --- The command ------------------------------------------------------------------------------------------------------


def show(verdict: dict) -> str:
    """The verdict for a person."""
    lines = [f"{name.replace('_', ' '):<18} {answer}" for name, answer in verdict["checks"].items()]
    lines.append(f"{'events, seals':<18} {verdict['events']}, {verdict['seals']}")
    signed = verdict["agent_signatures"]
    lines.append(f"{'agents signed':<18} {signed['checked']} checked, {signed['unchecked']} not")
    lines.append(f"{'trust':<18} {verdict['trust']}")
    up_to = "" if verdict["witnessed_size"] is None else f", up to {verdict['witnessed_size']} events"
    lines.append(f"{'witnesses':<18} {verdict['witnesses']}{up_to}")
    excluded = verdict["truncation_excluded_to"]
    lines.append(f"{'tail cut off':<18} {'cannot be excluded' if excluded is None else f'excluded up to {excluded}'}")
    if bundle := verdict.get("bundle"):
        lines.append(f"{'asked for':<18} {bundle['chosen']} events, and {bundle['beside']} that prove them")
        lines.append(f"{'complete':<18} {bundle['complete']}; the period: {bundle['period_complete']}")
        if "sample" in bundle:
            lines.append(f"{'sample':<18} {' '.join(map(str, bundle['sample']))}")
    for finding in verdict["findings"]:
        lines.append(f"event {finding['seq']}: {finding['reason']}: {finding['detail']}")
    lines.append("WHOLE" if verdict["whole"] else f"NOT WHOLE: {verdict['findings_total']} findings")
    return "\n".join(lines)


def counter(total_bytes: int, source: BinaryIO) -> Callable[[int], None]:
    """Progress on a terminal, every thousand events; nothing elsewhere."""
    if not sys.stderr.isatty():
        return lambda events: None

    def count(events: int) -> None:
        if events % 1000 == 0:
            share = 100 * source.tell() // max(total_bytes, 1)
            print(f"\r{events} events, {share} %", end="", file=sys.stderr, flush=True)

    return count


def text_or_file(given: str) -> str:
    """An argument may be the text itself or a file that holds it."""
    path = Path(given)
    return path.read_text(encoding="utf-8") if path.is_file() else given


def in_hex(value: bytes) -> str:
    """Bytes as JSON has them."""
    return value.hex()


def check_receipt(place: Path, trusted: tuple[str, bytes], with_json: bool) -> int:
    data = place.read_bytes()
    try:
        proven = verify_receipt(data, trusted)
    except Malformed as why:
        print(json.dumps({"holds": False, "why": str(why)}) if with_json else f"DOES NOT HOLD: {why}")
        return 1
    if with_json:
        print(json.dumps({"holds": True, "proven": proven}, indent=2, ensure_ascii=False, default=in_hex))
        return 0
    print(f"HOLDS: event {proven['published']} published that the {proven['view']} view, when it had read {proven['size']} events,")
    if proven["row"] is None:
        print(f"had no {proven['thing']} of that tenant")
    else:
        print(f"said of {proven['thing']}, as event {proven['written']} left it:")
        print(json.dumps(proven["row"], indent=2, ensure_ascii=False, default=in_hex))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(
        description="Verify a Chancery export, archive, evidence bundle or view receipt offline (docs/format.md)."
    )
    parser.add_argument(
        "export", type=Path, nargs="?", help="what `chancery export` wrote, or an archive's directory or segment"
    )
    parser.add_argument("--key", help="the verifier key you trust, or a file that holds it")
    parser.add_argument("--head", action="append", default=[], help="a seal of this log that you kept: a file")
    parser.add_argument("--sample", type=int, help="of a bundle: how many events to draw, with --seed-from")
    parser.add_argument("--seed-from", type=Path, default=Path("/dev/null"), help="a file whose bytes are the seed")
    parser.add_argument("--receipt", type=Path, help="check a view receipt instead, by --key")
    parser.add_argument("--witness", action="append", default=[], help="the verifier key of a witness you trust, or a file")
    parser.add_argument("--json", action="store_true", help="print the verdict as JSON")
    arguments = parser.parse_args()
    if (arguments.export is None) == (arguments.receipt is None):
        parser.error("name an export or archive, or a receipt")
    if arguments.receipt and not arguments.key:
        parser.error("a receipt is worth what the key is that it is checked by: give --key")
    try:
        trusted = parse_verifier_key(text_or_file(arguments.key)) if arguments.key else None
        if arguments.receipt and trusted:
            return check_receipt(arguments.receipt, trusted, arguments.json)
        heads = [parse_seal(Path(head).read_bytes()) for head in arguments.head]
        named = [parse_verifier_key(text_or_file(key), OF_WITNESS) for key in arguments.witness]
        witnesses = [Witness(name, public) for name, public in named]
        if arguments.export.is_dir() or SEGMENT_NAME.fullmatch(arguments.export.name):
            verdict = verify_items(read_archive(arguments.export), trusted, heads, witnesses=witnesses)
        else:
            with arguments.export.open("rb") as source:
                if source.peek(2)[:2] == GZIP_MAGIC:
                    seeded = (arguments.sample, arguments.seed_from.read_bytes()) if arguments.sample else None
                    verdict = verify_bundle(source, trusted, heads, witnesses, seeded)
                else:
                    verdict = verify(source, trusted, heads, counter(arguments.export.stat().st_size, source), witnesses)
    except (OSError, Malformed, ContainerFault) as why:
        print(f"chancery_verify: not checked: {why}", file=sys.stderr)
        return 2
    if sys.stderr.isatty():
        print("\r", end="", file=sys.stderr)
    print(json.dumps(verdict, indent=2, ensure_ascii=False) if arguments.json else show(verdict))
    return 0 if verdict["whole"] else 1


if __name__ == "__main__":
    sys.exit(main())
