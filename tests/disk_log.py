"""What a daemon did to its disk, as strace saw it, and the states in which a power cut could have left that disk.

A run is one or more traces, one after the other; a *moment* is a place in them. What a power cut leaves at a moment:

- Bytes and sizes of a file are there if an `fsync` or `fdatasync` of it that began after they were written had returned.
  `sync_file_range` makes nothing durable: neither the disk's cache nor the file's size is in it.
- Of what was written and not yet synced, anything may be there: any sectors of any write, and any size between.
- Names (made, moved, removed) happen in order: as far as the last whose directory was synced, and up to any one after it.

Sectors of 512 or 4,096 bytes are written whole or not at all, as disks do.
"""

from __future__ import annotations

import bisect
import os
import random
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from strace_log import Call, calls

# What changes files and names, makes them durable, moves a file's position, and answers clients. What is traced and not
# understood is an error when it meets the directory that is watched.
TRACED = (
    "open,openat,openat2,creat,close,dup,dup2,dup3,lseek,mmap,write,pwrite64,writev,pwritev,pwritev2,sendto,sendmsg,sendfile,"
    "copy_file_range,splice,fsync,fdatasync,sync,syncfs,sync_file_range,ftruncate,truncate,fallocate,rename,renameat,"
    "renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,link,linkat,symlink,symlinkat,fcntl"
)
# Longer than any write: sled wipes the rest of a segment of 8 MiB in one.
STRING_BYTES_MAX = 24 * 1024 * 1024
PAGE = 4096
NEVER = 1 << 62

HEX = re.compile(r"\\x([0-9a-f]{2})")
DESCRIPTOR = re.compile(r"^(\d+)<([^>]*)>")
RECORDED = re.compile(r'"seq":(\d+),"time":"[^"]*","kind":"[^"]*","hash":"([0-9a-f]{64})"')


def strace(trace: Path) -> list[str]:
    """The command before the daemon's that records a run. `-D`: the daemon stays our own child."""
    return ["strace", "-D", "-f", "-ttt", "-yy", "-xx", "-s", str(STRING_BYTES_MAX), "-o", str(trace), "-e", f"trace={TRACED}"]


@dataclass(eq=False)
class Inode:
    """A file or directory, whatever it is called."""

    number: int
    mode: int
    is_dir: bool = False
    changes: list[Change] = field(default_factory=list)
    syncs: list[tuple[int, int]] = field(default_factory=list)
    size: int = 0
    entries: dict[str, Inode] = field(default_factory=dict)


@dataclass(eq=False)
class Change:
    """A change of a file: bytes at a place, or else a size."""

    begun: int
    ended: int
    offset: int
    data: bytes | None
    durable: int = NEVER

    @property
    def end(self) -> int:
        return self.offset + len(self.data or b"")


@dataclass(eq=False)
class Naming:
    """A change of names: `apply` makes it in a tree of names, which maps each directory to what is in it."""

    begun: int
    ended: int
    within: Inode
    apply: Callable[[dict[Inode, dict[str, Inode]]], None]
    durable: int = NEVER


@dataclass
class Open:
    """An open file: threads of one process share it."""

    inode: Inode
    position: int = 0
    append: bool = False


def text(escaped: str) -> str:
    """A string as strace -xx writes it."""
    return raw(escaped).decode(errors="surrogateescape")


def raw(escaped: str) -> bytes:
    if escaped.count("\\x") * 4 == len(escaped):
        return bytes.fromhex(escaped.replace("\\x", ""))
    return HEX.sub(lambda found: chr(int(found[1], 16)), escaped).encode("latin-1")


def strings(arguments: str) -> list[str]:
    """The quoted strings among arguments."""
    return re.findall(r'"([^"]*)"', arguments)


class DiskLog:
    """Everything that traced daemons did below one directory, in order."""

    def __init__(self, root: Path, ignored: Iterable[Path] = ()):
        self.root_path = str(root.resolve())
        self.ignored = {str(path.resolve()) for path in ignored}
        self.inodes: list[Inode] = []
        self.root = self.inode(0o700, is_dir=True)
        self.names: list[Naming] = []
        # Position in the log, and the events that an answer begun there told of.
        self.answers: list[tuple[int, dict[int, str]]] = []
        # Moments worth a power cut, by what happens there.
        self.moments: dict[str, list[int]] = {}
        self.length = 0

    def inode(self, mode: int, is_dir: bool = False) -> Inode:
        self.inodes.append(Inode(len(self.inodes), mode, is_dir))
        return self.inodes[-1]

    # --- Reading traces

    def read(self, trace: Path) -> None:
        """Adds the next trace: of a process that began when those before had ended."""
        files: dict[int, Open] = {}
        sent: dict[str, str] = {}
        with trace.open(encoding="latin-1") as lines:
            # What was under way when the process was killed is taken not to have happened; `check` finds it out.
            made = calls(lines)
        base = self.length
        for call in made:
            call.begun += base
            call.ended += base
            self.length = max(self.length, call.ended + 2)
            self.add(call, files, sent)

    def add(self, call: Call, files: dict[int, Open], sent: dict[str, str]) -> None:
        if call.result.startswith("-"):
            return
        descriptor = DESCRIPTOR.match(call.arguments)
        number = int(descriptor[1]) if descriptor else -1
        name = call.name
        if name in ("open", "openat", "openat2", "creat"):
            self.open(call, files)
        elif name == "close":
            files.pop(number, None)
        elif name in ("write", "pwrite64", "writev", "pwritev", "pwritev2", "sendto", "sendmsg") and descriptor:
            if number in files:
                self.write(call, files[number])
            elif "TCP" in (shown := text(descriptor[2])):
                self.answer(call, shown, sent)
            else:
                assert not self.is_watched(shown), f"a write to a file nobody opened: {call.arguments[:200]}"
        elif name == "lseek" and number in files:
            files[number].position = int(call.result)
        elif name == "ftruncate" and number in files:
            self.resize(files[number].inode, int(call.arguments.rsplit(", ", 1)[1]), call)
        elif name in ("fsync", "fdatasync") and number in files:
            files[number].inode.syncs.append((call.begun, call.ended))
            path = text(descriptor[2]).removeprefix(self.root_path + "/") if descriptor else ""
            self.moment(f"sync {path.split('/')[1] if '/' in path else path}", call.begun, call.ended, call.ended + 1)
        elif name == "sync_file_range" and number in files:
            self.moment("sync_file_range", call.ended, call.ended + 1)
        elif name in ("rename", "renameat", "renameat2"):
            self.rename(call)
        elif name in ("unlink", "unlinkat", "rmdir"):
            self.remove(call)
        elif name in ("mkdir", "mkdirat"):
            path = text(strings(call.arguments)[-1])
            if self.is_watched(path):
                self.place(path, self.inode(int(call.arguments.rsplit(", ", 1)[1], 8) & ~0o22, is_dir=True), call)
        elif name == "mmap":
            assert not ("MAP_SHARED" in call.arguments and "PROT_WRITE" in call.arguments and "<" in call.arguments), call.arguments
        elif name == "fcntl":
            assert "F_DUPFD" not in call.arguments or number not in files, call.arguments
        elif number in files or any(self.is_watched(text(string)) for string in strings(call.arguments)):
            raise AssertionError(f"{name} is not understood: {call.arguments[:200]}")

    def is_watched(self, path: str) -> bool:
        return path.startswith(self.root_path + "/") and path not in self.ignored

    def find(self, path: str) -> Inode:
        """What a path below the directory names at the end of the run."""
        within, name = self.walk(f"{self.root_path}/{path}")
        return within.entries[name]

    def walk(self, path: str) -> tuple[Inode, str]:
        """The directory of a path, and the name in it."""
        *above, name = path.removeprefix(self.root_path + "/").split("/")
        at = self.root
        for part in above:
            at = self.root if part == "." else at.entries[part]
        return at, name

    def open(self, call: Call, files: dict[int, Open]) -> None:
        path = os.path.normpath(text(strings(call.arguments)[0]))
        number = int(call.result)
        files.pop(number, None)
        if path == self.root_path:
            files[number] = Open(self.root)
            return
        if not self.is_watched(path):
            return
        within, name = self.walk(path)
        inode = within.entries.get(name)
        if inode is None:
            assert "O_CREAT" in call.arguments, call.arguments
            inode = self.inode(int(call.arguments.rsplit(", ", 1)[1], 8) & ~0o22)
            self.place(path, inode, call)
        elif "O_TRUNC" in call.arguments and inode.size:
            self.resize(inode, 0, call)
        files[number] = Open(inode, append="O_APPEND" in call.arguments)

    def write(self, call: Call, file: Open) -> None:
        pieces = [raw(string) for string in strings(call.arguments)]
        assert '"...' not in call.arguments, "a write is longer than what is recorded of one"
        data = b"".join(pieces)[: int(call.result)]
        if call.name.startswith("pwrite"):
            offset = int(call.arguments.split(", ")[-1])
        else:
            offset = file.inode.size if file.append else file.position
            file.position = offset + len(data)
        file.inode.changes.append(Change(call.begun, call.ended, offset, data))
        file.inode.size = max(file.inode.size, offset + len(data))
        self.moment("write", call.begun, call.ended, call.ended + 1)

    def resize(self, inode: Inode, size: int, call: Call) -> None:
        inode.changes.append(Change(call.begun, call.ended, size, None))
        inode.size = size

    def place(self, path: str, inode: Inode, call: Call) -> None:
        within, name = self.walk(path)
        within.entries[name] = inode
        self.naming(call, within, lambda tree: tree.setdefault(within, {}).__setitem__(name, inode))

    def rename(self, call: Call) -> None:
        paths = [text(string) for string in strings(call.arguments)]
        if not any(self.is_watched(path) for path in paths):
            return
        (old_dir, old), (new_dir, new) = (self.walk(path) for path in paths)
        inode = old_dir.entries.pop(old)
        new_dir.entries[new] = inode

        def apply(tree: dict[Inode, dict[str, Inode]]) -> None:
            tree[old_dir].pop(old, None)
            tree.setdefault(new_dir, {})[new] = inode

        self.naming(call, new_dir, apply)

    def remove(self, call: Call) -> None:
        shown = re.match(r"^\d+<([^>]*)>, ", call.arguments)
        path = text(strings(call.arguments)[0])
        path = path if path.startswith("/") or not shown else f"{text(shown[1])}/{path}"
        if self.is_watched(path):
            within, name = self.walk(path)
            del within.entries[name]
            self.naming(call, within, lambda tree: tree.setdefault(within, {}).pop(name, None))

    def naming(self, call: Call, within: Inode, apply: Callable[[dict[Inode, dict[str, Inode]]], None]) -> None:
        self.names.append(Naming(call.begun, call.ended, within, apply))
        self.moment("name", call.begun, call.ended, call.ended + 1)

    def answer(self, call: Call, connection: str, sent: dict[str, str]) -> None:
        said = sent.get(connection, "") + "".join(raw(string).decode("latin-1") for string in strings(call.arguments))
        events, end = {}, 0
        for found in RECORDED.finditer(said):
            events[int(found[1])] = found[2]
            end = found.end()
        # A record may be cut in two by the end of a write; none is this long.
        sent[connection] = said[max(end, len(said) - 1000) :]
        if events:
            self.answers.append((call.begun, events))
            self.moment("answer", call.begun + 1)

    def moment(self, sort: str, *places: int) -> None:
        self.moments.setdefault(sort, []).extend(places)

    def check(self) -> None:
        """What the log says was done must be what the directory holds now, to the byte."""

        def same(inode: Inode, path: Path) -> None:
            if not inode.is_dir:
                content = Content()
                for change in inode.changes:
                    content.change(change)
                assert content.size == path.stat().st_size, f"{path} has {path.stat().st_size} bytes, not {content.size}"
                with path.open("rb") as file:
                    page = 0
                    while held := file.read(PAGE):
                        wanted = bytes(content.pages.get(page, bytes(PAGE)))[: len(held)]
                        assert held == wanted, f"{path} differs from what was recorded at byte {page * PAGE}"
                        page += 1
                return
            found = {name for name in os.listdir(path) if self.is_watched(f"{path}/{name}")}
            assert found == set(inode.entries), f"{path} holds {found}, not {set(inode.entries)}"
            for name, child in inode.entries.items():
                same(child, path / name)

        same(self.root, Path(self.root_path))

    # --- What is durable when

    def settle(self, without: Inode | None = None, since: int = 0) -> None:
        """Finds out when each change became durable. The syncs of `without` that began at a moment or later are taken for
        missing."""
        for inode in self.inodes:
            syncs = sorted(sync for sync in inode.syncs if inode is not without or sync[0] < since)
            begun = [begin for begin, _ in syncs]
            # By the sync, the earliest end among it and those that began later.
            ends = [end for _, end in syncs]
            for at in range(len(ends) - 2, -1, -1):
                ends[at] = min(ends[at], ends[at + 1])

            def durable(ended: int) -> int:
                at = bisect.bisect_right(begun, ended)
                return ends[at] if at < len(ends) else NEVER

            for change in inode.changes:
                change.durable = durable(change.ended)
            for naming in self.names:
                if naming.within is inode:
                    naming.durable = durable(naming.ended)

    def acknowledged(self, moment: int) -> dict[int, str]:
        """The events that answers begun before a moment told of."""
        return {seq: event for begun, events in self.answers if begun < moment for seq, event in events.items()}

    def tree(self, moment: int, keep: Callable[[int, int], int]) -> dict[Inode, dict[str, Inode]]:
        """Names at a moment. `keep` chooses how many changes are there, from as many as are durable to all."""
        done = [naming for naming in self.names if naming.begun < moment]
        durable = max((at + 1 for at, naming in enumerate(done) if naming.durable < moment), default=0)
        tree: dict[Inode, dict[str, Inode]] = {self.root: {}}
        for naming in done[: keep(durable, len(done))]:
            naming.apply(tree)
        return tree


class Content:
    """A file's bytes, by the page; what was never written is zero."""

    def __init__(self) -> None:
        self.size = 0
        self.pages: dict[int, bytes | bytearray] = {}

    def write(self, offset: int, data: bytes) -> None:
        at = 0
        while at < len(data):
            page, within = divmod(offset + at, PAGE)
            piece = data[at : at + PAGE - within]
            if len(piece) == PAGE:
                self.pages[page] = piece
            else:
                held = self.pages.get(page)
                if not isinstance(held, bytearray):
                    held = self.pages[page] = bytearray(held or PAGE)
                held[within : within + len(piece)] = piece
            at += len(piece)

    def change(self, change: Change) -> None:
        if change.data is None:
            self.size = change.offset
            self.cut()
        else:
            self.write(change.offset, change.data)
            self.size = max(self.size, change.end)

    def cut(self) -> None:
        """Forgets what lies behind the end."""
        last, within = divmod(self.size, PAGE)
        for page in [page for page in self.pages if page > last or (page == last and not within)]:
            del self.pages[page]
        if within and last in self.pages:
            self.pages[last] = bytearray(self.pages[last][:within].ljust(PAGE, b"\0"))

    def save(self, path: Path, mode: int) -> None:
        with open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode), "wb", buffering=0) as file:
            for page, data in self.pages.items():
                os.pwrite(file.fileno(), data, page * PAGE)
            os.ftruncate(file.fileno(), self.size)
            os.fchmod(file.fileno(), mode)


# What becomes of bytes that no sync covers.
STYLES = ("none", "all", "sectors", "sectors", "writes", "writes")


class Cut:
    """A power cut at a moment, and what it leaves, by these chances."""

    def __init__(self, log: DiskLog, moment: int, chances: random.Random, style: str | None = None):
        self.log, self.moment, self.chances = log, moment, chances
        self.style = style or chances.choice(STYLES)
        self.sector = chances.choice((512, 4096))
        self.share = chances.choice((0.05, 0.5, 0.95))
        self.unsynced = 0

    def __str__(self) -> str:
        return f"moment {self.moment} of {self.log.length}, {self.style}, sectors of {self.sector}, {self.share:.0%} kept, {self.unsynced} changes unsynced"

    def between(self, least: int, most: int) -> int:
        """How many of some changes, which happen in order, are there."""
        if self.style in ("none", "all") or self.chances.random() < 0.4:
            return least if self.style == "none" else most
        return self.chances.randint(least, most)

    def content(self, inode: Inode) -> Content:
        content, unsynced = Content(), []
        for change in inode.changes:
            if change.begun >= self.moment:
                break
            if change.durable >= self.moment:
                unsynced.append(change)
            else:
                content.change(change)
        self.unsynced += len(unsynced)
        sized = self.between(0, len(unsynced))
        since = [change.begun for change in unsynced]
        kept_until: dict[int, int] = {}
        for at, change in enumerate(unsynced):
            if change.data is None:
                if at < sized:
                    content.change(change)
                continue
            for offset, data in self.kept(change, kept_until, since):
                content.write(offset, data)
            if at < sized:
                content.size = max(content.size, change.end)
        content.cut()
        return content

    def kept(self, change: Change, kept_until: dict[int, int], since: list[int]) -> Iterator[tuple[int, bytes]]:
        """The parts of a write that are there."""
        assert change.data is not None
        is_under_way = change.ended >= self.moment
        if self.style == "none":
            return
        if self.style == "all" and not is_under_way:
            yield change.offset, change.data
            return
        if self.style == "writes":
            fate = self.chances.random()
            if fate > self.share / 2 + 0.5:
                return
            if fate < self.share / 2 and not is_under_way:
                yield change.offset, change.data
                return
        first, last = change.offset // self.sector, (change.end - 1) // self.sector
        for sector in range(first, last + 1):
            if self.style == "sectors":
                # A sector holds all that was written to it until it went to the disk, and nothing after.
                if sector not in kept_until:
                    fate = self.chances.random()
                    until = self.moment if fate < self.share else 0
                    kept_until[sector] = self.chances.choice(since) if 0.4 < fate < 0.6 else until
                is_kept = change.begun < kept_until[sector]
            else:
                is_kept = self.chances.random() < self.share
            if is_kept:
                begin = max(change.offset, sector * self.sector)
                end = min(change.end, (sector + 1) * self.sector)
                yield begin, change.data[begin - change.offset : end - change.offset]

    def save(self, path: Path) -> None:
        """Makes the state, as a directory."""
        tree = self.log.tree(self.moment, self.between)
        path.mkdir(mode=self.log.root.mode)

        def fill(inode: Inode, at: Path) -> None:
            for name, child in tree.get(inode, {}).items():
                if child.is_dir:
                    (at / name).mkdir()
                    (at / name).chmod(child.mode)
                    fill(child, at / name)
                else:
                    self.content(child).save(at / name, child.mode)

        fill(self.log.root, path)
