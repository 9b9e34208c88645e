"""Reads what strace wrote, and says whether any success was answered before the log's bytes were known to be on the disk."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

# What can write the log's file, what makes it durable, and what can answer a client.
WRITES = ("write", "pwrite64", "pwritev", "pwritev2", "writev")
SYNCS = ("fdatasync", "fsync")
ANSWERS = ("write", "writev", "sendto", "sendmsg")
TRACED = ",".join(dict.fromkeys(WRITES + SYNCS + ANSWERS))

LINE = re.compile(r"^(?P<pid>\d+) +(?P<time>[\d.]+) (?P<rest>.*)$")
CALL = re.compile(r"^(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\w+)")
BEGUN = re.compile(r"^(?P<name>\w+)\((?P<arguments>.*?) ?<unfinished \.\.\.>$")
ENDED = re.compile(r"^<\.\.\. (?P<name>\w+) resumed>(?P<arguments>.*)\) += (?P<result>-?\w+)")
FILE = re.compile(r"^\d+<(?P<path>[^>]*)>")


@dataclass
class Call:
    """A system call; `begun` and `ended` are places in the trace, where an earlier place is an earlier moment."""

    name: str
    arguments: str
    begun: int
    ended: int
    result: str

    @property
    def path(self) -> str:
        """What its file descriptor is, as strace -yy shows it."""
        found = FILE.match(self.arguments)
        return found["path"] if found else ""


def calls(lines: Iterable[str]) -> list[Call]:
    """The calls of a trace, in the order in which they began. One that never ended is left out."""
    made: list[Call] = []
    begun: dict[str, Call] = {}
    for place, line in enumerate(lines):
        split = LINE.match(line.rstrip("\n"))
        if not split:
            continue
        pid, rest = split["pid"], split["rest"]
        if rest.endswith("<unfinished ...>") and (found := BEGUN.match(rest)):
            begun[pid] = Call(found["name"], found["arguments"], place, -1, "")
        elif found := ENDED.match(rest):
            call = begun.pop(pid, None)
            if call and call.name == found["name"]:
                call.arguments += found["arguments"]
                call.ended, call.result = place, found["result"]
                made.append(call)
        elif found := CALL.match(rest):
            made.append(Call(found["name"], found["arguments"], place, place, found["result"]))
    return sorted(made, key=lambda call: call.begun)


def successes(trace: list[Call]) -> list[Call]:
    """The calls that begin to answer a request with success."""
    return [
        call for call in trace if call.name in ANSWERS and call.path.startswith("TCP") and '"HTTP/1.1 200' in call.arguments
    ]


def faults(trace: list[Call], log: str) -> list[str]:
    """What speaks against durability, for one client that sends one command at a time. `log` is the path of sled's file.

    For each success: the log was written since the success before; and after the last of these writes had ended, a
    sync of that file began, which ended well before the answer began.
    """
    writes = [call for call in trace if call.name in WRITES and call.path == log]
    syncs = [call for call in trace if call.name in SYNCS and call.path == log and call.result == "0"]
    found = []
    before = -1
    for number, answer in enumerate(successes(trace)):
        own = [write for write in writes if before < write.begun < answer.begun]
        before = answer.begun
        if not own:
            found.append(f"answer {number}: nothing was written to the log for it")
            continue
        written = max(write.ended for write in own)
        if written > answer.begun:
            found.append(f"answer {number}: a write to the log was still going on")
        elif not any(written < sync.begun and sync.ended < answer.begun for sync in syncs):
            found.append(f"answer {number}: no sync of the log lies between its last write and the answer")
    return found
