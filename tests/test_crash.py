"""Killed again and again, under load and while it starts: what was acknowledged is there, once, unchanged, and verifies.

A round is a life of the daemon that ends by SIGKILL: in the middle of a mixed load, at some moment of its start, or while
sled writes the snapshot that every start makes of a log that has grown (0.34.7 makes one at no other time). The next life
is asked for what the one before acknowledged, and is sent again what was under way when it died.

`CHANCERY_CRASH_ROUNDS` makes it longer, `CHANCERY_CRASH_SEED` another one.
"""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

import chancery_verify as cv
from daemon import START_SECS, Daemon, chancery
from native import get, pages, submit

ROUNDS = int(os.environ.get("CHANCERY_CRASH_ROUNDS", "24"))
SEED = int(os.environ.get("CHANCERY_CRASH_SEED", "20"))
# Every round would be better and takes a second each.
VERIFY_EVERY = 4 if ROUNDS < 100 else 10
SINGLES, BATCHES = 4, 2
BATCH_LINES_MAX = 48
# Sled's segments have 8 MiB: with some commands of this size, and the links of the others, a run crosses into new ones.
FAT_BYTES = 4000


@dataclass
class Sent:
    """A request that can be sent again: a command, or lines of a batch, under an idempotency key of its own."""

    key: str
    commands: list[dict]
    is_batch: bool
    # What was answered: by the line, the receipt.
    receipts: dict[int, dict] = field(default_factory=dict)


class Record:
    """Everything that any life of the daemon said, and what it left unsaid."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.hashes: dict[int, str] = {}
        self.done: list[Sent] = []
        self.under_way: list[Sent] = []
        self.acknowledged = 0

    def answered(self, sent: Sent, line: int, answer: dict) -> None:
        """Notes an answer. No event may be given to two commands, and none may change."""
        receipt = answer["receipt"]
        with self.lock:
            before = sent.receipts.get(line)
            if before is not None:
                assert receipt["replayed"] and receipt["events"] == before["events"], f"{sent.key}, line {line}: {before}, then {receipt}"
                return
            sent.receipts[line] = receipt
            self.acknowledged += 1
            for event in receipt["events"]:
                assert event["seq"] not in self.hashes, f"event {event['seq']} was given out twice"
                self.hashes[event["seq"]] = event["hash"]

    def ended(self, sent: Sent) -> None:
        whole = len(sent.receipts) == len(sent.commands)
        with self.lock:
            (self.done if whole else self.under_way).append(sent)


def deliver(client: httpx.Client, sent: Sent, record: Record) -> None:
    """Sends it, and notes each answer as it comes."""
    headers = {"Idempotency-Key": sent.key}
    if not sent.is_batch:
        command = sent.commands[0]
        record.answered(sent, 0, submit(client, command["command"], command["params"], Idempotency_Key=sent.key))
        return
    content = "".join(json.dumps(command) + "\n" for command in sent.commands).encode()
    headers["Content-Type"] = "application/x-ndjson"
    with client.stream("POST", "/v1/commands", content=content, headers=headers) as reply:
        assert reply.status_code == 200, reply.read()
        for line in reply.iter_lines():
            answer = json.loads(line)
            assert answer["status"] == 200, answer
            record.answered(sent, answer["index"], answer)


class Load:
    """Workers that send commands until the daemon is gone."""

    def __init__(self, daemon: Daemon, record: Record, round_number: int):
        self.daemon, self.record, self.round = daemon, record, round_number
        self.wanted = 0
        self.enough = threading.Event()
        self.failures: list[BaseException] = []

    def command(self, name: str, chances: random.Random) -> dict:
        if chances.random() < 0.15:
            return {"command": "RegisterAgent", "params": {"name": name, "profile": {"email": f"{name}@example.org"}}}
        padding = "x" * FAT_BYTES if chances.random() < 0.3 else ""
        return {"command": "OpenMission", "params": {"intent": f"{name} {padding}".strip()}}

    def work(self, worker: int) -> None:
        chances = random.Random(f"{SEED} {self.round} {worker}")
        try:
            with self.daemon.admin() as client:
                for number in range(10**6):
                    is_batch = worker < BATCHES
                    name = f"r{self.round}-w{worker}-{number}"
                    lines = chances.randint(1, BATCH_LINES_MAX) if is_batch else 1
                    sent = Sent(f"key of {name}", [self.command(f"{name}-{line}", chances) for line in range(lines)], is_batch)
                    try:
                        deliver(client, sent, self.record)
                    finally:
                        self.record.ended(sent)
                    if self.record.acknowledged >= self.wanted:
                        self.enough.set()
        except (httpx.TransportError, json.JSONDecodeError):
            pass  # The daemon was killed.
        except BaseException as failure:
            self.failures.append(failure)
            self.enough.set()

    def run(self, chances: random.Random) -> None:
        """Loads a running daemon, kills it at some moment, and waits for the workers to notice."""
        self.wanted = self.record.acknowledged + chances.randint(1, 250)
        workers = [threading.Thread(target=self.work, args=(worker,)) for worker in range(SINGLES + BATCHES)]
        for worker in workers:
            worker.start()
        assert self.enough.wait(120), f"the daemon acknowledged {self.record.acknowledged} commands and no more"
        time.sleep(chances.uniform(0, 0.02))
        self.daemon.kill()
        for worker in workers:
            worker.join()
        if self.failures:
            raise self.failures[0]


def generating(daemon: Daemon) -> list[Path]:
    """Snapshots that are being written, or were when the daemon died."""
    return list((daemon.data_dir / "log").glob("snap.*.generating"))


def kill_while_starting(daemon: Daemon, chances: random.Random) -> str:
    """Starts the daemon and kills it before it is ready: at some moment, when a snapshot appears, or as it is renamed."""
    how = chances.choice(["moment", "watched", "renamed", "renamed"])
    if how == "renamed":
        # The kernel does it, as the system call is entered: sled's rename of its snapshot is the first of a start.
        daemon.wrap = ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=rename", "-e", "inject=rename:signal=SIGKILL:when=1"]
    try:
        daemon.spawn()
    finally:
        daemon.wrap = []
    assert daemon.process is not None
    if how == "moment":
        time.sleep(chances.uniform(0, 0.4))
    elif how == "watched":
        deadline = time.monotonic() + 1
        while not generating(daemon) and time.monotonic() < deadline and daemon.process.poll() is None:
            pass
    else:
        try:
            daemon.process.wait(START_SECS)
        except subprocess.TimeoutExpired:
            pass  # A log that did not grow gets no snapshot.
    daemon.kill()
    return how


def hashes(export: Path) -> tuple[dict, dict[int, str]]:
    """The verdict on an export, and each event's hash as recomputed from its header."""
    by_seq = {}
    with export.open("rb") as source:
        for item in cv.read_export(source):
            if isinstance(item, cv.EventFrame):
                by_seq[cv.parse_header(item.header).seq] = cv.header_hash(item.header).hex()
    return cv.verify(io.BytesIO(export.read_bytes())), by_seq


def check_life(daemon: Daemon, record: Record, known: int) -> None:
    """The daemon that runs now knows what the one before acknowledged, and does what was under way exactly once."""
    with daemon.admin() as client:
        since = sorted(seq for seq in record.hashes if seq >= known)
        if since:
            found = {event["seq"]: event["hash"] for event in pages(client, "/v1/events", **{"from": since[0], "to": since[-1], "limit": 500})}
            missing = {seq: record.hashes[seq] for seq in since if found.get(seq) != record.hashes[seq]}
            assert not missing, f"acknowledged events are gone or others: {missing}"
        # From the views, too, and what is encrypted under keys that were new.
        for sent in record.done[-3:]:
            command, receipt = sent.commands[-1], sent.receipts[len(sent.commands) - 1]
            seq = receipt["events"][0]["seq"]
            (subject,) = [s for s in get(client, f"/v1/events/{seq}")["subjects"] if s["kind"] in ("agent", "mission")][:1]
            if command["command"] == "OpenMission":
                assert get(client, f"/v1/execution/missions/{subject['id']}")["intent"] == command["params"]["intent"]
            else:
                profile = get(client, f"/v1/identity/agents/{subject['id']}")["profile"]
                assert profile["email"] == command["params"]["profile"]["email"]
        again, record.under_way = record.under_way, []
        for sent in again:
            deliver(client, sent, record)
            record.ended(sent)


def verify(daemon: Daemon, record: Record) -> dict:
    """The offline tool's verdict on the directory of a daemon that does not run."""
    verdict = chancery("verify", "--data-dir", str(daemon.data_dir), "--json")
    assert verdict.returncode == 0, verdict.stdout + verdict.stderr
    found = json.loads(verdict.stdout)
    assert found["whole"] is True
    assert found["events"] > max(record.hashes, default=0), "acknowledged events are missing"
    return found


# The long form takes about a second a round.
@pytest.mark.timeout(300 + 10 * ROUNDS)
def test_crashes(new_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    print(f"CHANCERY_CRASH_SEED={SEED} CHANCERY_CRASH_ROUNDS={ROUNDS}")
    assert shutil.which("strace"), "strace is missing"
    daemon, record, chances, begun = new_daemon(), Record(), random.Random(SEED), time.monotonic()
    kills: Counter[str] = Counter()
    known = 0
    for number in range(ROUNDS):
        try:
            # A snapshot is only made of a log that has grown, so starts that are cut short alternate with load.
            if number % 2 and chances.random() < 0.8:
                how = kill_while_starting(daemon, chances)
                kills[f"start, {how}"] += 1
                kills["snapshot under way"] += bool(generating(daemon))
            daemon.start()
            assert not generating(daemon), "a half-written snapshot was left in sled's way"
            check_life(daemon, record, known)
            known = max(record.hashes, default=0)
            Load(daemon, record, number).run(chances)
            kills["load"] += 1
            if number % VERIFY_EVERY == 0:
                verify(daemon, record)
        except BaseException:
            print(f"round {number}; CHANCERY_CRASH_SEED={SEED}; the daemon logged:\n{daemon.log()}")
            raise
    daemon.start()
    check_life(daemon, record, 0)
    assert not record.under_way
    check_once(daemon, record)
    check_views(daemon)
    daemon.stop()
    verify(daemon, record)
    export = tmp_path / "after.chancery"
    chancery("export", "--data-dir", str(daemon.data_dir), "--out", str(export), check=True)
    verdict, by_seq = hashes(export)
    assert verdict["whole"], verdict["findings"]
    assert {seq: by_seq[seq] for seq in record.hashes} == record.hashes
    assert "rebuilding" not in daemon.log_file.read_text(errors="replace"), "a view did not resume from its cursor"
    print(f"{ROUNDS} rounds in {time.monotonic() - begun:.0f} s: {dict(kills)}; {record.acknowledged} commands and {len(by_seq)} events")
    assert kills["snapshot under way"] >= ROUNDS // 10, f"too few kills fell into a snapshot: {kills}"


def check_once(daemon: Daemon, record: Record) -> None:
    """Every command of the whole run happened, and happened once."""
    wanted = Counter(command["params"].get("intent") or command["params"]["name"] for sent in record.done for command in sent.commands)
    with daemon.admin() as client:
        found = Counter(mission["intent"] for mission in pages(client, "/v1/execution/missions", limit=500))
        found += Counter(agent["name"] for agent in pages(client, "/v1/identity/agents", limit=500) if agent["name"].startswith("r"))
    assert found == wanted, f"more or less often than sent: {(found - wanted) + (wanted - found)}"


def check_views(daemon: Daemon) -> None:
    """Views that came through all this are what the log makes of them."""
    with daemon.admin() as client:
        listed = get(client, "/v1/views")
        for view in listed["views"]:
            rebuilt = client.post(f"/v1/views/{view['view']}/rebuild").json()
            assert rebuilt["equal"] is True and rebuilt["cursor"] >= listed["events"], rebuilt
