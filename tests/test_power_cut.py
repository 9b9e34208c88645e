"""The power is cut: whatever is left of what was not yet synced, the daemon starts, has all it acknowledged, and goes on.

One run of the daemon is recorded, three starts and a crash among it, with every write and sync of its data directory and
every answer to a client. From the record, states of the directory are made as a power cut at some moment could have left
them (`disk_log`), and each is given to a daemon and to the offline verifier.

`CHANCERY_POWER_STATES` makes it longer, `CHANCERY_POWER_SEED` another one. `CHANCERY_POWER_RECORDING` names a directory
that keeps the record, so that a failure can be looked at again.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from daemon import Daemon, chancery
from disk_log import Cut, DiskLog, strace
from native import batch, get, pages, submit

STATES = int(os.environ.get("CHANCERY_POWER_STATES", "36"))
SEED = int(os.environ.get("CHANCERY_POWER_SEED", "7"))
IS_LONG = STATES >= 200
# Missions with this much to say make the log cross into new segments, of 8 MiB each.
FAT_BYTES = 4000
LIFE_COMMANDS = 60 if IS_LONG else 25


@dataclass
class Told:
    """A command that was acknowledged: where its first event stands, and what can be read of it."""

    seq: int
    events: list[dict]
    command: dict
    key: str
    thing: str


@dataclass
class Recording:
    log: DiskLog
    told: list[Told]
    # Every event's hash.
    truth: list[str]


def load(daemon: Daemon, life: int, told: list[Told]) -> None:
    """Commands of several sorts on several connections."""
    lock = threading.Lock()

    def note(commands: list[dict], keys: list[str], answers: list[dict]) -> None:
        for command, key, answer in zip(commands, keys, answers, strict=True):
            events, result = answer["receipt"]["events"], answer["result"]
            thing = result.get("agent", result.get("mission", {})).get("id", "")
            with lock:
                told.append(Told(events[0]["seq"], events, command, key, thing))

    def work(worker: int) -> None:
        with daemon.admin() as client:
            for number in range(LIFE_COMMANDS):
                name = f"life-{life}-{worker}-{number}"
                agent = {"command": "RegisterAgent", "params": {"name": name, "profile": {"email": f"{name}@example.org"}}}
                if worker == 0:
                    note([agent], [name], [submit(client, agent["command"], agent["params"], Idempotency_Key=name)])
                else:
                    fat = "x" * (FAT_BYTES if number % 3 == 0 else 10)
                    lines = [{"command": "OpenMission", "params": {"intent": f"{name}-{line} {fat}"}} for line in range(number % 12 + 1)]
                    note(lines, [""] * len(lines), batch(client, lines))

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    with daemon.admin() as client:
        submit(client, "RotateSigningKey")
        if IS_LONG and life == 1:
            # One commit that reaches over segments of sled's.
            lines = [{"command": "OpenMission", "params": {"intent": f"large-{line} " + "\U0001f4dc" * 4000}} for line in range(500)]
            note(lines, [""] * len(lines), batch(client, lines))
        submit(client, "OpenMission", {"intent": f"the last of life {life}"})


def record(home: Path) -> Recording:
    """Runs the daemon for three lives, the first of which ends by a crash, and reads what strace saw."""
    daemon, told = Daemon(home / "ran"), []
    daemon.home.mkdir()
    for life in range(3):
        trace = home / f"trace-{life}"
        daemon.wrap = strace(trace)
        daemon.start()
        assert daemon.process is not None
        pid = daemon.process.pid
        load(daemon, life, told)
        if life == 0:
            daemon.kill()
        else:
            daemon.stop()
        await_end(trace, pid)
    log = read(home)
    log.check()
    daemon.wrap = []
    truth = [event["hash"] for event in events(daemon.start())]
    daemon.kill()
    recording = Recording(log, told, truth)
    (home / "told.json").write_text(json.dumps({"told": [vars(each) for each in told], "truth": truth}))
    return recording


def await_end(trace: Path, pid: int) -> None:
    """Strace goes a moment after the daemon; the last it says is of the daemon's first thread."""
    deadline = time.monotonic() + 120
    while True:
        with trace.open("rb") as file:
            file.seek(max(0, trace.stat().st_size - 300))
            last = file.read().splitlines()[-1].decode()
        if last.startswith(f"{pid} ") and last.endswith("+++"):
            return
        assert time.monotonic() < deadline, f"strace did not end with the daemon: {last}"
        time.sleep(0.05)


def read(home: Path) -> DiskLog:
    log = DiskLog(home / "ran", ignored=[home / "ran" / "chanceryd.log"])
    for trace in sorted(home.glob("trace-*")):
        log.read(trace)
    log.settle()
    return log


def events(daemon: Daemon) -> list[dict]:
    with daemon.admin() as client:
        return list(pages(client, "/v1/events", limit=500))


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recording]:
    assert shutil.which("strace"), "strace is missing"
    kept = os.environ.get("CHANCERY_POWER_RECORDING")
    home = Path(kept) if kept else tmp_path_factory.mktemp("power")
    home.mkdir(exist_ok=True)
    if (home / "told.json").exists():
        said = json.loads((home / "told.json").read_text())
        yield Recording(read(home), [Told(**each) for each in said["told"]], said["truth"])
    else:
        yield record(home)
    if not kept:
        shutil.rmtree(home)


def choose(log: DiskLog, chances: random.Random) -> int:
    """A moment: each sort of thing that happens is as likely as any other."""
    sort = chances.choice(sorted(log.moments))
    return chances.choice(log.moments[sort])


class State:
    """A state of the disk after a power cut, and what must be true of it."""

    def __init__(self, recording: Recording, home: Path, cut: Cut, chances: random.Random):
        self.recording, self.cut, self.chances = recording, cut, chances
        cut.save(home)
        self.daemon = Daemon(home)
        self.acknowledged = cut.log.acknowledged(cut.moment)

    def verify(self) -> int:
        """What the offline verifier says; the number of events."""
        verdict = chancery("verify", "--data-dir", str(self.daemon.data_dir), "--json")
        assert verdict.returncode == 0, f"the verifier says {verdict.stdout}{verdict.stderr}"
        found = json.loads(verdict.stdout)
        assert found["whole"] is True, found
        return found["events"]

    def check(self) -> int:
        """Everything; the number of events that were there."""
        if self.acknowledged and self.chances.random() < 0.3:
            assert self.verify() > max(self.acknowledged), "acknowledged events are missing"
        daemon = self.daemon.start()
        try:
            there = events(daemon)
            found = [event["hash"] for event in there]
            for seq, event in self.acknowledged.items():
                assert seq < len(found), f"event {seq} was acknowledged, and the log has {len(found)}"
                assert found[seq] == event, f"event {seq} was acknowledged as {event} and is {found[seq]}"
            # Nothing was answered yet: this may be a new ledger.
            if self.acknowledged or found[0] == self.recording.truth[0]:
                # A start provides the key that signs tokens, when the cut took the one that the first start made.
                of_start = [event["seq"] for event in there if event["kind"] == "SigningKeyAdded"]
                before = len(found) - 1 if of_start[-1:] == [len(found) - 1] else len(found)
                assert found[:before] == self.recording.truth[:before], "there are events that were never written"
            self.use()
            with daemon.admin() as client:
                for view in get(client, "/v1/views")["views"]:
                    if self.chances.random() < 0.3:
                        assert client.post(f"/v1/views/{view['view']}/rebuild").json()["equal"] is True, view
        finally:
            if self.chances.random() < 0.5:
                daemon.kill()
            else:
                daemon.stop()
        assert self.verify() > len(found), "what was written after the power cut is missing"
        assert not (daemon.data_dir / "log.quarantined").exists()
        return len(found)

    def use(self) -> None:
        """What was acknowledged is read, done again under its key, and added to."""
        told = [each for each in self.recording.told if each.seq in self.acknowledged]
        with self.daemon.admin() as client:
            for each in self.chances.sample(told, min(4, len(told))) + told[-2:]:
                params = each.command["params"]
                if each.command["command"] == "OpenMission":
                    assert get(client, f"/v1/execution/missions/{each.thing}")["intent"] == params["intent"]
                    continue
                assert get(client, f"/v1/identity/agents/{each.thing}")["profile"]["email"] == params["profile"]["email"]
                again = submit(client, each.command["command"], params, Idempotency_Key=each.key)["receipt"]
                assert again["replayed"] and again["events"] == each.events
            made = submit(client, "RegisterAgent", {"name": "after", "profile": {"email": "after@example.org"}})
            agent = get(client, f"/v1/identity/agents/{made['result']['agent']['id']}")
            assert agent["profile"]["email"] == "after@example.org"
            lines = [{"command": "OpenMission", "params": {"intent": f"after {line}"}} for line in range(20)]
            assert {answer["status"] for answer in batch(client, lines)} == {200}


def scratch() -> Path:
    """Where states are made: in memory where there is some, because nothing of them need last."""
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 1 << 30
    return Path(tempfile.mkdtemp(prefix="chancery-power-", dir=memory if roomy else None))


def try_states(recording: Recording, states: int, seed: int) -> list[str]:
    """Tries states, two at a time; what is wrong with which. Those that fail are kept."""
    home, wrong, styles = scratch(), [], Counter()

    def one(number: int) -> None:
        chances = random.Random(f"{seed} {number}")
        cut = Cut(recording.log, choose(recording.log, chances), chances)
        place = home / str(number)
        try:
            State(recording, place, cut, chances).check()
            styles[cut.style] += 1
            shutil.rmtree(place)
        except BaseException as failure:
            wrong.append(f"state {number} ({place}): {cut}: {type(failure).__name__}: {failure}")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, range(states)))
    print(f"{states} states, {len(wrong)} wrong; {dict(styles)}")
    if not wrong:
        shutil.rmtree(home)
    return wrong


@pytest.mark.timeout(600 + 10 * STATES)
def test_power_cuts(recording: Recording) -> None:
    print(f"CHANCERY_POWER_SEED={SEED} CHANCERY_POWER_STATES={STATES}")
    log = recording.log
    print(f"{log.length} calls, {len(log.answers)} answers, {len(recording.truth)} events; moments: { {sort: len(at) for sort, at in log.moments.items()} }")
    wrong = try_states(recording, STATES, SEED)
    assert not wrong, "\n\n".join(wrong)


@pytest.mark.parametrize(
    ("file", "broken"),
    [
        ("data/log/db", r"was acknowledged, and the log has|but a checkpoint for \d+ was signed"),
        ("data/keystore/db/0.jnl", "None"),
    ],
)
def test_a_sync_that_is_missing_is_found(recording: Recording, file: str, broken: str) -> None:
    """The canaries: a trace from which a file's syncs are taken away, for the last answers, must not pass."""
    log = recording.log
    cut = Cut(log, log.answers[-1][0] + 1, random.Random(SEED), style="none")
    log.settle(without=log.find(file), since=log.answers[-50][0])
    place = scratch() / "state"
    try:
        with pytest.raises(AssertionError, match=broken):
            State(recording, place, cut, random.Random(SEED)).check()
    finally:
        log.settle()
        shutil.rmtree(place.parent)


def line(name: str, arguments: str, result: int = 0) -> str:
    """A line of a trace, with its strings as strace -xx writes them."""
    parts = arguments.split('"')
    parts[1::2] = ["".join(f"\\x{byte:02x}" for byte in part.encode()) for part in parts[1::2]]
    return f"7 1.0 {name}({chr(34).join(parts)}) = {result}"


OPEN = line("openat", 'AT_FDCWD, "/d/a", O_WRONLY|O_CREAT, 0600', 3)
OPEN_DIR = line("openat", 'AT_FDCWD, "/d", O_RDONLY', 4)
ONE, TWO = line("pwrite64", '3</d/a>, "one", 3, 0', 3), line("pwrite64", '3</d/a>, "two", 3, 3', 3)
SYNC, SYNC_DIR, SYNC_RANGE = line("fdatasync", "3</d/a>"), line("fsync", "4</d>"), line("sync_file_range", "3</d/a>, 0, 3, 0")
RENAME = line("rename", '"/d/a", "/d/b"')
BEGUN, ENDED = SYNC.replace(") = 0", " <unfinished ...>"), "7 1.0 <... fdatasync resumed>) = 0"


@pytest.mark.parametrize(
    ("lines", "least", "most"),
    [
        ([OPEN, ONE], {}, {"a": "one"}),
        ([OPEN, OPEN_DIR, SYNC_DIR, ONE], {"a": ""}, {"a": "one"}),
        ([OPEN, OPEN_DIR, SYNC_DIR, ONE, SYNC_RANGE], {"a": ""}, {"a": "one"}),
        ([OPEN, OPEN_DIR, SYNC_DIR, ONE, SYNC], {"a": "one"}, {"a": "one"}),
        ([OPEN, OPEN_DIR, SYNC_DIR, ONE, SYNC, TWO], {"a": "one"}, {"a": "onetwo"}),
        ([OPEN, OPEN_DIR, SYNC_DIR, ONE, BEGUN, TWO.replace("7 ", "8 ", 1), ENDED], {"a": "one"}, {"a": "onetwo"}),
        ([OPEN, OPEN_DIR, SYNC_DIR, ONE, SYNC, RENAME], {"a": "one"}, {"b": "one"}),
        ([OPEN, OPEN_DIR, ONE, SYNC, RENAME, SYNC_DIR], {"b": "one"}, {"b": "one"}),
        ([OPEN, OPEN_DIR, SYNC_DIR, ONE, SYNC, line("ftruncate", "3</d/a>, 1")], {"a": "one"}, {"a": "o"}),
        ([OPEN, OPEN_DIR, ONE, SYNC, SYNC_DIR, line("unlink", '"/d/a"')], {"a": "one"}, {}),
    ],
    ids=range(10),
)  # fmt: skip
def test_what_a_power_cut_leaves(tmp_path: Path, lines: list[str], least: dict[str, str], most: dict[str, str]) -> None:
    (tmp_path / "trace").write_text("\n".join(lines) + "\n")
    log = DiskLog(Path("/d"))
    log.read(tmp_path / "trace")
    log.settle()
    for style, expected in (("none", least), ("all", most)):
        Cut(log, log.length, random.Random(1), style).save(tmp_path / style)
        assert {path.name: path.read_text() for path in (tmp_path / style).iterdir()} == expected
