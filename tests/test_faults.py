"""One thing is wrong with the disk or what lies on it: each time a clear error, and nothing that was acknowledged is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from daemon import Daemon, binary, chancery
from native import batch, fresh, get, refused, register, send, submit

# Commands after which a fault must have shown.
COMMANDS_MAX = 400


def until_refused(client: httpx.Client, acknowledged: dict[int, str]) -> httpx.Response:
    """Sends commands until one is not taken, and gives that answer."""
    for _ in range(COMMANDS_MAX):
        reply = send(client, "OpenMission", {"intent": fresh("work ")})
        if reply.status_code != 200:
            return reply
        acknowledged.update((event["seq"], event["hash"]) for event in reply.json()["receipt"]["events"])
    raise AssertionError(f"{COMMANDS_MAX} commands were taken in spite of the fault")


def stays_stopped(daemon: Daemon, client: httpx.Client, reply: httpx.Response, why: str) -> None:
    """Writing has stopped, for good and with a reason; reads of views go on."""
    problem = refused(reply, 503, "stopped")
    assert why in problem["detail"], problem
    assert str(daemon.data_dir) not in reply.text, "callers are not told where things lie"
    assert int(reply.headers["retry-after"]) > 0
    refused(send(client, "OpenMission", {"intent": "again"}), 503, "stopped")
    ready = client.get("/readyz")
    assert why in refused(ready, 503, "stopped")["detail"]
    assert client.get("/livez").status_code == 200
    assert "chancery_writes_stopped 1" in client.get("/metrics").text
    assert "writing has stopped for good" in daemon.log_file.read_text(errors="replace")
    assert get(client, "/v1/identity/agents")["items"]


def holds(client: httpx.Client, acknowledged: dict[int, str]) -> None:
    for seq in sorted(acknowledged)[-50:]:
        assert get(client, f"/v1/events/{seq}")["hash"] == acknowledged[seq]


def goes_on(daemon: Daemon, acknowledged: dict[int, str]) -> None:
    """After a restart everything is there, verifies, and commands are taken."""
    daemon.start()
    with daemon.admin() as client:
        holds(client, acknowledged)
        assert client.get("/readyz").status_code == 200
        submit(client, "OpenMission", {"intent": "after the fault"})
    daemon.stop()
    verdict = chancery("verify", "--data-dir", str(daemon.data_dir))
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr


# --- A disk that fails or is full: the kernel says so, at the calls that strace picks.

DISK_FULL, DISK_FAILED = "its disk is full", "its disk failed"


@pytest.mark.parametrize(
    ("path", "fault", "why"),
    [
        ("log/db", "pwrite64:error=ENOSPC", DISK_FULL),
        ("log/db", "pwrite64:error=EIO", DISK_FAILED),
        ("log/db", "sync_file_range:error=EIO", DISK_FAILED),
        ("log/db", "fdatasync:error=EIO", DISK_FAILED),
        ("keystore/db/0.jnl", "write:error=ENOSPC", DISK_FULL),
        ("keystore/db/0.jnl", "fsync:error=EIO", DISK_FAILED),
        ("last-checkpoint", "pwrite64:error=ENOSPC", DISK_FULL),
    ],
)
def test_a_write_or_sync_that_fails(new_daemon: Callable[..., Daemon], path: str, fault: str, why: str) -> None:
    daemon = new_daemon().start()
    acknowledged: dict[int, str] = {}
    with daemon.admin() as client:
        for _ in range(5):
            acknowledged.update((event["seq"], event["hash"]) for event in register(client)["receipt"]["events"])
    daemon.stop()
    call = fault.split(":")[0]
    # Counted by the thread: those of a start are over by then.
    daemon.wrap = [
        "strace", "-D", "-f", "-qq", "-o", "/dev/null", "-P", str((daemon.data_dir / path).resolve()),
        "-e", f"trace={call}", "-e", f"inject={fault}:when=8+",
    ]  # fmt: skip
    daemon.start()
    with daemon.admin() as client:
        reply = until_refused(client, acknowledged)
        stays_stopped(daemon, client, reply, why)
        holds(client, acknowledged)
    daemon.stop()
    daemon.wrap = []
    goes_on(daemon, acknowledged)


@pytest.mark.parametrize("view", ["identity", "execution"])
def test_a_view_that_cannot_be_written(new_daemon: Callable[..., Daemon], view: str) -> None:
    """What is acknowledged is in the log; what cannot be read is said."""
    daemon = new_daemon().start()
    daemon.stop()
    (journal,) = (daemon.data_dir / "views" / view).glob("generation-*/*.jnl")
    daemon.wrap = [
        "strace", "-D", "-f", "-qq", "-o", "/dev/null", "-P", str(journal.resolve()),
        "-e", "trace=write", "-e", "inject=write:error=ENOSPC:when=20+",
    ]  # fmt: skip
    daemon.start()
    acknowledged: dict[int, str] = {}
    with daemon.admin() as client:
        for _ in range(COMMANDS_MAX):
            answer = register(client) if view == "identity" else submit(client, "OpenMission", {"intent": "work"})
            acknowledged.update((event["seq"], event["hash"]) for event in answer["receipt"]["events"])
            # Whoever asks has the view's worker write what it has gathered.
            client.get("/v1/identity/agents" if view == "identity" else "/v1/execution/missions", params={"limit": 1})
            if "cannot follow the log" in daemon.log():
                break
        assert f'has stopped view="{view}"' in daemon.log()
        assert client.get("/livez").status_code == 200
        assert f"the {view} view" in refused(client.get("/readyz"), 503, "view_behind")["detail"]
    daemon.stop()
    daemon.wrap = []
    goes_on(daemon, acknowledged)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 MiB of its own."""
    place = tmp_path / "small"
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m,mode=0700", "none", str(place)], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"a small file system needs mount(2): {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def fill(disk: Path, leave: int) -> Path:
    """Takes what is free on a disk, but for some bytes."""
    filler = disk / "filler"
    with filler.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - leave)
    return filler


def test_a_full_disk(new_daemon: Callable[..., Daemon], small_disk: Path) -> None:
    daemon = new_daemon()
    daemon.data_dir = small_disk / "data"
    daemon.start()
    acknowledged: dict[int, str] = {}
    with daemon.admin() as client:
        acknowledged.update((event["seq"], event["hash"]) for event in register(client)["receipt"]["events"])
        filler = fill(small_disk, 8 << 20)
        # Much at once, because sled and fjall have room in files that they made longer beforehand.
        lines = [{"command": "OpenMission", "params": {"intent": f"{line} " + "x" * 4000}} for line in range(200)]
        for _ in range(40):
            answers = batch(client, lines)
            for answer in answers:
                if answer["status"] == 200:
                    acknowledged.update((event["seq"], event["hash"]) for event in answer["receipt"]["events"])
            if answers[-1]["status"] != 200:
                break
        assert len(acknowledged) > 200, "the disk was not full at once"
        reply = until_refused(client, acknowledged)
        # Which of the daemon's files meets the end of the disk first is chance; if a view's, its name is told.
        stays_stopped(daemon, client, reply, "the daemon takes no more commands")
        # Older events can be read. For the newest sled may want to write first, if the disk was full in mid-commit.
        holds(client, {seq: event for seq, event in acknowledged.items() if seq < 15})
    daemon.stop()

    # A start on a full disk is refused with a reason, or serves; it destroys nothing.
    try:
        daemon.start()
        daemon.kill()
    except AssertionError:
        assert "No space left on device" in daemon.log() or "disk" in daemon.log()
    filler.unlink()
    goes_on(daemon, acknowledged)


# --- Directories that cannot be used


def failing_start(daemon: Daemon, program: Path | None = None, **how: object) -> str:
    """What a daemon says that does not start. It ends by itself, with an error."""
    run = subprocess.run(
        [program or binary("CHANCERYD", "chanceryd"), "--data-dir", str(daemon.data_dir), "--listen", "127.0.0.1:0", "--bootstrap-file", str(daemon.bootstrap_file)],
        env=daemon.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, **how,  # type: ignore[call-overload]
    )  # fmt: skip
    assert run.returncode == 1, f"{run.returncode}: {run.stdout}{run.stderr}"
    assert "chanceryd ready" not in run.stdout and "panicked" not in run.stderr, run.stderr
    return run.stderr


def test_a_directory_that_cannot_be_made(new_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    daemon = new_daemon()
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "data", Path("/proc/chancery")):
        daemon.data_dir = place
        said = failing_start(daemon)
        assert str(place) in said and "cannot be used" in said, said


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run the daemon as somebody else")
def test_a_directory_of_somebody_else(new_daemon: Callable[..., Daemon]) -> None:
    daemon = new_daemon()
    # pytest's own directories are closed to others.
    with tempfile.TemporaryDirectory(prefix="chancery-") as open_to_all:
        place = Path(open_to_all)
        place.chmod(0o755)
        daemon.data_dir, daemon.bootstrap_file = place / "data", place / "bootstrap.json"
        daemon.data_dir.mkdir(mode=0o755)
        shutil.copy(binary("CHANCERYD", "chanceryd"), place / "chanceryd")
        said = failing_start(daemon, program=place / "chanceryd", user=65534, group=65534, extra_groups=[])
        assert str(daemon.data_dir) in said and "this user may write" in said, said
        assert list(daemon.data_dir.iterdir()) == []


def test_a_disk_that_became_read_only(new_daemon: Callable[..., Daemon], small_disk: Path) -> None:
    daemon = new_daemon()
    daemon.data_dir = small_disk / "data"
    daemon.start()
    with daemon.admin() as client:
        events = register(client)["receipt"]["events"]
    daemon.stop()
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    said = failing_start(daemon)
    assert str(daemon.data_dir) in said and "Read-only" in said, said
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    goes_on(daemon, {event["seq"]: event["hash"] for event in events})


# --- Key files that are not what they were


def other_key(path: Path) -> None:
    path.write_bytes(
        Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


def missing(path: Path) -> None:
    path.unlink()


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def flipped(path: Path) -> None:
    path.write_bytes(bytes(byte ^ 1 for byte in path.read_bytes()))


def shortened(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


@pytest.mark.parametrize(
    ("pattern", "damage", "says"),
    [
        ("keys/seal-*.pem", other_key, "not the one in its name"),
        ("keys/seal-*.pem", missing, "no key in"),
        ("keys/seal-*.pem", emptied, "holds no Ed25519 key"),
        ("keys/seal-*.pem", shortened, "holds no Ed25519 key"),
        ("keystore/wrapping.key", missing, "is missing, and without it no secret can be read"),
        ("keystore/wrapping.key", emptied, "has not the 32 bytes of a key"),
        ("keystore/wrapping.key", flipped, "is not the key of this keystore"),
    ],
)
def test_a_key_file_that_is_not_the_one(
    new_daemon: Callable[..., Daemon], pattern: str, damage: Callable[[Path], None], says: str
) -> None:
    daemon = new_daemon().start()
    with daemon.admin() as client:
        events = register(client)["receipt"]["events"]
    daemon.stop()
    (key,) = daemon.data_dir.glob(pattern)
    before, listed = key.read_bytes(), sorted(daemon.data_dir.rglob("*"))
    damage(key)
    said = failing_start(daemon)
    assert says in said and str(key.parent) in said, said
    assert "backup" in said or "another ledger" in said, f"it does not say what to do: {said}"
    key.write_bytes(before)
    key.chmod(0o600)
    assert [path for path in listed if not path.exists() and "log" not in str(path)] == [], "nothing is taken away"
    goes_on(daemon, {event["seq"]: event["hash"] for event in events})


def test_keys_of_another_ledger(new_daemon: Callable[..., Daemon]) -> None:
    ours, theirs = new_daemon().start(), new_daemon().start()
    with ours.admin() as client:
        events = register(client)["receipt"]["events"]
    ours.stop()
    theirs.stop()
    (ours.data_dir / "keys").rename(ours.home / "keys")
    shutil.copytree(theirs.data_dir / "keys", ours.data_dir / "keys")
    said = failing_start(ours)
    assert "another ledger" in said and str(ours.data_dir / "keys") in said, said
    shutil.rmtree(ours.data_dir / "keys")
    (ours.home / "keys").rename(ours.data_dir / "keys")
    goes_on(ours, {event["seq"]: event["hash"] for event in events})
