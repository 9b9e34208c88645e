"""A webhook's receiver on the loopback address that fails, hangs, redirects and lies as it is told to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType

Answer = Callable[[BaseHTTPRequestHandler], None]


@dataclass
class Post:
    """What was posted."""

    path: str
    headers: dict[str, str]
    body: bytes


def status(code: int, body: bytes = b"", **headers: str) -> Answer:
    """An honest answer."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        if code != 204:
            handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def hang(until: threading.Event) -> Answer:
    """No answer until the event; then the connection ends."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        until.wait()
        handler.close_connection = True

    return answer


def break_off(handler: BaseHTTPRequestHandler) -> None:
    """Takes it, says so, and promises more than it gives."""
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"thank y")
    handler.close_connection = True


def babble(handler: BaseHTTPRequestHandler) -> None:
    """Something that is no HTTP."""
    handler.wfile.write(b"200 yes yes, all is well\r\n\r\n")
    handler.close_connection = True


@dataclass
class Receiver:
    """Keeps what is posted, by path, and answers with the next of the path's answers, or 204."""

    answers: dict[str, list[Answer]] = field(default_factory=dict)
    posts: list[Post] = field(default_factory=list)
    url: str = ""

    def __enter__(self) -> Receiver:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def at(self, path: str) -> list[Post]:
        """What was posted to a path."""
        return [post for post in list(self.posts) if post.path == path]


def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            answers = receiver.answers.get(self.path)
            answer = answers.pop(0) if answers else status(204)
            receiver.posts.append(Post(self.path, headers, body))
            answer(self)

        do_GET = do_POST = answer

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    return Handler
