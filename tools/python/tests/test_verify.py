"""Each fault of docs/format.md, section 13, is found, first and by its name; a whole log has none."""

from __future__ import annotations

import base64
import io
import json
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import chancery_verify as cv
from make_log import (
    ORIGIN,
    Log,
    checkpoint,
    export,
    good_log,
    key,
    ledger_created,
    raw,
    sealing_key_added,
    tenant_resumed,
)

ROOT = Path(__file__).resolve().parents[3]


def verdict(data: bytes, **known: object) -> dict:
    return cv.verify(io.BytesIO(data), **known)  # type: ignore[arg-type]


def first(data: bytes, **known: object) -> tuple[int, str]:
    """The first finding's place and reason."""
    found = verdict(data, **known)["first_broken"]
    assert found is not None, "nothing was found"
    return found["seq"], found["reason"]


def test_a_whole_log() -> None:
    log = good_log()
    found = verdict(log.export())
    assert found["whole"], found
    assert (found["events"], found["seals"], found["size"]) == (8, 5, 8)
    assert found["root"] == log.tree.root().hex()
    assert found["bodies"] == {"intact": 7, "withheld": 0, "unknown": 1}
    assert [each["from_size"] for each in found["keys"]] == [1, 5]
    assert set(found["checks"].values()) == {"yes"}
    assert found["trust"] == "self"
    assert found["truncation_excluded_to"] is None


@pytest.mark.parametrize("number", [1, 2])
def test_any_key_of_the_history_can_be_the_trusted_one(number: int) -> None:
    assert verdict(good_log().export(), trusted=(ORIGIN, raw(key(number))))["whole"]


def test_a_log_by_another_key_is_not_the_trusted_one() -> None:
    found = verdict(good_log().export(), trusted=(ORIGIN, raw(key(3))))
    assert (found["first_broken"]["seq"], found["first_broken"]["reason"]) == (0, "key")
    assert found["checks"]["chain_whole"] == "yes"
    assert first(good_log().export(), trusted=("other.example/1", raw(key(1)))) == (0, "key")


def test_every_flipped_bit_is_noticed() -> None:
    """Any bit of the whole file; nothing in an export is idle."""
    data = good_log().export()
    for at in range(len(data)):
        damaged = bytearray(data)
        damaged[at] ^= 1 << (at % 8)
        assert not verdict(bytes(damaged))["whole"], f"bit {at % 8} of byte {at}"


# What is changed in the frames of a good log, and what must be found first. Frames: E0 S E1 E2 S E3 S E4 E5 E6 S E7 S.
def without(*gone: int) -> Callable[[list], list]:
    return lambda frames: [frame for at, frame in enumerate(frames) if at not in gone]


def swapped(a: int, b: int) -> Callable[[list], list]:
    def change(frames: list) -> list:
        frames = list(frames)
        frames[a], frames[b] = frames[b], frames[a]
        return frames

    return change


def repeated(at: int) -> Callable[[list], list]:
    return lambda frames: [*frames[: at + 1], frames[at], *frames[at + 1 :]]


@pytest.mark.parametrize(
    ("change", "seq", "reason"),
    [
        # The first seal then stands where there is no event yet.
        (without(0), 0, "checkpoint"),
        (without(2), 1, "gap"),
        (without(7), 4, "gap"),
        (without(8), 5, "gap"),
        (without(3), 1, "checkpoint"),
        (swapped(2, 3), 1, "gap"),
        (swapped(7, 9), 4, "gap"),
        (repeated(3), 3, "gap"),
        (repeated(8), 6, "gap"),
        (without(12), 7, "checkpoint"),
        (without(6), 3, "key"),
        (lambda frames: [], 0, "gap"),
    ],
)
def test_frames_removed_moved_or_repeated(change: Callable, seq: int, reason: str) -> None:
    assert first(export(change(good_log().frames))) == (seq, reason)


def test_what_no_log_can_show_of_itself() -> None:
    frames = good_log().frames
    assert verdict(export(frames[:-2]))["whole"], "a tail cut off with its seals cannot be seen without a head"
    # Without its seal, a commit's events belong to the next one, whose seal signs them too.
    assert verdict(export(without(4)(frames)))["whole"]


def built(*steps: Callable[[Log], object]) -> bytes:
    log = Log()
    log.event(1, ledger_created(raw(key(1))))
    log.seal(key(1))
    for step in steps:
        step(log)
    return log.export()


EVENT = lambda log: log.event(103, tenant_resumed())  # noqa: E731
SEAL = lambda log: log.seal(key(1))  # noqa: E731


@pytest.mark.parametrize(
    ("steps", "seq", "reason"),
    [
        ([lambda log: log.event(103, tenant_resumed(), seq=7), SEAL], 1, "gap"),
        ([EVENT, lambda log: log.event(103, tenant_resumed(), prev=bytes(32)), SEAL], 2, "link"),
        ([EVENT, lambda log: log.event(103, tenant_resumed(), time=5), SEAL], 2, "time"),
        ([lambda log: log.event(103, tenant_resumed(), hashed_body=bytes(32)), SEAL], 1, "body"),
        ([lambda log: log.event(103, tenant_resumed() + b"\x00"), SEAL], 1, "body"),
        ([lambda log: log.event(103, b"\x02\x00" + bytes(16)), SEAL], 1, "body"),
        ([lambda log: log.event(1, ledger_created(raw(key(1)))), SEAL], 1, "key"),
        ([lambda log: log.event(2, sealing_key_added(raw(key(2)))), EVENT, SEAL], 1, "key"),
        ([lambda log: log.event(2, sealing_key_added(b"short")), SEAL], 1, "key"),
        ([lambda log: log.event(2, sealing_key_added(raw(key(2))), withheld=True), SEAL], 1, "key"),
        ([EVENT, lambda log: log.seal(key(1), size=3)], 1, "checkpoint"),
        ([EVENT, lambda log: log.seal(key(1), root=bytes(32))], 1, "checkpoint"),
        ([EVENT, lambda log: log.seal(key(1), origin="other.example")], 1, "checkpoint"),
        ([EVENT, lambda log: log.frames.append((b"S", b"not a note"))], 1, "checkpoint"),
        ([EVENT, lambda log: log.seal(key(2))], 1, "signature"),
        (
            [lambda log: log.event(2, sealing_key_added(raw(key(2)))), SEAL, EVENT, SEAL],
            2,
            "key",
        ),
        ([EVENT], 1, "checkpoint"),
        ([EVENT, SEAL, lambda log: log.frames.append((b"Q", b""))], 2, "container"),
    ],
)
def test_faults_in_an_otherwise_good_log(steps: list, seq: int, reason: str) -> None:
    assert first(built(*steps)) == (seq, reason)


def test_the_first_event_must_be_the_ledgers() -> None:
    log = Log()
    log.event(103, tenant_resumed())
    log.seal(key(1))
    assert first(log.export()) == (0, "key")
    log = Log()
    log.event(1, ledger_created(raw(key(1)), format_number=2))
    log.seal(key(1))
    assert first(log.export()) == (0, "key")


def test_a_withheld_body_is_no_fault() -> None:
    data = built(lambda log: log.event(103, tenant_resumed(), withheld=True), SEAL)
    found = verdict(data)
    assert found["whole"]
    assert found["bodies"] == {"intact": 1, "withheld": 1, "unknown": 0}


def test_rotation_where_no_commit_was_read_between() -> None:
    # Keys other than the seal's may be added anywhere in a commit.
    data = built(lambda log: log.event(2, sealing_key_added(raw(key(9)), purpose=1)), EVENT, SEAL)
    assert verdict(data)["whole"]


def test_cut_short_and_continued_files() -> None:
    data = good_log().export()
    assert first(data[:-1]) == (8, "container")
    assert first(data + b"\x00") == (8, "container")
    assert first(data[:5]) == (0, "container")
    assert first(b"") == (0, "container")
    miscounted = data[:-16] + struct.pack(">QQ", 7, 5)
    assert first(miscounted) == (8, "container")
    huge = cv.MAGIC + b"E\xff\xff\xff\xff"
    assert first(huge) == (0, "container")


def heads_of(log: Log) -> list[cv.Seal]:
    return [cv.parse_seal(payload) for kind, payload in log.frames if kind == b"S"]


def test_heads_from_elsewhere() -> None:
    log = good_log()
    newest = heads_of(log)[-1]
    found = verdict(log.export(), heads=heads_of(log))
    assert found["whole"]
    assert found["truncation_excluded_to"] == 8
    cut = export(log.frames[:-2])
    assert verdict(cut)["whole"]
    assert first(cut, heads=[newest]) == (7, "truncated")
    forked = cv.parse_seal(checkpoint(3, bytes(32), key(1)))
    found = verdict(log.export(), heads=[forked])
    assert (found["first_broken"]["seq"], found["first_broken"]["reason"]) == (2, "diverged")
    assert found["diverged"] is True
    foreign = cv.parse_seal(checkpoint(3, bytes(32), key(3)))
    assert first(log.export(), heads=[foreign]) == (2, "head")


def test_strict_signatures() -> None:
    private, message = key(1), b"message"
    signature = private.sign(message)
    assert cv.strictly_signed(raw(private), message, signature)
    assert not cv.strictly_signed(raw(private), b"another", signature)
    malleable = signature[:32] + (int.from_bytes(signature[32:], "little") + cv.L).to_bytes(32, "little")
    assert not cv.strictly_signed(raw(private), message, malleable), "S must be reduced"
    identity = b"\x01" + bytes(31)
    nothing = identity + bytes(32)
    assert not cv.strictly_signed(identity, message, nothing), "the identity signs anything"
    not_canonical = (cv.P + 1).to_bytes(32, "little")
    assert not cv.strictly_signed(not_canonical, message, nothing)
    assert not cv.strictly_signed(raw(private), message, nothing), "R of small order"


# Of order 1, 2 and, both of them, 4.
SMALL_ORDER = [
    b"\x01" + bytes(31),
    (cv.P - 1).to_bytes(32, "little"),
    bytes(32),
    bytes(31) + b"\x80",
]


@pytest.mark.parametrize("encoded", SMALL_ORDER, ids=bytes.hex)
def test_points_of_small_order(encoded: bytes) -> None:
    assert cv.decode_point(encoded) is not None
    assert not cv.of_large_order(encoded)


def test_points_of_order_eight() -> None:
    # 2·P = (±√−1, 0) for them, so d·y⁴ + 2·y² − 1 = 0.
    discriminant = (1 + cv.D) % cv.P
    found = 0
    for root in (square_root(discriminant), -square_root(discriminant)):
        yy = (root - 1) * pow(cv.D, -1, cv.P) % cv.P
        y = square_root(yy)
        if y is None:
            continue
        for encoded_y in (y, cv.P - y):
            for sign in (0, 1):
                encoded = (encoded_y | sign << 255).to_bytes(32, "little")
                assert cv.decode_point(encoded) is not None
                assert not cv.of_large_order(encoded)
                found += 1
    assert found == 4


def square_root(value: int) -> int:
    value %= cv.P
    root = pow(value, (cv.P + 3) // 8, cv.P)
    if root * root % cv.P != value:
        root = root * cv.SQRT_MINUS_ONE % cv.P
    return root if root * root % cv.P == value else None  # type: ignore[return-value]


def test_an_events_signature_stands_alone() -> None:
    log = good_log()
    headers = [payload[4 : 4 + struct.unpack(">I", payload[:4])[0]] for kind, payload in log.frames if kind == b"E"]
    leaves = [cv.leaf_hash(header) for header in headers[:7]]
    seal = [payload for kind, payload in log.frames if kind == b"S"][3].decode()
    for seq, header in enumerate(headers[:7]):
        path = "".join(base64.b64encode(step).decode() + "\n" for step in inclusion_path(leaves, seq))
        proof = f"c2sp.org/tlog-proof@v1\nindex {seq}\n{path}\n{seal}"
        assert cv.verify_proof(proof, header, raw(key(2))) == seq
        with pytest.raises(cv.Malformed):
            cv.verify_proof(proof, header + b"\x00", raw(key(2)))
        with pytest.raises(cv.Malformed):
            cv.verify_proof(proof, header, raw(key(1)))


def tree_root(leaves: list[bytes]) -> bytes:
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    return cv.node_hash(tree_root(leaves[:split]), tree_root(leaves[split:]))


def inclusion_path(leaves: list[bytes], index: int) -> list[bytes]:
    """RFC 6962 §2.1.1, as it is written there."""
    if len(leaves) == 1:
        return []
    split = 1 << ((len(leaves) - 1).bit_length() - 1)
    if index < split:
        return [*inclusion_path(leaves[:split], index), tree_root(leaves[split:])]
    return [*inclusion_path(leaves[split:], index - split), tree_root(leaves[:split])]


def test_the_incremental_tree_is_the_recursive_one() -> None:
    tree, leaves = cv.Tree(), []
    for n in range(70):
        leaves.append(cv.leaf_hash(bytes([n])))
        tree.push(leaves[-1])
        assert tree.root() == tree_root(leaves)


def test_the_body_table_is_the_pages() -> None:
    """The shapes here are the table of docs/format.md, word for word."""
    page = (ROOT / "docs/format.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([0-9][0-9, ]*) \| (.*?) \| (.*?) \|$", page, re.M)
    assert [" | ".join(row) for row in rows] == cv.KINDS.strip().splitlines()
    assert f"Prelude: {cv.PRELUDE.replace('origin enc?, due t?', '`origin` enc?, `due` t?')}." in page
    assert f"`accountability` is {cv.ACCOUNTABILITY}." in page


def test_the_command(tmp_path: Path) -> None:
    tool = ROOT / "tools/python/chancery_verify.py"
    good, bad = tmp_path / "good.chancery", tmp_path / "bad.chancery"
    good.write_bytes(good_log().export())
    bad.write_bytes(export(without(2)(good_log().frames)))

    def run(*arguments: object) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, tool, *map(str, arguments)], capture_output=True, text=True)

    trusted = cv.verifier_key(ORIGIN, raw(key(1)))
    whole = run(good, "--json", "--key", trusted)
    assert whole.returncode == 0, whole.stderr
    assert json.loads(whole.stdout)["trust"] == "given"
    broken = run(bad)
    assert broken.returncode == 1
    assert "event 1: gap" in broken.stdout
    assert run(tmp_path / "missing").returncode == 2
    assert run(good, "--key", "nonsense").returncode == 2
    head = tmp_path / "head"
    head.write_bytes(checkpoint(9, bytes(32), key(2)))
    assert run(good, "--head", head).returncode == 1
