"""Two verifiers that share no code, one in Rust and one in Python, on good logs and on damaged ones: the same verdict, the
same first broken event, the same reason."""

from __future__ import annotations

import io
import json
import random
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import chancery_verify as cv
from daemon import Daemon, chancery
from make_log import ORIGIN, checkpoint, good_log, key, raw
from native import batch, fresh, register, submit
from orgkernel.contract import append_body, issue, mint, open_chain
from signing import Signer

# How many single flipped bits are tried. Every byte of a small log is tried in the verifier's own tests.
FLIPS = 150


class Exported:
    """A real log of some variety, as an export."""

    def __init__(self, path: Path, key: str, heads: list[bytes]):
        self.data = path.read_bytes()
        self.key = key
        self.heads = heads
        self.frames = split(self.data)


def split(data: bytes) -> list[tuple[bytes, bytes]]:
    """The frames, without the end."""
    frames, at = [], len(cv.MAGIC)
    while at < len(data):
        kind, length = struct.unpack_from(">cI", data, at)
        frames.append((kind, data[at + 5 : at + 5 + length]))
        at += 5 + length
    assert frames[-1][0] == b"Z"
    return frames[:-1]


def join(frames: list[tuple[bytes, bytes]]) -> bytes:
    """Frames as an export whose counts are true."""
    counts = struct.pack(">QQ", sum(kind == b"E" for kind, _ in frames), sum(kind == b"S" for kind, _ in frames))
    return cv.MAGIC + b"".join(kind + struct.pack(">I", len(payload)) + payload for kind, payload in [*frames, (b"Z", counts)])


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    home = tmp_path_factory.mktemp("agreement")
    daemon = Daemon(home).start()
    heads = []
    with daemon.admin() as client, daemon.orgkernel() as kernel:
        agents = [issue(kernel) for _ in range(3)]
        token = mint(kernel, agents[0], immutable_params={"a": 1}, bounded_params=[{"param_name": "n", "upper_bound": 5}])
        kernel.post("/token/scope/check", json={"token_id": token["token_id"], "tool_name": "other"})
        kernel.post(f"/identity/{agents[1].id}/suspend")
        chain, mission = open_chain(kernel, agents[0].id)
        for number in range(5):
            kernel.post(f"/audit/{chain}/append", json=append_body(mission, data={"n": number}))
        kernel.post(f"/audit/{chain}/close")
        heads.append(client.get("/checkpoint").content)
        submit(client, "RotateSigningKey")
        batch(client, [{"command": "OpenMission", "params": {"intent": fresh("mission ")}} for _ in range(40)])
        register(client, key="make", profile={"email": "ada@example.org", "metadata": {"a": "b"}})
        submit(client, "CreateTenant", {"slug": "other", "name": "Other"})
        signer = Signer.registered(client, "signer", ["agents:register"])
        assert all(signer.send("RegisterAgent", {"name": fresh("signed ")}).status_code == 200 for _ in range(3))
        submit(client, "RotateSigningKey")
        submit(client, "CreateOrganisation", {"slug": "after-rotation", "name": "After"})
        heads.append(client.get("/checkpoint").content)
    daemon.stop()
    path = home / "log.chancery"
    chancery("export", "--data-dir", str(daemon.data_dir), "--out", str(path), check=True)
    verdict = cv.verify(io.BytesIO(path.read_bytes()))
    assert verdict["whole"], verdict["findings"]
    return Exported(path, verdict["keys"][0]["verifier_key"], heads)


def compare(tmp_path: Path, data: bytes, name: str, *, key: str | None = None, heads: list[bytes] | None = None) -> dict:
    """Has both verify, and gives the verdict they agree on."""
    path = tmp_path / f"{name}.chancery"
    path.write_bytes(data)
    options = ["--key", key] if key else []
    for number, head in enumerate(heads or []):
        file = tmp_path / f"{name}.head-{number}"
        file.write_bytes(head)
        options += ["--head", str(file)]
    ours = chancery("verify", "--export", str(path), "--json", *options)
    assert ours.returncode in (0, 1), ours.stderr
    rust = json.loads(ours.stdout)
    python = cv.verify(
        io.BytesIO(data),
        cv.parse_verifier_key(key) if key else None,
        [cv.parse_seal(head) for head in heads or []],
    )
    assert (ours.returncode == 0) is rust["whole"]
    assert bare(rust) == bare(python), name
    return python


def bare(verdict: dict) -> dict:
    """A verdict without its sentences, which each verifier words for itself."""
    kept = {name: value for name, value in verdict.items() if name not in ("findings", "first_broken")}
    kept["findings"] = [(finding["seq"], finding["reason"]) for finding in verdict["findings"]]
    first = verdict["first_broken"]
    kept["first_broken"] = first and (first["seq"], first["reason"])
    return kept


def test_the_whole_log(exported: Exported, tmp_path: Path) -> None:
    verdict = compare(tmp_path, exported.data, "whole", key=exported.key, heads=exported.heads)
    assert verdict["whole"] and verdict["trust"] == "given"
    assert len(verdict["keys"]) == 3, "the key was rotated twice"
    assert verdict["bodies"]["unknown"] == 0 and verdict["bodies"]["withheld"] == 0
    for key in verdict["keys"][1:]:
        assert compare(tmp_path, exported.data, "later", key=key["verifier_key"])["whole"]


def test_bodies_withheld(exported: Exported, tmp_path: Path) -> None:
    frames = []
    for kind, payload in exported.frames:
        if kind == b"E":
            header, _ = header_and_body(payload)
            if cv.parse_header(header).kind > 3:
                payload = struct.pack(">I", len(header)) + header + b"\x00"
        frames.append((kind, payload))
    verdict = compare(tmp_path, join(frames), "withheld", key=exported.key)
    assert verdict["whole"] and verdict["bodies"]["withheld"] > 50


def header_and_body(payload: bytes) -> tuple[bytes, bytes]:
    (length,) = struct.unpack_from(">I", payload)
    return payload[4 : 4 + length], payload[5 + length :]


def test_a_flipped_bit_anywhere(exported: Exported, tmp_path: Path) -> None:
    chances = random.Random(7)
    places = sorted(chances.sample(range(8 * len(exported.data)), FLIPS))

    def flip(place: int) -> None:
        damaged = bytearray(exported.data)
        damaged[place // 8] ^= 1 << (place % 8)
        verdict = compare(tmp_path, bytes(damaged), f"bit-{place}")
        assert not verdict["whole"], f"bit {place % 8} of byte {place // 8} went unnoticed"

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(flip, places))


def places(frames: list[tuple[bytes, bytes]], wanted: bytes, count: int) -> list[int]:
    """Some places of frames of a kind, the first and the last among them."""
    all_places = [at for at, (kind, _) in enumerate(frames) if kind == wanted]
    step = max(1, len(all_places) // count)
    return sorted({*all_places[::step], all_places[-1]})


def test_several_faults_at_once(exported: Exported, tmp_path: Path) -> None:
    """Frames taken out, put in, exchanged and scratched, in any number: not only the first finding agrees, but all."""
    chances = random.Random(11)

    def scratch(number: int) -> None:
        frames = list(exported.frames)
        for _ in range(chances.randint(1, 5)):
            at, other = chances.randrange(len(frames)), chances.randrange(len(frames))
            match chances.choice(("remove", "repeat", "exchange", "scratch", "scratch")):
                case "remove":
                    del frames[at]
                case "repeat":
                    frames.insert(other, frames[at])
                case "exchange":
                    frames[at], frames[other] = frames[other], frames[at]
                case "scratch":
                    kind, payload = frames[at]
                    damaged = bytearray(payload)
                    damaged[chances.randrange(4 if kind == b"E" else 0, len(damaged))] ^= 1 << chances.randrange(8)
                    frames[at] = (kind, bytes(damaged))
        compare(tmp_path, join(frames), f"several-{number}", key=exported.key, heads=exported.heads)

    for number in range(60):
        scratch(number)


def test_a_log_made_by_hand_from_the_page(tmp_path: Path) -> None:
    """Written by the Python tests from docs/format.md, read by the Rust verifier: kinds of a later version among it."""
    log = good_log()
    verdict = compare(tmp_path, log.export(), "by-hand", key=cv.verifier_key(ORIGIN, raw(key(1))))
    assert verdict["whole"] and verdict["bodies"]["unknown"] == 1


def test_events_removed(exported: Exported, tmp_path: Path) -> None:
    for at in places(exported.frames, b"E", 12):
        frames = exported.frames[:at] + exported.frames[at + 1 :]
        assert not compare(tmp_path, join(frames), f"removed-{at}")["whole"]


def test_events_repeated_and_inserted(exported: Exported, tmp_path: Path) -> None:
    for at in places(exported.frames, b"E", 12):
        frames = exported.frames[:at] + [exported.frames[at]] + exported.frames[at:]
        assert not compare(tmp_path, join(frames), f"repeated-{at}")["whole"]
        other = exported.frames[places(exported.frames, b"E", 12)[1]]
        inserted = exported.frames[:at] + [other] + exported.frames[at:]
        assert not compare(tmp_path, join(inserted), f"inserted-{at}")["whole"]


def test_events_reordered(exported: Exported, tmp_path: Path) -> None:
    events = [at for at, (kind, _) in enumerate(exported.frames) if kind == b"E"]
    for a, b in list(zip(events, events[1:], strict=False))[::6] + [(events[0], events[-1]), (events[2], events[-3])]:
        frames = list(exported.frames)
        frames[a], frames[b] = frames[b], frames[a]
        assert not compare(tmp_path, join(frames), f"swapped-{a}-{b}")["whole"]


def test_seals_removed_swapped_and_forged(exported: Exported, tmp_path: Path) -> None:
    seals = places(exported.frames, b"S", 10)
    for at in seals[:-1]:
        compare(tmp_path, join(exported.frames[:at] + exported.frames[at + 1 :]), f"seal-removed-{at}")
    frames = list(exported.frames)
    frames[seals[1]], frames[seals[2]] = frames[seals[2]], frames[seals[1]]
    assert not compare(tmp_path, join(frames), "seals-swapped")["whole"]
    stranger = Ed25519PrivateKey.generate()
    for at in seals:
        seal = cv.parse_seal(exported.frames[at][1])
        frames = list(exported.frames)
        frames[at] = (b"S", checkpoint(seal.size, seal.root, stranger, seal.origin))
        verdict = compare(tmp_path, join(frames), f"forged-{at}")
        assert verdict["first_broken"]["reason"] == "signature"
        frames[at] = (b"S", checkpoint(seal.size + 1, seal.root, stranger, seal.origin))
        assert compare(tmp_path, join(frames), f"resized-{at}")["first_broken"]["reason"] == "checkpoint"


def test_a_log_sealed_anew_by_another_key(exported: Exported, tmp_path: Path) -> None:
    """A forger who has everything but the keys: each seal is made again. And one who also rewrites the first event."""
    forger = Ed25519PrivateKey.generate()
    sealed = [
        (kind, checkpoint(cv.parse_seal(payload).size, cv.parse_seal(payload).root, forger, cv.parse_seal(payload).origin))
        if kind == b"S"
        else (kind, payload)
        for kind, payload in exported.frames
    ]
    verdict = compare(tmp_path, join(sealed), "sealed-anew")
    assert (verdict["first_broken"]["reason"], verdict["checks"]["chain_whole"]) == ("signature", "yes")

    rewritten = rewrite(exported.frames, forger)
    assert compare(tmp_path, join(rewritten), "rewritten")["whole"], "it is whole in itself, and of nobody we trust"
    verdict = compare(tmp_path, join(rewritten), "rewritten-trusted", key=exported.key)
    assert (verdict["first_broken"]["seq"], verdict["first_broken"]["reason"]) == (0, "key")
    verdict = compare(tmp_path, join(rewritten), "rewritten-head", heads=exported.heads)
    assert verdict["first_broken"]["reason"] == "head"


def rewrite(frames: list[tuple[bytes, bytes]], forger: Ed25519PrivateKey) -> list[tuple[bytes, bytes]]:
    """The log as a forger would make it anew from its own first key on, without the rotations."""
    made, tree, prev = [], cv.Tree(), cv.ZERO_HASH
    for kind, payload in frames:
        if kind == b"S":
            seal = cv.parse_seal(payload)
            made.append((b"S", checkpoint(seal.size, tree.root(), forger, seal.origin)))
            continue
        header, body = header_and_body(payload)
        parsed = cv.parse_header(header)
        if parsed.kind == cv.LEDGER_CREATED:
            body = body[:-32] + forger.public_key().public_bytes_raw()
        if parsed.kind == cv.SIGNING_KEY_ADDED and cv.decode_body(parsed.kind, parsed.version, body)["purpose"] == "seal":  # type: ignore[index]
            value = cv.decode_body(parsed.kind, parsed.version, body)
            body = body.replace(value["public"], forger.public_key().public_bytes_raw())  # type: ignore[index]
        fixed = len(header[: 1 + 8 + 8 + 16 + 2 + 2])
        header = header[:fixed] + prev + cv.body_hash(body) + header[fixed + 64 :]
        prev = cv.header_hash(header)
        tree.push(cv.leaf_hash(header))
        made.append((b"E", struct.pack(">I", len(header)) + header + b"\x01" + body))
    return made


def test_cut_off(exported: Exported, tmp_path: Path) -> None:
    seals = [at for at, (kind, _) in enumerate(exported.frames) if kind == b"S"]
    cut = join(exported.frames[: seals[-2] + 1])
    assert compare(tmp_path, cut, "cut")["whole"], "no log shows that its tail was cut off"
    verdict = compare(tmp_path, cut, "cut-head", heads=exported.heads)
    assert verdict["first_broken"]["reason"] == "truncated"
    for at in (0, 5, len(cv.MAGIC), len(exported.data) // 3, len(exported.data) - 22, len(exported.data) - 1):
        assert not compare(tmp_path, exported.data[:at], f"short-{at}")["whole"]
    assert not compare(tmp_path, exported.data + b"\n", "long")["whole"]
    assert not compare(tmp_path, join(exported.frames[:-1]), "unsealed")["whole"]


def test_an_event_changed_and_its_own_hash_with_it(exported: Exported, tmp_path: Path) -> None:
    """A careful forger corrects the body's hash in the header; the link to the next event gives it away."""
    for at in places(exported.frames, b"E", 8):
        header, body = header_and_body(exported.frames[at][1])
        if not body or cv.parse_header(header).kind <= 3:
            continue
        changed = bytearray(body)
        changed[-1] ^= 1
        fixed = 1 + 8 + 8 + 16 + 2 + 2 + 32
        forged = header[:fixed] + cv.body_hash(bytes(changed)) + header[fixed + 32 :]
        frames = list(exported.frames)
        frames[at] = (b"E", struct.pack(">I", len(forged)) + forged + b"\x01" + bytes(changed))
        assert not compare(tmp_path, join(frames), f"corrected-{at}")["whole"]


def test_the_daemon_exports_what_the_directory_holds(new_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    daemon = new_daemon().start()
    with daemon.admin() as client:
        register(client)
        answer = submit(client, "OpenMission", {"intent": "to be proved"})
        proof = client.get(f"/v1/events/{answer['receipt']['events'][0]['seq']}/proof")
        assert proof.status_code == 200
    daemon.stop()
    path = tmp_path / "log.chancery"
    chancery("export", "--data-dir", str(daemon.data_dir), "--out", str(path), check=True)
    verdict = compare(tmp_path, path.read_bytes(), "small")
    assert verdict["whole"]
    # The receipt's event, its hash and its proof hold against the export and the key it names, with no daemon.
    (event,) = answer["receipt"]["events"]
    headers = [header_and_body(payload)[0] for kind, payload in split(path.read_bytes()) if kind == b"E"]
    header = headers[event["seq"]]
    assert cv.header_hash(header).hex() == event["hash"]
    _, public = cv.parse_verifier_key(verdict["keys"][0]["verifier_key"])
    assert cv.verify_proof(proof.text, header, public) == event["seq"]
