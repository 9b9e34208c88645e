"""What tests of the native API share."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator

import httpx

_numbers = itertools.count(1)


def fresh(stem: str) -> str:
    """A name that no other test of the run has."""
    return f"{stem}{next(_numbers)}"


def send(client: httpx.Client, command: str, params: dict | None = None, **headers: str) -> httpx.Response:
    """Sends a command; header names are written with underscores."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/v1/commands", json={"command": command, "params": params or {}}, headers=fields)


def submit(client: httpx.Client, command: str, params: dict | None = None, **headers: str) -> dict:
    """Sends a command that must be accepted, and gives its answer: `receipt` and `result`."""
    reply = send(client, command, params, **headers)
    assert reply.status_code == 200, f"{command}: {reply.status_code}: {reply.text}"
    return reply.json()


def batch(client: httpx.Client, lines: Iterable[dict | str], **headers: str) -> list[dict]:
    """Sends many commands as NDJSON, and gives the answer to each."""
    content = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    fields = {name.replace("_", "-"): value for name, value in headers.items()} | {"Content-Type": "application/x-ndjson"}
    reply = client.post("/v1/commands", content=content.encode(), headers=fields)
    assert reply.status_code == 200, reply.text
    return [json.loads(line) for line in reply.text.splitlines()]


def get(client: httpx.Client, path: str, **query: object) -> dict:
    """Reads what must be there."""
    reply = client.get(path, params={name: value for name, value in query.items() if value is not None})  # type: ignore[arg-type]
    assert reply.status_code == 200, f"{path}: {reply.status_code}: {reply.text}"
    return reply.json()


def pages(client: httpx.Client, path: str, **query: object) -> Iterator[dict]:
    """Every item of a list, page by page."""
    cursor = None
    while True:
        page = get(client, path, cursor=cursor, **query)
        yield from page["items"]
        cursor = page["next"]
        if cursor is None:
            return


def refused(reply: httpx.Response, status: int, code: str) -> dict:
    """A problem in the native shape (RFC 9457)."""
    assert reply.status_code == status, f"{reply.status_code}: {reply.text}"
    assert reply.headers["content-type"] == "application/problem+json"
    problem = reply.json()
    assert (problem["status"], problem["code"]) == (status, code), problem
    assert problem["title"] and problem["detail"] and problem["request_id"]
    return problem


def register(client: httpx.Client, **params: object) -> dict:
    """Registers an agent, and gives the answer."""
    return submit(client, "RegisterAgent", {"name": fresh("agent-")} | params)
