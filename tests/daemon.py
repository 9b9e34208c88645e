"""A real daemon process: started on a free port of the loopback address, asked, stopped, killed, started again."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parent.parent
READY = "chanceryd ready "
# Generous: a debug build on a busy machine. A daemon that hangs is found all the same.
START_SECS = 60
STOP_SECS = 60


def binary(variable: str, name: str) -> str:
    """The program the environment names, or the one the last debug build left."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return os.environ.get(variable) or str(target / "debug" / name)


class Daemon:
    """One data directory and, while it runs, the process that serves it."""

    def __init__(self, home: Path, *options: str, env: dict[str, str] | None = None, wrap: list[str] | None = None):
        self.home = home
        self.data_dir = home / "data"
        self.bootstrap_file = home / "bootstrap.json"
        self.log_file = home / "chanceryd.log"
        self.options = options
        self.env = {key: value for key, value in os.environ.items() if not key.startswith("CHANCERY_")} | (env or {})
        self.wrap = wrap or []
        self.process: subprocess.Popen | None = None
        self.url = ""
        self.credentials: dict = {}

    def spawn(self) -> None:
        """Starts it and waits for nothing."""
        command = [
            *self.wrap,
            binary("CHANCERYD", "chanceryd"),
            "--data-dir", str(self.data_dir),
            "--listen", "127.0.0.1:0",
            "--bootstrap-file", str(self.bootstrap_file),
            *self.options,
        ]  # fmt: skip
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=self.env, cwd=self.home
            )

    def start(self) -> Daemon:
        """Starts it, and returns once it says that it is ready."""
        self.spawn()
        self.url = self._await_ready()
        if not self.credentials:
            self.credentials = json.loads(self.bootstrap_file.read_text())
        return self

    def _await_ready(self) -> str:
        assert self.process is not None and self.process.stdout is not None
        seen = b""
        deadline = time.monotonic() + START_SECS
        while time.monotonic() < deadline:
            if select.select([self.process.stdout], [], [], 0.2)[0]:
                piece = os.read(self.process.stdout.fileno(), 65536)
                seen += piece
                for line in seen.decode(errors="replace").splitlines(keepends=True):
                    if line.startswith(READY) and line.endswith("\n"):
                        return line[len(READY) :].strip()
                if not piece:
                    break
        self.kill()
        raise AssertionError(f"the daemon did not get ready; it printed {seen!r} and logged:\n{self.log()}")

    def log(self) -> str:
        """What it has logged so far, the end of it."""
        return self.log_file.read_text(errors="replace")[-20_000:] if self.log_file.exists() else ""

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Asks it to stop; it must drain and end with code 0."""
        if self.process is None:
            return
        process, self.process = self.process, None
        process.send_signal(how)
        try:
            code = process.wait(STOP_SECS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"the daemon did not stop; it logged:\n{self.log()}") from None
        assert code == 0, f"the daemon ended with {code}; it logged:\n{self.log()}"

    def kill(self) -> None:
        """Ends it as a power cut would, as far as the process goes."""
        if self.process is None:
            return
        process, self.process = self.process, None
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()

    def client(self, key: str | None = None, mount: str = "", **more: object) -> httpx.Client:
        """A client with that key; without one it sends none."""
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        return httpx.Client(base_url=self.url + mount, headers=headers, timeout=60, **more)  # type: ignore[arg-type]

    def admin(self) -> httpx.Client:
        """A native client with the first administrator's key."""
        return self.client(self.credentials["admin_key"])

    def orgkernel(self) -> httpx.Client:
        """A client of the OrgKernel dialect."""
        return self.client(self.credentials["orgkernel"]["token"], "/orgkernel")


def chancery(*arguments: str, check: bool = False, **how: object) -> subprocess.CompletedProcess:
    """Runs the operator's command."""
    return subprocess.run(
        [binary("CHANCERY", "chancery"), *arguments],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=check, **how,
    )  # fmt: skip
