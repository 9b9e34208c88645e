"""Malformed, oversized and slow requests: each gets a clear error, and nobody else notices."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import httpx
import pytest

from daemon import Daemon
from native import batch, fresh, get, refused, submit

# Short, so that the tests need not wait for what operators give half a minute.
TIMEOUT_SECS = 1
BODY_BYTES_MAX = 65_536
CONNECTIONS_MAX = 32


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    running = Daemon(
        tmp_path_factory.mktemp("limits"),
        "--header-timeout-secs", str(TIMEOUT_SECS),
        "--body-timeout-secs", str(TIMEOUT_SECS),
        "--body-bytes-max", str(BODY_BYTES_MAX),
        "--connections-max", str(CONNECTIONS_MAX),
        "--write-timeout-secs", str(TIMEOUT_SECS),
    ).start()  # fmt: skip
    yield running
    running.stop()


@pytest.fixture
def client(strict: Daemon) -> Iterator[httpx.Client]:
    """A client, for whom all must be well before and after."""
    with strict.admin() as client:
        before = submit(client, "OpenMission", {"intent": fresh("before ")})
        yield client
        after = submit(client, "OpenMission", {"intent": fresh("after ")})
        for answer in (before, after):
            for event in answer["receipt"]["events"]:
                assert get(client, f"/v1/events/{event['seq']}")["hash"] == event["hash"]


@contextmanager
def connection(daemon: Daemon) -> Iterator[socket.socket]:
    """A bare connection."""
    address = urlsplit(daemon.url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as made:
        yield made


def everything(made: socket.socket) -> bytes:
    """What the daemon says until it closes."""
    read = b""
    try:
        while piece := made.recv(65536):
            read += piece
    except ConnectionResetError:
        pass
    return read


def status(answer: bytes) -> int:
    """The status of a bare answer; 0 when the daemon only closed."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.") else 0


def key(daemon: Daemon) -> bytes:
    return daemon.credentials["admin_key"].encode()


@pytest.mark.parametrize(
    "request_text",
    [
        b"nonsense\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon here\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nBad Name: x\r\n\r\n",
        b"POST /v1/commands HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"POST /v1/commands HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/commands HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /v1/commands HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00" * 100,
        "GET /ä HTTP/1.1\r\nHost: x\r\n\r\n".encode("latin-1"),
    ],
    ids=range(12),
)
def test_what_is_no_http(strict: Daemon, client: httpx.Client, request_text: bytes) -> None:
    with connection(strict) as made:
        made.sendall(request_text)
        with suppress(OSError):  # The daemon may have closed by now.
            made.shutdown(socket.SHUT_WR)
        answer = everything(made)
        assert status(answer) in (0, 400, 401, 404, 408, 505), answer


def test_a_head_that_is_too_long(strict: Daemon, client: httpx.Client) -> None:
    for head in (
        b"GET /" + b"x" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
        b"GET /livez HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
    ):
        with connection(strict) as made:
            try:
                made.sendall(head)
            except (ConnectionResetError, BrokenPipeError):
                pass
            assert status(everything(made)) in (0, 400, 414, 431)


def test_a_query_that_is_too_long(client: httpx.Client) -> None:
    refused(client.get("/v1/identity/agents?" + "limit=1&" * 2000), 400, "parameter_invalid")


def test_a_body_that_is_too_long(strict: Daemon, client: httpx.Client) -> None:
    body = json.dumps({"command": "OpenMission", "params": {"intent": "x" * BODY_BYTES_MAX}})
    reply = client.post("/v1/commands", content=body, headers={"Content-Type": "application/json"})
    problem = refused(reply, 413, "body_too_large")
    assert problem["max_bytes"] == BODY_BYTES_MAX

    def pieces() -> Iterator[bytes]:
        for _ in range(64):
            yield b" " * 4096

    try:
        reply = client.post("/v1/commands", content=pieces(), headers={"Content-Type": "application/json"})
    except httpx.TransportError:
        pass
    else:
        refused(reply, 413, "body_too_large")
    # Announced and never sent: refused by its length alone.
    with connection(strict) as made:
        made.sendall(
            b"POST /v1/commands HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer "
            + key(strict)
            + b"\r\nContent-Length: 99999999999\r\n\r\n"
        )
        assert status(everything(made)) == 413


def test_a_batch_is_bounded_by_the_line(client: httpx.Client) -> None:
    """Its whole may be longer than a body may be."""
    lines = [{"command": "OpenMission", "params": {"intent": "x" * 3000}} for _ in range(60)]
    assert {answer["status"] for answer in batch(client, lines)} == {200}


def test_a_slow_head(strict: Daemon, client: httpx.Client) -> None:
    with connection(strict) as made:
        made.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n")
        begun = time.monotonic()
        answer = everything(made)
        assert status(answer) in (0, 408)
        assert time.monotonic() - begun < 25, "the daemon waited for what never came"


def test_a_slow_body(strict: Daemon, client: httpx.Client) -> None:
    with connection(strict) as made:
        made.sendall(
            b"POST /v1/commands HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer "
            + key(strict)
            + b'\r\nContent-Length: 100\r\n\r\n{"comm'
        )
        answer = everything(made)
        assert status(answer) == 408
        assert b"body_too_slow" in answer


def test_a_body_that_drips(strict: Daemon, client: httpx.Client) -> None:
    """One byte at a time, each well in time, and the whole far too long in coming."""
    with connection(strict) as made:
        made.settimeout(0.2)
        made.sendall(
            b"POST /v1/commands HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer "
            + key(strict)
            + b"\r\nContent-Length: 1000\r\n\r\n"
        )
        answer = b""
        for _ in range(100):
            try:
                made.sendall(b" ")
                answer += made.recv(65536)
                break
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                break
        else:
            pytest.fail("the daemon took a body for 20 seconds")
        assert status(answer) in (0, 408)


def test_a_body_that_breaks_off(strict: Daemon, client: httpx.Client) -> None:
    before = get(client, "/v1/events", order="descending", limit=1)["items"][0]["seq"]
    body = b'{"command":"OpenMission","params":{}}'
    with connection(strict) as made:
        made.sendall(
            b"POST /v1/commands HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer "
            + key(strict)
            + f"\r\nContent-Length: {len(body) + 1}\r\n\r\n".encode()
            + body
        )
    assert get(client, "/v1/events", order="descending", limit=1)["items"][0]["seq"] == before


def test_a_batch_that_breaks_off_keeps_its_whole_lines(strict: Daemon, client: httpx.Client) -> None:
    """What was handed in before the line went dead is decided as ever; the half line is not."""
    line = json.dumps({"command": "OpenMission", "params": {"intent": fresh("half ")}}).encode() + b"\n"
    with connection(strict) as made:
        made.sendall(
            b"POST /v1/commands HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nAuthorization: Bearer "
            + key(strict)
            + f"\r\nContent-Length: {len(line) * 2}\r\n\r\n".encode()
            + line
            + line[:20]
        )
        answer = everything(made)
    assert status(answer) == 200
    assert b'"status":200' in answer and b"body_too_slow" in answer


def test_too_many_connections(strict: Daemon, client: httpx.Client) -> None:
    held: list[socket.socket] = []
    address = urlsplit(strict.url)
    try:
        refusals = 0
        for _ in range(CONNECTIONS_MAX * 2):
            made = socket.create_connection((address.hostname, address.port), timeout=30)
            held.append(made)
            made.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            try:
                answer = made.recv(4096)
            except ConnectionResetError:
                answer = b""
            refusals += status(answer) != 200
        assert refusals >= CONNECTIONS_MAX - 4, "connections are bounded"
    finally:
        for made in held:
            made.close()


def test_a_reader_that_never_reads(strict: Daemon, client: httpx.Client) -> None:
    """A live stream whose client sleeps holds nothing up."""
    with connection(strict) as sleeper:
        sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sleeper.sendall(b"GET /v1/events/stream?from=0 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + key(strict) + b"\r\n\r\n")
        for _ in range(5):
            lines = [{"command": "OpenMission", "params": {"intent": "x" * 500}} for _ in range(100)]
            assert {answer["status"] for answer in batch(client, lines)} == {200}


def connections(client: httpx.Client) -> int:
    """How many connections the daemon has, this client's among them."""
    lines = client.get("/metrics").text.splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("chancery_connections ")))


def test_a_reader_that_stops_in_the_middle(strict: Daemon, client: httpx.Client) -> None:
    """Who takes nothing of the answers for too long is cut off, and holds nothing any more."""
    # Asked for so often that the sockets between the two, which hold some four megabytes, cannot take it all.
    answer = client.get("/openapi.json")
    assert answer.status_code == 200
    times = 16_000_000 // len(answer.content)
    before = connections(client)
    with connection(strict) as made:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + key(strict) + b"\r\n\r\n"
        made.sendall(request * times)
        assert made.recv(1000).startswith(b"HTTP/1.1 200")
        deadline = time.monotonic() + 60
        while connections(client) > before:
            assert time.monotonic() < deadline, "the daemon waits for a reader that does not read"
            time.sleep(0.05)
