"""Who may ask what: bearers, the scope of each row, and the order of checks. Contract sections 1, 3 and 11."""

from __future__ import annotations

import httpx
import pytest

from agentidp.contract import NOBODY, assert_error
from agentidp.idp import CORE, EVERYTHING, Agent, Caller, Idp, ok
from agentidp.jwts import forged

# Method, path and what the contract asks for; one of several, where it accepts either.
SCOPED = [
    ("POST", "/agents", ["agents:write"]),
    ("GET", "/agents", ["agents:read"]),
    ("GET", f"/agents/{NOBODY}", ["agents:read"]),
    ("PATCH", f"/agents/{NOBODY}", ["agents:write"]),
    ("DELETE", f"/agents/{NOBODY}", ["agents:write"]),
    ("POST", f"/agents/{NOBODY}/credentials", ["agents:write"]),
    ("GET", f"/agents/{NOBODY}/credentials", ["agents:read"]),
    ("POST", f"/agents/{NOBODY}/credentials/{NOBODY}/rotate", ["agents:write"]),
    ("DELETE", f"/agents/{NOBODY}/credentials/{NOBODY}", ["agents:write"]),
    ("POST", "/token/introspect", ["tokens:read"]),
    ("POST", "/token/revoke", ["tokens:read"]),
    ("GET", "/audit", ["audit:read"]),
    ("GET", f"/audit/{NOBODY}", ["audit:read"]),
    ("GET", "/audit/verify", ["audit:read"]),
    ("POST", "/organizations", ["admin:orgs"]),
    ("GET", "/organizations", ["admin:orgs"]),
    ("GET", f"/organizations/{NOBODY}", ["admin:orgs"]),
    ("PATCH", f"/organizations/{NOBODY}", ["admin:orgs"]),
    ("DELETE", f"/organizations/{NOBODY}", ["admin:orgs"]),
    ("POST", f"/organizations/{NOBODY}/members", ["admin:orgs"]),
    ("POST", "/webhooks", ["webhooks:write", "agents:write"]),
    ("GET", "/webhooks", ["webhooks:read", "agents:read"]),
    ("GET", f"/webhooks/{NOBODY}", ["webhooks:read", "agents:read"]),
    ("PATCH", f"/webhooks/{NOBODY}", ["webhooks:write", "agents:write"]),
    ("DELETE", f"/webhooks/{NOBODY}", ["webhooks:write", "agents:write"]),
    ("GET", f"/webhooks/{NOBODY}/deliveries", ["webhooks:read", "agents:read"]),
    ("POST", "/federation/trust", ["admin:orgs"]),
    ("GET", "/federation/partners", ["admin:orgs"]),
    ("GET", f"/federation/partners/{NOBODY}", ["admin:orgs"]),
    ("PATCH", f"/federation/partners/{NOBODY}", ["admin:orgs"]),
    ("DELETE", f"/federation/partners/{NOBODY}", ["admin:orgs"]),
    ("GET", f"/agents/{NOBODY}/did/resolve", ["agents:read"]),
    ("POST", "/oidc/trust-policies", ["agents:write"]),
]
BEARER = [
    ("GET", "/analytics/tokens"),
    ("GET", "/analytics/agents/activity"),
    ("GET", "/analytics/agents"),
    ("GET", "/tiers/status"),
    ("POST", "/tiers/upgrade"),
    ("GET", "/compliance/report"),
    ("GET", "/compliance/agent-cards"),
    ("POST", "/federation/verify"),
    ("GET", "/oidc/trust-policies"),
    ("DELETE", f"/oidc/trust-policies/{NOBODY}"),
    ("POST", "/oauth2/token/delegate"),
    ("POST", "/oauth2/token/verify-delegation"),
    ("DELETE", f"/oauth2/token/delegate/{NOBODY}"),
]
PUBLIC = [
    ("GET", "/compliance/controls"),
    ("GET", "/marketplace/agents"),
]
NO_JSON: dict = {"content": b"{", "headers": {"Content-Type": "application/json"}}


def ask(caller: Caller, method: str, path: str) -> httpx.Response:
    """A request whose body is no body: it must not be looked at before the caller is."""
    return caller.ask(method, path, **(NO_JSON if method in ("POST", "PATCH") else {}))


@pytest.fixture(scope="module")
def one(idp: Idp) -> Agent:
    return idp.agent()


@pytest.fixture(scope="module")
def callers(idp: Idp, one: Agent) -> dict[str, Caller]:
    """A caller for each scope, with that scope alone."""
    core = {scope: one.login(scope) for scope in CORE.split(" ")}
    more = {scope: idp.login(idp.client_id, idp.client_secret, scope) for scope in EVERYTHING.split(" ") if scope not in core}
    return core | more


@pytest.mark.parametrize(("method", "path", "needed"), SCOPED, ids=lambda each: str(each))
def test_the_scope_of_each_row(callers: dict[str, Caller], method: str, path: str, needed: list[str]) -> None:
    for scope, caller in callers.items():
        reply = ask(caller, method, path)
        if needed[0] == scope:
            assert reply.status_code not in (401, 403, 405, 500), f"{scope}: {reply.text}"
        elif scope not in needed and not (scope == "webhooks:write" and "webhooks:read" in needed):
            assert_error(reply, 403, "FORBIDDEN", "INSUFFICIENT_SCOPE")


@pytest.mark.parametrize(("method", "path"), BEARER + [row[:2] for row in SCOPED])
def test_every_other_row_needs_a_bearer(idp: Idp, method: str, path: str) -> None:
    reply = ask(idp.nobody, method, path)
    if path in ("/token/introspect", "/token/revoke"):
        assert reply.status_code in (400, 401, 415)
        return
    assert_error(reply, 401, "UNAUTHORIZED")
    assert reply.headers["www-authenticate"].startswith("Bearer")
    assert_error(ask(Caller(idp.http, "not-a-token"), method, path), 401, "UNAUTHORIZED")


@pytest.mark.parametrize(("method", "path"), BEARER)
def test_any_bearer_will_do(callers: dict[str, Caller], method: str, path: str) -> None:
    reply = ask(callers["agents:write"], method, path)
    assert reply.status_code not in (401, 405, 500), reply.text
    if reply.status_code == 403:
        assert reply.json()["code"] != "INSUFFICIENT_SCOPE" and "scope" not in reply.json()["message"]


@pytest.mark.parametrize(("method", "path"), PUBLIC)
def test_public_rows_need_nobody(idp: Idp, method: str, path: str) -> None:
    ok(ask(idp.nobody, method, path))
    ok(ask(Caller(idp.http, "not-a-token"), method, path))


def test_bearers_that_are_none(idp: Idp, one: Agent) -> None:
    token = one.login("agents:read").token
    for how, text in forged(token).items():
        assert_error(Caller(idp.http, text).get("/agents"), 401, "UNAUTHORIZED"), how
    fields = ["", "Bearer", "Basic " + token, token, f"Bearer {token} {token}", f"Token {token}"]
    for value in fields:
        assert_error(idp.nobody.ask("GET", "/agents", headers={"Authorization": value}), 401, "UNAUTHORIZED")
    for secret in (one.secret, one.id, "sk_live_" + "0" * 64):
        assert_error(Caller(idp.http, secret).get("/agents"), 401, "UNAUTHORIZED")
    ok(Caller(idp.http, token).get("/agents", limit=1))
    # The scheme's case has no meaning (RFC 9110 section 11.1).
    ok(idp.nobody.ask("GET", "/agents", headers={"Authorization": f"bearer {token}"}))


def test_an_access_token_opens_no_other_mount(idp: Idp, admin: Caller) -> None:
    for path in ("/orgkernel/identity/org/x", "/orgkernel/ca"):
        assert admin.http.get(idp.daemon.url + path, headers={"Authorization": f"Bearer {admin.token}"}).status_code == 401


def test_a_key_of_another_dialect_opens_nothing_here(idp: Idp) -> None:
    key = idp.daemon.credentials["orgkernel"]["token"]
    assert_error(Caller(idp.http, key).get("/agents"), 401, "UNAUTHORIZED")


def test_scope_before_validation_before_existence(idp: Idp, one: Agent) -> None:
    reader, writer = one.login("agents:read"), one.login("agents:write")
    path = f"/agents/{NOBODY}"
    assert_error(reader.patch(path, {"version": "x"}), 403, "FORBIDDEN", "INSUFFICIENT_SCOPE")
    assert_error(writer.patch(path, {"version": "x"}), 400, "VALIDATION_ERROR", field="version")
    assert_error(writer.patch(path, {"version": "1.0.0"}), 404, "AGENT_NOT_FOUND")
    auditor = one.login("audit:read")
    assert_error(auditor.get("/audit", limit=0), 400, "VALIDATION_ERROR", field="limit")
    assert_error(reader.get("/audit", limit=0), 403, "FORBIDDEN", "INSUFFICIENT_SCOPE")
