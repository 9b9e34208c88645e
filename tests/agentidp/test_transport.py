"""Unknown routes, other methods, and what holds for every answer. Contract sections 1 and 2."""

from __future__ import annotations

import pytest

from agentidp.contract import NOBODY, assert_error
from agentidp.idp import Caller, Idp, agent_body, ok


@pytest.mark.parametrize("path", ["/", "/agent", "/agents/", f"/agents/{NOBODY}/credentials/", "/audits", "/token/x", "//agents"])
def test_unknown_routes(admin: Caller, path: str) -> None:
    assert_error(admin.get(path), 404, "NOT_FOUND")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/agents"),
        ("DELETE", "/agents"),
        ("PUT", f"/agents/{NOBODY}"),
        ("POST", f"/agents/{NOBODY}"),
        ("PATCH", f"/agents/{NOBODY}/credentials"),
        ("GET", "/token"),
        ("GET", "/token/introspect"),
        ("GET", "/token/revoke"),
        ("DELETE", "/token"),
        ("POST", "/audit"),
        ("DELETE", "/audit"),
    ],
)
def test_other_methods(admin: Caller, method: str, path: str) -> None:
    reply = admin.ask(method, path)
    assert_error(reply, 405, "METHOD_NOT_ALLOWED")
    assert method not in reply.headers["allow"].replace(" ", "").split(",")


def test_paths_outside_the_base_path(admin: Caller) -> None:
    assert_error(admin.root("GET", "/agents"), 404, "NOT_FOUND")
    assert_error(admin.root("GET", "/v1/agents"), 404, "NOT_FOUND")


def test_a_body_that_is_too_large(idp: Idp, admin: Caller) -> None:
    reply = admin.post("/agents", agent_body(owner="x" * 3_000_000))
    assert_error(reply, (400, 413), "VALIDATION_ERROR")


def test_secrets_are_not_cached(idp: Idp, admin: Caller) -> None:
    made = admin.post(f"/agents/{idp.agent().id}/credentials", {})
    ok(made, 201)
    assert "no-store" in made.headers["cache-control"]


def test_refusals_tell_nothing_of_the_inside(admin: Caller) -> None:
    replies = [
        admin.ask("POST", "/agents", content=b"{", headers={"Content-Type": "application/json"}),
        admin.get(f"/agents/{NOBODY}"),
        admin.get("/audit", limit="x"),
        admin.get("/nothing"),
        Caller(admin.http, "x.y.z").get("/agents"),
    ]
    for reply in replies:
        message = reply.json()["message"]
        for inside in ("panicked", "src/", ".rs", "sled", "Error {", "0x", "/tmp", "/home"):
            assert inside not in message, message
