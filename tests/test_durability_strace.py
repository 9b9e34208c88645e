"""No success is answered before the sync that covers it has returned: seen from outside, by the kernel's own account."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from daemon import Daemon
from native import submit
from strace_log import SYNCS, TRACED, WRITES, Call, calls, faults, successes

COMMANDS = 25


@pytest.fixture
def traced(new_daemon: Callable[..., Daemon], tmp_path: Path) -> tuple[list[str], str]:
    """The trace of a daemon that was sent commands one by one, and the path of the log's file."""
    trace = tmp_path / "trace"
    # -D: the daemon stays our own child, and takes our signals itself.
    strace = ["strace", "-D", "-f", "-ttt", "-yy", "-s", "32", "-o", str(trace), "-e", f"trace={TRACED}"]
    daemon = new_daemon(wrap=strace).start()
    with daemon.admin() as client:
        begin = len(trace.read_text(errors="replace").splitlines())
        for number in range(COMMANDS):
            submit(client, "CreateOrganisation", {"slug": f"durable-{number}", "name": "Durable"})
    daemon.stop()
    deadline = time.monotonic() + 30
    while "+++ exited with 0 +++" not in trace.read_text(errors="replace")[-200:]:
        assert time.monotonic() < deadline, "strace did not end with the daemon"
        time.sleep(0.05)
    lines = trace.read_text(errors="replace").splitlines()[begin:]
    return lines, str((daemon.data_dir / "log" / "db").resolve())


def test_no_answer_before_its_sync(traced: tuple[list[str], str]) -> None:
    lines, log = traced
    trace = calls(lines)
    assert len(successes(trace)) == COMMANDS
    assert faults(trace, log) == []

    # The canaries: the same trace with something amiss must not pass, whatever it is.
    def without(names: tuple[str, ...]) -> list[Call]:
        return [call for call in trace if call.name not in names or call.path != log]

    assert len(faults(without(SYNCS), log)) == COMMANDS, "without any sync"
    assert len(faults(without(WRITES), log)) == COMMANDS, "without any write"

    first = successes(trace)[0]
    late = [replace(call, ended=first.begun + 1) if call.path == log and call.name in SYNCS else call for call in trace]
    assert any(fault.startswith("answer 0:") for fault in faults(late, log)), "with its sync still running"

    early = [replace(call, begun=-1) if call.path == log and call.name in SYNCS else call for call in trace]
    assert len(faults(early, log)) == COMMANDS, "with syncs that began before what they should cover"

    failed = [replace(call, result="-1") if call.name in SYNCS else call for call in trace]
    assert len(faults(failed, log)) == COMMANDS, "with syncs that failed"


LOG = "/d/log/db"
ANSWER = '7 1.0 sendto(9<TCP:[1->2]>, "HTTP/1.1 200 OK\\r\\n", 19, 0, NULL, 0) = 19'
WRITE = f'5 1.0 pwrite64(4</d/log/db>, "x", 1, 0) = 1'
SYNC = "5 1.0 fdatasync(6</d/log/db>) = 0"


@pytest.mark.parametrize(
    ("lines", "sound"),
    [
        ([WRITE, SYNC, ANSWER], True),
        ([WRITE, SYNC, ANSWER, WRITE, SYNC, ANSWER], True),
        ([SYNC, WRITE, ANSWER], False),
        ([WRITE, ANSWER, SYNC], False),
        ([WRITE, SYNC, WRITE, ANSWER], False),
        ([WRITE, SYNC, ANSWER, ANSWER], False),
        (["5 1.0 fdatasync(6</d/log/db> <unfinished ...>", WRITE.replace("5 ", "6 ", 1), "5 1.1 <... fdatasync resumed>) = 0", ANSWER], False),
        ([WRITE, "5 1.0 fdatasync(6</d/log/db> <unfinished ...>", ANSWER, "5 1.1 <... fdatasync resumed>) = 0"], False),
        ([WRITE, "5 1.0 fdatasync(6</d/log/db> <unfinished ...>", "5 1.1 <... fdatasync resumed>) = 0", ANSWER], True),
        ([WRITE, "5 1.0 fdatasync(6</d/views/x>) = 0", ANSWER], False),
        ([WRITE, "5 1.0 fdatasync(6</d/log/db>) = -1 EIO (Input/output error)", ANSWER], False),
        (['5 1.0 pwrite64(4</d/log/db>, "x", 1, 0 <unfinished ...>', SYNC.replace("5 ", "6 ", 1), ANSWER, "5 1.1 <... pwrite64 resumed>) = 1"], False),
    ],
)  # fmt: skip
def test_the_reading_of_traces(lines: list[str], sound: bool) -> None:
    assert (faults(calls(lines), LOG) == []) is sound
