"""A witness of another make: the package `witness-log` behind an HTTP server on the loopback address."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

import witness_log


@dataclass
class Witness:
    """Cosigns what logs it was told of send it; `trouble` is what it answers instead, one status a request, before that."""

    home: Path
    name: str
    trouble: list[int] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    url: str = ""

    def __post_init__(self) -> None:
        self.home.mkdir(exist_ok=True)
        state = self.home / f"{self.name.replace('/', '-')}.json"
        if not state.exists():
            witness_log.WitnessService.create_state(str(state))
        seed = hashlib.sha256(self.name.encode()).digest()
        self.service = witness_log.WitnessService.new(self.name, seed, str(state))
        self.key = self.service.vkey()
        self._one_at_a_time = threading.Lock()

    def knows(self, origin: str, verifier_key: str) -> Witness:
        self.service.add_log(origin, verifier_key)
        return self

    def __enter__(self) -> Witness:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.url = f"http://127.0.0.1:{self._server.server_port}/of/{self.name}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, body: str) -> tuple[int, str, str]:
        """Status, media type and text."""
        with self._one_at_a_time:
            self.asked.append(body)
            if self.trouble:
                return self.trouble.pop(0), "text/plain", "not now\n"
            if path != f"/of/{self.name}/add-checkpoint":
                return 404, "text/plain", "nothing is here\n"
            return self.service.handle_add_checkpoint_http(body)


def _handler(witness: Witness) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0))).decode()
            status, kind, text = witness.answer(self.path, body)
            content = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
