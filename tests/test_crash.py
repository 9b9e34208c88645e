"""Killed in the middle of its work, again and again: what was acknowledged is there, unchanged, and the log verifies."""

from __future__ import annotations

import io
import json
import random
import threading
from collections.abc import Callable
from pathlib import Path

import httpx

import chancery_verify as cv
from daemon import Daemon, chancery
from native import batch, fresh, submit

ROUNDS = 20
WORKERS = 4


class Load:
    """Workers that send commands until the daemon is gone, and remember what was acknowledged."""

    def __init__(self, daemon: Daemon, kill_after: int):
        self.daemon = daemon
        self.kill_after = kill_after
        self.acknowledged: list[dict] = []
        self.lock = threading.Lock()
        self.enough = threading.Event()

    def acknowledge(self, receipt: dict) -> None:
        with self.lock:
            self.acknowledged += receipt["events"]
            if len(self.acknowledged) >= self.kill_after:
                self.enough.set()

    def work(self, worker: int) -> None:
        try:
            with self.daemon.admin() as client:
                while True:
                    if worker % 2:
                        self.acknowledge(submit(client, "OpenMission", {"intent": fresh("work ")})["receipt"])
                    else:
                        lines = [{"command": "OpenMission", "params": {"intent": fresh("work ")}} for _ in range(8)]
                        for answered in batch(client, lines):
                            assert answered["status"] == 200, answered
                            self.acknowledge(answered["receipt"])
        except (httpx.TransportError, json.JSONDecodeError):
            pass  # The daemon was killed.

    def run(self) -> list[dict]:
        workers = [threading.Thread(target=self.work, args=(worker,)) for worker in range(WORKERS)]
        for worker in workers:
            worker.start()
        assert self.enough.wait(120), f"the daemon acknowledged {len(self.acknowledged)} events and no more"
        self.daemon.kill()
        for worker in workers:
            worker.join()
        return self.acknowledged


def hashes(export: Path) -> tuple[dict, dict[int, str]]:
    """The verdict on an export, and each event's hash as recomputed from its header."""
    data = export.read_bytes()
    by_seq = {}
    for item in cv.read_export(io.BytesIO(data)):
        if isinstance(item, cv.EventFrame):
            by_seq[cv.parse_header(item.header).seq] = cv.header_hash(item.header).hex()
    return cv.verify(io.BytesIO(data)), by_seq


def test_twenty_crashes(new_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    daemon = new_daemon()
    chances = random.Random(20)
    acknowledged: dict[int, str] = {}
    for number in range(ROUNDS):
        daemon.start()
        for event in Load(daemon, chances.randint(1, 120)).run():
            assert event["seq"] not in acknowledged, f"round {number}: event {event['seq']} was given out twice"
            acknowledged[event["seq"]] = event["hash"]
        verdict = chancery("verify", "--data-dir", str(daemon.data_dir), "--json")
        assert verdict.returncode == 0, f"round {number}: {verdict.stdout}{verdict.stderr}"
        found = json.loads(verdict.stdout)
        assert found["whole"] is True
        assert found["events"] > max(acknowledged), f"round {number}: acknowledged events are missing"
    export = tmp_path / "after.chancery"
    chancery("export", "--data-dir", str(daemon.data_dir), "--out", str(export), check=True)
    verdict, by_seq = hashes(export)
    assert verdict["whole"], verdict["findings"]
    assert {seq: by_seq[seq] for seq in acknowledged} == acknowledged
    # And it still works.
    daemon.start()
    with daemon.admin() as client:
        submit(client, "OpenMission", {"intent": "after the last crash"})
    daemon.stop()
