"""A verifier that Chancery did not write reads its ledger: Go's checksum-database libraries, in tests/interop/go."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import chancery_verify as cv
import pytest
from daemon import ROOT, Daemon
from native import batch, get, register, submit
from witness import Witness

# Where Debian's golang-golang-x-mod-dev has them.
LIBRARIES = Path("/usr/share/gocode")


@pytest.fixture(scope="session")
def verifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go client, built without any network."""
    built = tmp_path_factory.mktemp("go") / "verifier"
    env = os.environ | {"GO111MODULE": "off", "GOPATH": str(LIBRARIES), "GOFLAGS": "", "CGO_ENABLED": "0"}
    env["GOCACHE"] = str(built.parent / "cache")
    go = subprocess.run(["go", "build", "-o", str(built), "."], cwd=ROOT / "tests/interop/go", env=env, capture_output=True, text=True)
    assert go.returncode == 0, go.stderr
    return built


def key_of(daemon: Daemon) -> str:
    """The verifier key that an auditor trusts."""
    with daemon.admin() as client:
        ledger = get(client, "/v1/identity/ledger")
    return cv.verifier_key(ledger["origin"], bytes.fromhex(ledger["sealing_key"]["public"]))


def checkpoint(daemon: Daemon) -> bytes:
    with daemon.admin() as client:
        reply = client.get("/checkpoint")
    assert reply.status_code == 200
    return reply.content


def grow(daemon: Daemon, events: int) -> None:
    with daemon.admin() as client:
        answers = batch(client, [{"command": "OpenMission", "params": {"intent": f"mission {n}"}} for n in range(events)])
    assert len(answers) == events


class Grown:
    """A ledger of some hundred events, and a checkpoint from before most of them."""

    def __init__(self, home: Path):
        self.daemon = Daemon(home).start()
        with self.daemon.admin() as client:
            register(client)
        self.key = key_of(self.daemon)
        self.old = home / "old-checkpoint"
        self.old.write_bytes(checkpoint(self.daemon))
        grow(self.daemon, 700)

    def verify(self, verifier: Path, *options: str, key: str | None = None, old: Path | None = None) -> subprocess.CompletedProcess:
        command = [str(verifier), "-url", self.daemon.url, "-key", key or self.key, "-old", str(old or self.old), *options]
        env = {"CHANCERY_API_KEY": self.daemon.credentials["admin_key"]}
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Grown]:
    made = Grown(tmp_path_factory.mktemp("interop"))
    yield made
    made.daemon.kill()


@pytest.mark.parametrize("seed", range(4))
def test_go_accepts_checkpoint_tiles_and_proofs(verifier: Path, grown: Grown, seed: int) -> None:
    run = grown.verify(verifier, "-events", "25", "-seed", str(seed))
    assert run.returncode == 0, run.stderr
    size = int(checkpoint(grown.daemon).splitlines()[1])
    assert size > 700 and f"tree of {size}," in run.stdout and "25 events in it" in run.stdout


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        ("checkpoint", "checkpoint: "),
        ("tile", "tiles: "),
        ("entries", "event "),
        ("proof", "event "),
        ("consistency", "consistency: "),
    ],
)
def test_go_refuses_what_was_changed_by_a_bit(verifier: Path, grown: Grown, spoilt: str, said: str) -> None:
    # Many events, so that the changed entry of a bundle is among them.
    run = grown.verify(verifier, "-spoil", spoilt, "-events", "3000" if spoilt == "entries" else "5")
    assert run.returncode == 1, run.stdout
    assert run.stderr.startswith("refused: ") and said in run.stderr, run.stderr


def test_go_refuses_another_ledgers_key_and_checkpoint(verifier: Path, grown: Grown, new_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    other = new_daemon().start()
    foreign = tmp_path / "foreign"
    foreign.write_bytes(checkpoint(other))
    for run in (grown.verify(verifier, key=key_of(other)), grown.verify(verifier, old=foreign)):
        assert run.returncode == 1
        assert "checkpoint: note has no verifiable signatures" in run.stderr, run.stderr


def test_go_refuses_a_ledger_that_tells_two_stories(verifier: Path, new_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    """Two copies of a ledger grow apart. Both sign with its key, so only the trees tell."""
    first = new_daemon().start()
    grow(first, 30)
    key = key_of(first)
    first.stop()
    second = new_daemon()
    shutil.copytree(first.data_dir, second.data_dir, dirs_exist_ok=True)
    second.credentials = first.credentials
    second.start()
    with second.admin() as client:
        submit(client, "OpenMission", {"intent": "another story"})
    told = tmp_path / "told"
    told.write_bytes(checkpoint(second))
    first.start()
    grow(first, 60)
    grown = Grown.__new__(Grown)
    grown.daemon, grown.key, grown.old = first, key, told
    run = grown.verify(verifier)
    assert run.returncode == 1
    assert "the older checkpoint signs another beginning" in run.stderr, run.stderr


def test_the_tiles_of_a_daemon_stay_as_they_are(grown: Grown) -> None:
    """Full tiles may be kept for ever: they are the same later, and after a restart. Partial ones are told apart."""
    with grown.daemon.admin() as client:
        paths = ["/tile/0/000", "/tile/0/001", "/tile/entries/001", "/tile/1/000.p/2", "/tile/0/002.p/7"]
        before = {path: client.get(path) for path in paths}
        cached = [path for path in paths if "immutable" in before[path].headers["cache-control"]]
        assert cached == paths[:3]
    grow(grown.daemon, 300)
    grown.daemon.stop()
    grown.daemon.start()
    with grown.daemon.admin() as client:
        for path, reply in before.items():
            assert client.get(path).content == reply.content, path
        # An entry is an event's header.
        first = get(client, "/v1/events", order="ascending", limit=1)["items"][0]
        bundle = client.get("/tile/entries/000").content
        assert cv.header_hash(bundle[2 : 2 + int.from_bytes(bundle[:2], "big")]).hex() == first["hash"]


def test_go_accepts_cosignatures_and_misses_those_that_are_not_there(
    verifier: Path, new_daemon: Callable[..., Daemon], tmp_path: Path
) -> None:
    with Witness(tmp_path / "1", "witness.example/1") as first, Witness(tmp_path / "2", "witness.example/2") as second:
        both = tmp_path / "policy"
        both.write_text(f"witness a {first.key} {first.url}\nwitness b {second.key} {second.url}\ngroup g all a b\nquorum g\n")
        daemon = new_daemon(
            "--origin", "log.example/go", "--witness-policy", str(both), "--publish-interval-secs", "1", "--allow-private-targets"
        ).start()
        grown = Grown.__new__(Grown)
        grown.daemon, grown.key, grown.old = daemon, key_of(daemon), tmp_path / "old"
        for witness in (first, second):
            witness.knows("log.example/go", grown.key)
        grow(daemon, 300)
        with daemon.admin() as client:
            size = get(client, "/v1/events", limit=1, order="descending")["items"][0]["seq"]
            deadline = time.monotonic() + 60
            while (reply := client.get("/checkpoint")).status_code != 200 or int(reply.text.splitlines()[1]) < size - 10:
                assert time.monotonic() < deadline, "it is not published"
                time.sleep(0.05)
        grown.old.write_bytes(reply.content)
        run = grown.verify(verifier, "-witnesses", f"{first.key},{second.key}")
        assert run.returncode == 0, run.stderr
        stranger = Witness(tmp_path / "3", "witness.example/3")
        run = grown.verify(verifier, "-witnesses", f"{first.key},{stranger.key}")
        assert run.returncode == 1 and "not signed by witness.example/3" in run.stderr, run.stderr
        # Of a changed note either the log's line fails, or a witness's.
        run = grown.verify(verifier, "-witnesses", f"{first.key},{second.key}", "-spoil", "checkpoint")
        assert run.returncode == 1 and "checkpoint: " in run.stderr, run.stderr
