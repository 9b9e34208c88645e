"""The dialect of a running daemon, and those who call it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import httpx

from daemon import Daemon

MOUNT = "/agentidp"
API = "/api/v1"
CORE = "agents:read agents:write tokens:read audit:read"
EVERYTHING = CORE + " admin:orgs webhooks:read webhooks:write openid"

_numbers = itertools.count(1)


def fresh(stem: str) -> str:
    """A name that no other test of the run has."""
    return f"{stem}{next(_numbers)}"


@dataclass
class Caller:
    """Somebody with a bearer; an empty one is not sent. All share their daemon's connections."""

    http: httpx.Client
    token: str = ""

    def ask(self, method: str, path: str, *, headers: dict[str, str] | None = None, **how: object) -> httpx.Response:
        """One exchange below the base path."""
        return self.root(method, API + path, headers=headers, **how)

    def root(self, method: str, path: str, *, headers: dict[str, str] | None = None, **how: object) -> httpx.Response:
        """One exchange with a path of the root."""
        bearer = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return self.http.request(method, path, headers=bearer | (headers or {}), **how)  # type: ignore[arg-type]

    def get(self, path: str, **query: object) -> httpx.Response:
        return self.ask("GET", path, params={name: value for name, value in query.items() if value is not None})

    def post(self, path: str, json: object = ..., **how: object) -> httpx.Response:
        return self.ask("POST", path, **({} if json is ... else {"json": json}), **how)  # type: ignore[arg-type]

    def form(self, path: str, **fields: str) -> httpx.Response:
        return self.ask("POST", path, data=fields)

    def patch(self, path: str, json: object = ..., **how: object) -> httpx.Response:
        return self.ask("PATCH", path, **({} if json is ... else {"json": json}), **how)  # type: ignore[arg-type]

    def delete(self, path: str) -> httpx.Response:
        return self.ask("DELETE", path)


@dataclass
class Agent:
    """An agent with a secret of its own, and what registration answered."""

    id: str
    secret: str
    credential_id: str
    registered: dict
    idp: Idp = field(repr=False)

    def login(self, scope: str = CORE) -> Caller:
        """A caller with a new token of this agent."""
        return self.idp.login(self.id, self.secret, scope)


class Idp:
    """The dialect of one daemon, with its first administrator."""

    def __init__(self, daemon: Daemon, admin_token: str | None = None):
        self.daemon = daemon
        self.root = daemon.url + MOUNT
        self.client_id: str = daemon.credentials["agentidp"]["client_id"]
        self.client_secret: str = daemon.credentials["agentidp"]["client_secret"]
        self.http = httpx.Client(base_url=self.root, timeout=60, headers={"User-Agent": "outside-tests/1"})
        self.nobody = Caller(self.http)
        known = Caller(self.http, admin_token) if admin_token is not None else None
        self.admin = known or self.login(self.client_id, self.client_secret, EVERYTHING)

    def request_token(self, **fields: str | None) -> httpx.Response:
        """Asks the token endpoint, with a form of these fields beside the grant type; `None` leaves one out."""
        form = {"grant_type": "client_credentials"} | fields
        return self.nobody.form("/token", **{name: value for name, value in form.items() if value is not None})

    def login(self, client_id: str, client_secret: str, scope: str = CORE) -> Caller:
        """A caller with a new token."""
        reply = self.request_token(client_id=client_id, client_secret=client_secret, scope=scope)
        assert reply.status_code == 200, f"{reply.status_code}: {reply.text}"
        return Caller(self.http, reply.json()["access_token"])

    def agent(self, by: Caller | None = None, **changes: object) -> Agent:
        """Registers an agent and gives it a secret."""
        by = by or self.admin
        agent = ok(by.post("/agents", agent_body(**changes)), 201)
        credential = ok(by.post(f"/agents/{agent['agentId']}/credentials", {}), 201)
        return Agent(agent["agentId"], credential["clientSecret"], credential["credentialId"], agent, self)

    def audit(self, by: Caller | None = None, **query: object) -> list[dict]:
        """Audit entries, newest first: all that match, page by page."""
        entries: list[dict] = []
        for number in itertools.count(1):
            page = ok((by or self.admin).get("/audit", page=number, limit=200, **query))
            entries += page["data"]
            if len(page["data"]) < 200:
                return entries
        raise AssertionError

    def close(self) -> None:
        self.http.close()


def agent_body(**changes: object) -> dict:
    """A registration that is accepted; `...` leaves a field out."""
    good = {
        "email": fresh("agent-") + "@outside.example",
        "agentType": "classifier",
        "version": "1.0.0",
        "capabilities": ["text-classification", "resume:read"],
        "owner": "platform-team",
        "deploymentEnv": "production",
    }
    return {name: value for name, value in (good | changes).items() if value is not ...}


def ok(reply: httpx.Response, status: int = 200) -> dict:
    """A success's JSON."""
    assert reply.status_code == status, f"{reply.request.method} {reply.request.url}: {reply.status_code}: {reply.text}"
    assert reply.headers["content-type"].startswith("application/json")
    return reply.json()


def gone(reply: httpx.Response) -> None:
    """A success with nothing in it."""
    assert reply.status_code == 204, f"{reply.status_code}: {reply.text}"
    assert reply.content == b""
