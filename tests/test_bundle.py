"""Evidence bundles from outside: made of a real log, verified by two verifiers that share no code, and damaged."""

from __future__ import annotations

import gzip
import io
import json
import random
import struct
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import chancery_verify as cv
from daemon import Daemon, chancery
from native import batch, fresh, get, refused, register, submit

# How many single flipped bits are tried.
FLIPS = 80


class World:
    """A stopped daemon's log, and what is in it."""

    def __init__(self, home: Path):
        self.home = home
        self.daemon = Daemon(home).start()
        with self.daemon.admin() as client:
            ada = register(client)["result"]["agent"]["id"]
            # One in the middle of a pair of events: where neither is shown, no subtree ends there.
            sizes = []
            while not sizes or sizes[-1] % 2 == 0:
                submit(client, "OpenMission", {"intent": fresh("before ")})
                self.head = client.get("/checkpoint").content
                sizes.append(cv.parse_seal(self.head).size)
            submit(client, "OpenMission", {"intent": fresh("after ")})
            bob = register(client)["result"]["agent"]["id"]
            self.agent = ada
            mission = submit(client, "OpenMission", {"agent": ada, "intent": fresh("mission ")})
            self.mission = mission["result"]["mission"]["id"]
            submit(client, "SuspendAgent", {"agent": ada, "reason": "it looked odd"})
            submit(client, "RotateSigningKey")
            batch(client, [{"command": "OpenMission", "params": {"agent": bob, "intent": fresh("m")}} for _ in range(60)])
            submit(client, "ResumeAgent", {"agent": ada})
            ledger = get(client, "/v1/identity/ledger")
        self.tenant = ledger["root"]
        self.daemon.stop()
        self.size = int(self.export("whole", "--all")["size"])
        self.key = self.export("keyed", "--all")["keys"][0]["verifier_key"]

    def export(self, name: str, *asked: str) -> dict:
        """Makes a bundle and gives the verdict that both verifiers agree on."""
        path = self.path(name)
        path.unlink(missing_ok=True)
        chancery("export", "--data-dir", str(self.daemon.data_dir), "--out", str(path), *asked, check=True)
        return compare(path)

    def path(self, name: str) -> Path:
        return self.home / f"{name}.bundle"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("bundle"))


def compare(path: Path, *, key: str | None = None, heads: tuple[bytes, ...] = ()) -> dict:
    """Has both verify, and gives the verdict they agree on."""
    options = ["--key", key] if key else []
    for number, head in enumerate(heads):
        file = path.with_suffix(f".head-{number}")
        file.write_bytes(head)
        options += ["--head", str(file)]
    ours = chancery("verify", str(path), "--json", *options)
    assert ours.returncode in (0, 1), ours.stderr
    rust = json.loads(ours.stdout)
    with path.open("rb") as source:
        trusted = cv.parse_verifier_key(key) if key else None
        python = cv.verify_bundle(source, trusted, [cv.parse_seal(head) for head in heads])
    assert (ours.returncode == 0) is rust["whole"]
    assert bare(rust) == bare(python), path.name
    return python


def bare(verdict: dict) -> dict:
    """A verdict without its sentences, which each verifier words for itself."""
    kept = {name: value for name, value in verdict.items() if name not in ("findings", "first_broken")}
    kept["findings"] = [(finding["seq"], finding["reason"]) for finding in verdict["findings"]]
    return kept


def frames_of(path: Path) -> list[tuple[bytes, bytes]]:
    data = gzip.decompress(path.read_bytes())
    frames, at = [], len(cv.BUNDLE_MAGIC)
    while at < len(data):
        kind, length = struct.unpack_from(">cI", data, at)
        frames.append((kind, data[at + 5 : at + 5 + length]))
        at += 5 + length
    return frames


def join(frames: list[tuple[bytes, bytes]]) -> bytes:
    """Frames as a bundle whose end counts them rightly."""
    events, seals = (sum(kind == wanted for kind, _ in frames) for wanted in (b"E", b"S"))
    subtrees = sum(len(payload) // 33 for kind, payload in frames if kind == b"N")
    ended = [*frames[:-1], (b"Z", struct.pack(">QQQ", events, seals, subtrees))]
    plain = b"".join(kind + struct.pack(">I", len(payload)) + payload for kind, payload in ended)
    return gzip.compress(cv.BUNDLE_MAGIC + plain)


def test_every_choice_verifies_and_says_what_it_proves(world: World) -> None:
    whole = world.export("whole", "--all")
    assert whole["bundle"]["complete"] == "yes" and whole["bundle"]["chosen"] == whole["events"] == world.size
    agent = world.export("agent", "--agent", world.agent)
    assert agent["bundle"]["complete"] == "no" and agent["bundle"]["kinds"]["132"] == agent["bundle"]["kinds"]["133"] == 1
    assert agent["root"] == whole["root"] and agent["keys"] == whole["keys"] and len(agent["keys"]) == 2
    mission = world.export("mission", "--mission", world.mission, "--without-bodies")
    assert mission["bodies"]["withheld"] == mission["bundle"]["chosen"] == 1
    tenant = world.export("tenant", "--tenant", world.tenant, "--headers")
    assert tenant["bundle"]["complete"] == "yes" and 0 < tenant["bundle"]["chosen"] < world.size
    period = world.export("period", "--from", "3", "--to", "12")
    assert period["bundle"]["chosen"] == 10 and period["bundle"]["complete"] == "yes"
    none = world.export("none", "--from", "2020-01-01T00:00:00Z", "--to", "2020-12-31T00:00:00Z")
    assert none["bundle"]["chosen"] == 0 and none["bundle"]["period_complete"] == "yes"
    both = world.export("both", "--agent", world.agent, "--mission", world.mission, "--from", "5")
    assert both["whole"] and both["bundle"]["choice"]["first"] == 5


def test_it_is_of_the_log_whose_key_is_trusted(world: World) -> None:
    world.export("trusted", "--agent", world.agent)
    verdict = compare(world.path("trusted"), key=world.key)
    assert verdict["whole"] and verdict["trust"] == "given"
    name, _ = cv.parse_verifier_key(world.key)
    other = cv.verifier_key(name, bytes.fromhex("58" + "66" * 31))
    assert compare(world.path("trusted"), key=other)["first_broken"]["reason"] == "key"


def test_a_checkpoint_that_was_kept_is_compared(world: World) -> None:
    size = cv.parse_seal(world.head).size
    world.export("without-head", "--mission", world.mission)
    verdict = compare(world.path("without-head"), heads=(world.head,))
    assert verdict["whole"] and verdict["bundle"]["heads_not_compared"] == [size]
    (world.home / "head").write_bytes(world.head)
    world.export("with-head", "--mission", world.mission, "--head", str(world.home / "head"))
    verdict = compare(world.path("with-head"), heads=(world.head,))
    assert verdict["truncation_excluded_to"] == size and verdict["bundle"]["heads_not_compared"] == []


def test_a_flipped_bit_anywhere_behind_the_manifest(world: World) -> None:
    world.export("flip", "--agent", world.agent, "--from", "2")
    frames = frames_of(world.path("flip"))
    chances = random.Random(5)
    sizes = [len(payload) for _, payload in frames[1:-1]]
    places = sorted(chances.sample(range(8 * sum(sizes)), FLIPS))

    def flip(place: int) -> None:
        at, rest = 1, place
        while rest >= 8 * len(frames[at][1]):
            rest -= 8 * len(frames[at][1])
            at += 1
        damaged = bytearray(frames[at][1])
        damaged[rest // 8] ^= 1 << (rest % 8)
        path = world.path(f"flip-{place}")
        path.write_bytes(join([*frames[:at], (frames[at][0], bytes(damaged)), *frames[at + 1 :]]))
        assert not compare(path)["whole"], f"bit {rest % 8} of byte {rest // 8} of frame {at} went unnoticed"

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(flip, places))


def test_frames_taken_out_put_in_and_exchanged(world: World) -> None:
    world.export("frames", "--agent", world.agent, "--head", str(write(world.home / "head", world.head)))
    frames = frames_of(world.path("frames"))
    chances = random.Random(13)
    for number in range(60):
        changed = list(frames)
        for _ in range(chances.randint(1, 3)):
            at, other = (chances.randrange(1, len(changed) - 1) for _ in range(2))
            match chances.choice(("remove", "repeat", "exchange")):
                case "remove" if len(changed) > 4:
                    del changed[at]
                case "repeat":
                    changed.insert(other, changed[at])
                case _:
                    changed[at], changed[other] = changed[other], changed[at]
        path = world.path(f"frames-{number}")
        path.write_bytes(join(changed))
        verdict = compare(path, heads=(world.head,))
        # The checkpoint in between is there for the head alone: without it nothing is proved less.
        assert verdict["whole"] is False or [f for f in changed if f[0] != b"S"] == [f for f in frames if f[0] != b"S"]


def test_what_was_asked_for_cannot_be_left_out(world: World) -> None:
    """A subtree in place of one event of a period; and in place of one of an agent's, where the headers are shown."""
    for name, asked in (("gapless", ("--from", "4", "--to", "20")), ("headers", ("--agent", world.agent, "--headers"))):
        world.export(name, *asked)
        frames = frames_of(world.path(name))
        at = [place for place, (kind, _) in enumerate(frames) if kind == b"E"][6]
        header = cv.event_frame(frames[at][1]).header
        frames[at] = (b"N", b"\x00" + cv.leaf_hash(header))
        path = world.path(f"{name}-less")
        path.write_bytes(join(frames))
        verdict = compare(path)
        assert verdict["first_broken"]["reason"] == "choice" and verdict["bundle"]["complete"] == "no"
        assert verdict["first_broken"]["seq"] == cv.parse_header(header).seq


def test_cut_short_and_followed_by_more(world: World) -> None:
    world.export("cut", "--mission", world.mission)
    data = world.path("cut").read_bytes()
    path = world.path("cut-short")
    for length in range(len(data) // 2, len(data), 97):
        path.write_bytes(data[:length])
        assert compare(path)["first_broken"]["reason"] == "container"
    for more in (b"\0", data, gzip.compress(b"")):
        path.write_bytes(data + more)
        assert compare(path)["first_broken"]["reason"] == "container"
    for nothing in (b"\x1f\x8b", gzip.compress(b"chancery export 1\n"), data[:40]):
        path.write_bytes(nothing)
        assert chancery("verify", str(path)).returncode == 2
        with pytest.raises(cv.ContainerFault):
            cv.verify_bundle(io.BytesIO(nothing))


def test_a_running_daemon_makes_one_and_has_it_on_record(new_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    daemon = new_daemon().start()
    here = ("--url", daemon.url, "--api-key", daemon.credentials["admin_key"])
    path = tmp_path / "live.bundle"
    with daemon.admin() as client:
        agent = register(client)["result"]["agent"]["id"]
        submit(client, "OpenMission", {"agent": agent, "intent": fresh("mission ")})
        head = client.get("/checkpoint").content
        (tmp_path / "head").write_bytes(head)
        submit(client, "RotateSigningKey")
        batch(client, [{"command": "OpenMission", "params": {"intent": fresh("m")}} for _ in range(40)])
        acme = submit(client, "CreateTenant", {"slug": "acme", "name": "Acme"})["result"]
        said = chancery("export", *here, "--out", str(path), "--agent", agent, "--headers", "--head", str(tmp_path / "head"))
        assert said.returncode == 0, said.stderr
        verdict = compare(path, heads=(head,))
        assert verdict["whole"] and verdict["bundle"]["complete"] == "yes" and len(verdict["keys"]) == 2
        assert verdict["truncation_excluded_to"] == cv.parse_seal(head).size
        recorded = get(client, f"/v1/events/{verdict['bundle']['recorded']}")
        assert recorded["kind"] == "EvidenceExported" and recorded["actor"]["principal"]["kind"] == "member"
        assert recorded["body"]["things"] == [{"kind": "agent", "id": agent}] and recorded["body"]["headers"] is True
        refused(client.post("/v1/ledger/bundle", json={"heads": [10**9]}), 404, "not_found")
        refused(client.post("/v1/ledger/bundle", json={"from": 1, "from_time": "2026-01-01T00:00:00Z"}), 400, "malformed")
        unknown = {"things": [{"kind": "agent", "id": "019b7ca9-9070-7404-8404-040404040404"}]}
        refused(client.post("/v1/ledger/bundle", json=unknown), 404, "not_found")
        period = tmp_path / "period.bundle"
        period.write_bytes(client.post("/v1/ledger/bundle", json={"from": 3, "to": 9, "bodies": False}).content)
        found = compare(period)
        assert found["bundle"]["chosen"] == 7 and found["bundle"]["complete"] == "yes"
    with daemon.client(acme["shown_once"]["api_key"]) as other:
        # Another tenant's agent is not there; its own events are all that it gets.
        refused(other.post("/v1/ledger/bundle", json={"things": [{"kind": "agent", "id": agent}]}), 404, "not_found")
        refused(other.post("/v1/ledger/bundle", json={"headers": True}), 403, "not_root")
        own = tmp_path / "own.bundle"
        answer = other.post("/v1/ledger/bundle", json={})
        assert answer.status_code == 200 and answer.headers["content-type"] == "application/gzip"
        own.write_bytes(answer.content)
        found = compare(own)
        assert found["whole"] and found["bundle"]["choice"]["tenant"] == acme["tenant"]["id"]
        assert found["bundle"]["complete"] == "no" and 0 < found["bundle"]["chosen"] < 10
    daemon.stop()
    offline = tmp_path / "offline.bundle"
    asked = ("--agent", agent, "--headers", "--to", str(verdict["bundle"]["choice"]["end"] - 1))
    chancery("export", "--data-dir", str(daemon.data_dir), "--out", str(offline), *asked, check=True)
    again = compare(offline)
    for member in ("chosen", "kinds", "choice", "complete"):
        assert again["bundle"][member] == verdict["bundle"][member], member


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path
