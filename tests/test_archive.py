"""The archive, backups, and the way back: a real daemon with a second copy of its log, killed, its log destroyed, restored by
the documented command, and started again."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

import chancery_verify as cv
from daemon import Daemon, chancery
from native import fresh, get, refused, register, send, submit

PATIENCE_SECS = 60


def archived(new_daemon: Callable[..., Daemon], tmp_path: Path, mode: str, *more: str) -> tuple[Daemon, Path]:
    archive = tmp_path / "archive"
    return new_daemon("--archive-dir", str(archive), "--archive-mode", mode, *more), archive


def archive_health(daemon: Daemon) -> dict:
    return httpx.get(daemon.url + "/readyz").json()["archive"]


def await_archive(daemon: Daemon, what: Callable[[dict], bool]) -> dict:
    deadline = time.monotonic() + PATIENCE_SECS
    while not what(found := archive_health(daemon)):
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


def destroy_log(daemon: Daemon, how: str = "unopenable") -> None:
    """What a dying disk leaves. sled cannot open the one, and opens the other as if it were new."""
    log = daemon.data_dir / "log"
    if how == "unopenable":
        snapshots = list(log.glob("snap.*"))
        assert snapshots, "sled writes a snapshot when a log is closed in order"
        for snapshot in snapshots:
            snapshot.write_bytes(b"not what sled wrote, nor its checksum")
    else:
        db = log / "db"
        db.write_bytes(random.Random(7).randbytes(db.stat().st_size))
        for snapshot in log.glob("snap.*"):
            snapshot.unlink()


def refuses_to_start(daemon: Daemon) -> str:
    before = len(daemon.log())
    with pytest.raises(AssertionError, match="did not get ready"):
        daemon.start()
    return daemon.log()[before:]


def restore(daemon: Daemon, source: Path, *more: str, code: int = 0) -> dict:
    run = chancery("restore", "--from", str(source), "--data-dir", str(daemon.data_dir), "--json", *more)
    assert run.returncode == code, f"{run.stdout}{run.stderr}"
    return json.loads(run.stdout) if code == 0 else {"said": run.stderr}


def whole(*arguments: str) -> dict:
    run = chancery("verify", *arguments, "--json")
    assert run.returncode == 0, f"{run.stdout}{run.stderr}"
    return json.loads(run.stdout)


def python_verdict(archive: Path) -> dict:
    return cv.verify_items(cv.read_archive(archive))


def kill_under_load(daemon: Daemon, chances: random.Random) -> list[dict]:
    """Kills it while four clients wait for answers, and gives the events that were acknowledged."""
    acknowledged: list[dict] = []
    enough = threading.Event()
    kill_after = chances.randint(30, 150)

    def work() -> None:
        try:
            with daemon.admin() as client:
                while True:
                    acknowledged.extend(submit(client, "OpenMission", {"intent": fresh("work ")})["receipt"]["events"])
                    if len(acknowledged) >= kill_after:
                        enough.set()
        except (httpx.TransportError, json.JSONDecodeError):
            pass  # The daemon was killed.

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    assert enough.wait(120), f"the daemon acknowledged {len(acknowledged)} events and no more"
    daemon.kill()
    for worker in workers:
        worker.join()
    return acknowledged


def hashes(daemon: Daemon, events: list[dict]) -> dict[int, str]:
    with daemon.admin() as client:
        return {event["seq"]: get(client, f"/v1/events/{event['seq']}")["hash"] for event in events}


def test_with_the_synchronous_archive_nothing_acknowledged_is_lost_with_the_log(
    new_daemon: Callable[..., Daemon], tmp_path: Path
) -> None:
    """Three times: killed under load, the log's files destroyed, the daemon refuses, one command, and it goes on."""
    daemon, archive = archived(new_daemon, tmp_path, "synchronous", "--archive-segment-bytes", "65536")
    chances = random.Random(3)
    acknowledged: list[dict] = []
    daemon.start()
    daemon.stop()
    for how, said in [("unopenable", "was damaged and could not be opened"), ("empty", "log is empty"), ("unopenable", "damaged")]:
        daemon.start()
        acknowledged += kill_under_load(daemon, chances)
        destroy_log(daemon, how)
        assert said in refuses_to_start(daemon)
        done = restore(daemon, archive)
        assert done["lost"] == 0 and done["events"] > max(event["seq"] for event in acknowledged)
        daemon.start()
        assert hashes(daemon, acknowledged) == {event["seq"]: event["hash"] for event in acknowledged}
        daemon.stop()
    for verdict in (whole("--archive", str(archive)), python_verdict(archive), whole("--data-dir", str(daemon.data_dir))):
        assert verdict["whole"] and verdict["events"] >= done["events"], verdict["findings"]
    # What can be asked of the log can be asked of its copy.
    for question in (["inspect", "events", "0", "2"], ["replay", "view", "execution"]):
        asked = [chancery(*question, place, str(where)) for place, where in (("--archive", archive), ("--data-dir", daemon.data_dir))]
        assert all(run.returncode == 0 for run in asked), asked[0].stderr
        assert asked[0].stdout
    assert chancery("inspect", "proof", "1", "--archive", str(archive)).returncode == 0
    closed = [path for path in archive.glob("segment-*") if path.stat().st_mode & 0o777 == 0o400]
    assert len(closed) >= 3
    assert len(list((daemon.data_dir / "quarantine").glob("log*"))) >= 3


def test_without_its_archive_a_log_that_was_killed_is_not_gone_on_with(
    new_daemon: Callable[..., Daemon], tmp_path: Path
) -> None:
    daemon, archive = archived(new_daemon, tmp_path, "synchronous")
    daemon.start()
    kill_under_load(daemon, random.Random(4))
    options, daemon.options = daemon.options, ()
    assert "--archive-dir" in refuses_to_start(daemon)
    daemon.options = ("--archive-dir", str(tmp_path / "another"))
    assert "is not the one configured" in refuses_to_start(daemon)
    daemon.options = options
    moved = archive.rename(tmp_path / "unmounted")
    archive.mkdir()
    assert "is its disk mounted" in refuses_to_start(daemon)
    shutil.rmtree(archive)
    moved.rename(archive)
    daemon.start()
    daemon.stop()
    # Stopped in order both are equal, and the log stands alone.
    daemon.options = ()
    daemon.start()
    daemon.stop()


def test_what_the_log_lost_it_is_given_back_by_its_archive(new_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    """An older copy of the log, as a disk that lost its newest part leaves one: the start brings it up to the archive."""
    daemon, archive = archived(new_daemon, tmp_path, "synchronous")
    daemon.start()
    daemon.stop()
    old = tmp_path / "old"
    shutil.copytree(daemon.data_dir / "log", old)
    daemon.start()
    with daemon.admin() as client:
        events = [register(client)["receipt"]["events"][0] for _ in range(3)]
        submit(client, "RotateSigningKey")
        events += [register(client)["receipt"]["events"][0] for _ in range(3)]
    daemon.stop()
    shutil.rmtree(daemon.data_dir / "log")
    shutil.copytree(old, daemon.data_dir / "log")
    daemon.start()
    assert hashes(daemon, events) == {event["seq"]: event["hash"] for event in events}
    daemon.stop()
    assert python_verdict(archive)["whole"]


def test_the_archive_follows_and_says_how_far(new_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    daemon, archive = archived(new_daemon, tmp_path, "follow", "--archive-segment-secs", "1")
    daemon.start()
    with daemon.admin() as client:
        last = [register(client)["receipt"]["events"][0]["seq"] for _ in range(30)][-1]
        assert await_archive(daemon, lambda found: found["lag"] == 0) == {"mode": "follow", "status": "following", "lag": 0}
        metrics = client.get("/metrics").text
        assert "chancery_archive_lag_events 0\n" in metrics and "chancery_archive_failed 0\n" in metrics
    # Of age after a second, closed without another event.
    deadline = time.monotonic() + PATIENCE_SECS
    while any(path.stat().st_mode & 0o200 for path in archive.glob("segment-*")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    verdict = python_verdict(archive)
    assert verdict["whole"] and verdict["events"] > last
    daemon.stop()


def test_a_lost_tail_is_told_and_gone_on_without_only_when_accepted(
    new_daemon: Callable[..., Daemon], tmp_path: Path
) -> None:
    """The archive that follows was behind: how far is said, nothing is changed, and the decision becomes an event."""
    daemon, archive = archived(new_daemon, tmp_path, "follow")
    daemon.start()
    with daemon.admin() as client:
        kept = [register(client)["receipt"]["events"][0] for _ in range(5)]
        await_archive(daemon, lambda found: found["lag"] == 0)
    daemon.stop()
    behind = tmp_path / "behind"
    shutil.copytree(archive, behind)
    daemon.options = ()
    daemon.start()
    with daemon.admin() as client:
        lost = [register(client)["receipt"]["events"][0] for _ in range(4)]
        checkpoint = client.get("/checkpoint").text
    daemon.stop()
    signed = int(checkpoint.splitlines()[1])
    destroy_log(daemon)
    refuses_to_start(daemon)
    said = restore(daemon, behind, code=1)["said"]
    events = python_verdict(behind)["events"]
    assert f"last {signed - events} events are missing" in said and f"ends at {events} events" in said
    assert not (daemon.data_dir / "log").exists() and not (daemon.data_dir / "log.restoring").exists()
    done = restore(daemon, behind, "--accept-loss", "--reason", "the disk burnt, and the archive was 4 events behind")
    assert (done["events"], done["lost"], done["signed"]) == (events, signed - events, signed)
    daemon.start()
    with daemon.admin() as client:
        told = get(client, f"/v1/events/{events}")
        assert told["kind"] == "TailLost"
        body = told["body"] if "body" in told else told["facts"]
        assert (body["found"], body["signed"], body["checkpoint"]) == (events, signed, checkpoint)
        assert "burnt" in body["reason"]
        register(client)
    assert hashes(daemon, kept) == {event["seq"]: event["hash"] for event in kept}
    daemon.stop()
    daemon.start()
    daemon.stop()
    # An auditor who holds the lost checkpoint sees the contradiction, and by that event why.
    head = tmp_path / "head"
    head.write_text(checkpoint)
    for size in (signed, ):
        run = chancery("verify", "--data-dir", str(daemon.data_dir), "--head", str(head), "--json")
        assert run.returncode == 1
        assert json.loads(run.stdout)["first_broken"]["reason"] in ("diverged", "truncated"), size
    assert whole("--data-dir", str(daemon.data_dir))["whole"]
    assert lost


def test_a_damaged_log_gives_what_the_archive_lacks(new_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    """One event of the log was changed; the archive is older. Both together have everything."""
    daemon, archive = archived(new_daemon, tmp_path, "follow")
    daemon.start()
    with daemon.admin() as client:
        register(client)
        await_archive(daemon, lambda found: found["lag"] == 0)
    daemon.stop()
    daemon.options = ()
    daemon.start()
    with daemon.admin() as client:
        events = [register(client)["receipt"]["events"][0] for _ in range(4)]
    daemon.stop()
    run = chancery("restore", "--from", str(archive), "--data-dir", str(daemon.data_dir))
    assert run.returncode == 2 and "whole log" in run.stderr
    daemon.start()
    assert hashes(daemon, events) == {event["seq"]: event["hash"] for event in events}
    daemon.stop()


def test_an_archive_of_another_ledger_is_refused(new_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    first, archive = archived(new_daemon, tmp_path, "follow")
    first.start()
    with first.admin() as client:
        register(client)
    first.stop()
    other = new_daemon("--archive-dir", str(archive))
    assert "the log is empty" in refuses_to_start(other)
    shutil.rmtree(other.data_dir)
    other.options = ()
    other.start()
    other.stop()
    other.options = ("--archive-dir", str(archive))
    assert "of another ledger" in refuses_to_start(other)
    run = chancery("restore", "--from", str(archive), "--data-dir", str(other.data_dir))
    assert run.returncode == 2 and "whole log" in run.stderr
    destroy_log(other)
    run = chancery("restore", "--from", str(archive), "--data-dir", str(other.data_dir))
    assert run.returncode in (1, 2), run.stdout
    assert (other.data_dir / "log" / "db").exists(), "nothing was changed"


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system needs root")
@pytest.mark.parametrize("mode", ["follow", "synchronous"])
def test_a_full_archive_disk(new_daemon: Callable[..., Daemon], tmp_path: Path, mode: str) -> None:
    """Following: commands are accepted, it is said loudly, and it catches up. Synchronous: writing stops, reading goes on."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True, text=True)
    if mounted.returncode != 0:
        pytest.skip(f"no small file system can be mounted here: {mounted.stderr.strip()}")
    daemon = new_daemon("--archive-dir", str(disk / "archive"), "--archive-mode", mode)
    try:
        daemon.start()
        filler = disk / "filler"
        with daemon.admin() as client:
            before = register(client)["receipt"]["events"][0]
            with filler.open("wb", buffering=0) as file, pytest.raises(OSError):
                while True:
                    file.write(bytes(4096))
            if mode == "follow":
                for _ in range(20):
                    submit(client, "OpenMission", {"intent": "x" * 2000})
                assert await_archive(daemon, lambda found: found["status"] == "failing")["lag"] > 0
                assert "chancery_archive_failed 1\n" in client.get("/metrics").text
                assert "archive" in daemon.log() and "No space" in daemon.log()
                filler.unlink()
                await_archive(daemon, lambda found: found["lag"] == 0 and found["status"] == "following")
            else:
                answers = [send(client, "OpenMission", {"intent": "x" * 2000}) for _ in range(20)]
                refused(answers[-1], 503, "stopped")
                acknowledged = [answer for answer in answers if answer.status_code == 200]
                assert get(client, f"/v1/events/{before['seq']}")["hash"] == before["hash"]
                filler.unlink()
        daemon.stop() if mode == "follow" else daemon.kill()
        daemon.start()
        with daemon.admin() as client:
            register(client)
            if mode == "synchronous":
                for answer in acknowledged:
                    event = answer.json()["receipt"]["events"][0]
                    assert get(client, f"/v1/events/{event['seq']}")["hash"] == event["hash"]
        daemon.stop()
        assert python_verdict(disk / "archive")["whole"]
    finally:
        daemon.kill()
        subprocess.run(["umount", str(disk)], check=True)


def online(daemon: Daemon, *arguments: str) -> subprocess.CompletedProcess:
    env = daemon.env | {"CHANCERY_URL": daemon.url, "CHANCERY_API_KEY": daemon.credentials["admin_key"]}
    return chancery(*arguments, env=env)


def test_a_backup_of_a_busy_daemon_restores_and_verifies(new_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    daemon = new_daemon(env={"CHANCERY_PASSPHRASE": "a pass phrase"}).start()
    stop = threading.Event()

    def work() -> None:
        with daemon.admin() as client:
            while not stop.is_set():
                submit(client, "OpenMission", {"intent": fresh("work ")})

    workers = [threading.Thread(target=work) for _ in range(3)]
    with daemon.admin() as client:
        agent = register(client, profile={"email": "ada@example.org"})["result"]["agent"]["id"]
        for worker in workers:
            worker.start()
        out = tmp_path / "backup"
        run = online(daemon, "backup", "--out", str(out), "--keystore", "--sealing-keys", "--json")
        stop.set()
        for worker in workers:
            worker.join()
        assert run.returncode == 0, run.stderr
        assert out.stat().st_mode & 0o777 == 0o700, "only its owner may enter it"
        profile = get(client, f"/v1/identity/agents/{agent}")["profile"]
        size = get(client, "/v1/events", order="descending", limit=1)["items"][0]["seq"] + 1
    daemon.stop()
    manifest = json.loads(run.stdout)
    assert manifest == json.loads((out / "backup.json").read_text())
    assert 5 < manifest["events"] <= size and manifest["secrets"] > 2 and len(manifest["sealing_keys"]) == 1
    assert any("wrapping" in lack for lack in manifest["lacks"])
    everything = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
    assert (daemon.data_dir / "keystore" / "wrapping.key").read_bytes() not in everything
    assert b"BEGIN PRIVATE KEY" not in everything and b"ENCRYPTED PRIVATE KEY" in everything
    with (out / "log.export").open("rb") as source:
        assert cv.verify(source)["whole"]

    wrapping = str(daemon.data_dir / "keystore" / "wrapping.key")
    restored = new_daemon(env={"CHANCERY_PASSPHRASE": "a pass phrase"})
    restored.credentials = daemon.credentials
    done = restore(restored, out, "--wrapping-key", wrapping)
    assert (done["events"], done["secrets"], done["sealing_keys"]) == (manifest["events"], manifest["secrets"], 1)
    restored.start()
    with restored.admin() as client:
        assert get(client, f"/v1/identity/agents/{agent}")["profile"] == profile
        register(client)
    restored.stop()
    assert whole("--data-dir", str(restored.data_dir))["events"] > manifest["events"]


def test_a_backup_hands_out_no_key_in_clear(new_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    daemon = new_daemon().start()
    run = online(daemon, "backup", "--out", str(tmp_path / "backup"), "--sealing-keys")
    assert run.returncode == 0 and "in clear" in run.stdout, run.stderr
    assert list((tmp_path / "backup" / "keys").iterdir()) == []
    with daemon.admin() as client:
        key = submit(client, "CreateApiKey", {"name": "reader", "scopes": ["ledger:read"], "audience": ["native"]})
        secret = key["result"]["shown_once"]["api_key"] if "shown_once" in key["result"] else key["result"]["secret"]
    with daemon.client(secret) as client:
        for path in ("keystore", "sealing-keys"):
            refused(client.get(f"/v1/ledger/{path}"), 403, "scope_missing")
    again = online(daemon, "backup", "--out", str(tmp_path / "backup"))
    assert again.returncode == 2 and "exists already" in again.stderr
    daemon.stop()


def test_an_import_begins_a_ledger_and_goes_on_with_its_keys(new_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    daemon = new_daemon().start()
    with daemon.admin() as client:
        event = register(client)["receipt"]["events"][0]
        pin = online(daemon, "keys", "signing").stdout
    export = tmp_path / "log.export"
    assert online(daemon, "export", "--out", str(export)).returncode == 0
    without = tmp_path / "without.export"
    assert online(daemon, "export", "--out", str(without), "--without-bodies").returncode == 0
    daemon.stop()
    key = json.loads(pin.splitlines()[0])["verifier_key"]

    mirror = new_daemon()
    run = chancery("import", "--export", str(without), "--data-dir", str(mirror.data_dir))
    assert run.returncode == 2 and "withheld" in run.stderr
    cut = tmp_path / "cut.export"
    cut.write_bytes(export.read_bytes()[:-30])
    assert chancery("import", "--export", str(cut), "--data-dir", str(mirror.data_dir)).returncode == 2
    run = chancery("import", "--export", str(export), "--data-dir", str(mirror.data_dir), "--key", key)
    assert run.returncode == 0 and "no sealing key" in run.stdout, run.stderr
    assert whole("--data-dir", str(mirror.data_dir), "--key", key)["whole"]
    shown = chancery("inspect", "--data-dir", str(mirror.data_dir), "events", str(event["seq"]))
    assert event["hash"] in shown.stdout
    assert "no key in" in refuses_to_start(mirror)
    run = chancery("import", "--export", str(export), "--data-dir", str(mirror.data_dir))
    assert run.returncode == 2 and "whole log" in run.stderr
    # With the keys of the ledger it is that ledger.
    for part in ("keys", "keystore"):
        shutil.rmtree(mirror.data_dir / part, ignore_errors=True)
        shutil.copytree(daemon.data_dir / part, mirror.data_dir / part)
    mirror.credentials = daemon.credentials
    mirror.start()
    assert hashes(mirror, [event]) == {event["seq"]: event["hash"]}
    mirror.stop()
