"""How much a tenant of the free tier may have and ask, and what says so. Contract section 10."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
import pytest

from agentidp.contract import assert_error, assert_oauth_error
from agentidp.idp import Caller, Idp, agent_body, gone, ok
from agentidp.tenants import Tenant, another
from daemon import Daemon
from native import batch, submit


@pytest.fixture
def free(idp: Idp) -> Tenant:
    return another(idp, tier="free")


def test_requests_of_one_client(idp: Idp, free: Tenant) -> None:
    other = ok(free.caller.post("/agents", agent_body()), 201)["agentId"]
    other_secret = ok(free.caller.post(f"/agents/{other}/credentials", {}), 201)["clientSecret"]
    calm = idp.login(other, other_secret)
    begun = time.time()
    reply = free.caller.get("/agents", limit=1)
    left = int(reply.headers["x-ratelimit-remaining"])
    assert int(reply.headers["x-ratelimit-limit"]) == 100 and 90 <= left < 100
    for expected in range(left - 1, -1, -1):
        reply = free.caller.get("/agents", limit=1)
        assert (reply.status_code, int(reply.headers["x-ratelimit-remaining"])) == (200, expected)
    assert begun - 1 <= int(reply.headers["x-ratelimit-reset"]) <= time.time() + 122
    for method, path in (("GET", "/agents"), ("POST", "/agents"), ("GET", "/audit")):
        reply = free.caller.ask(method, path)
        assert_error(reply, 429, "RATE_LIMIT_EXCEEDED")
        assert 1 <= int(reply.headers["retry-after"]) <= 60
        assert reply.headers["x-ratelimit-remaining"] == "0"
    reply = calm.get("/agents", limit=1)
    assert reply.status_code == 200 and int(reply.headers["x-ratelimit-remaining"]) > 90, "another client is not held up"


def test_nobody_uses_up_what_is_another_s(idp: Idp, free: Tenant) -> None:
    for _ in range(120):
        assert Caller(idp.http, "x.y.z").get("/agents").status_code == 401
    assert free.caller.get("/agents", limit=1).status_code == 200
    login = idp.request_token(client_id=free.agent, client_secret=free.secret)
    assert login.status_code == 200, login.text


def test_verifications(free: Tenant) -> None:
    replies = [free.caller.get("/audit/verify") for _ in range(32)]
    assert [reply.status_code for reply in replies] == [200] * 30 + [429] * 2
    assert_error(replies[-1], 429, "RATE_LIMIT_EXCEEDED")
    assert int(replies[-1].headers["retry-after"]) >= 1
    ok(free.caller.get("/agents", limit=1))


def test_agents_of_the_free_tier(idp: Idp) -> None:
    free = another(idp, tier="free")
    with idp.daemon.client(free.key) as native:
        lines = [{"command": "RegisterAgent", "params": {"name": f"one of many {number}"}} for number in range(98)]
        assert {answer["status"] for answer in batch(native, lines)} == {200}
    last = ok(free.caller.post("/agents", agent_body()), 201)
    refused = assert_error(free.caller.post("/agents", agent_body()), 403, "FREE_TIER_LIMIT_EXCEEDED")
    assert refused["details"]["limit"] == 100
    gone(free.caller.delete(f"/agents/{last['agentId']}"))
    ok(free.caller.post("/agents", agent_body()), 201)
    assert_error(free.caller.post("/agents", agent_body()), 403, "FREE_TIER_LIMIT_EXCEEDED")


def test_a_limit_of_a_tenant_s_own(idp: Idp) -> None:
    free = another(idp, tier="free", limits={"agents": 2, "tokens_per_month": 4})
    ok(free.caller.post("/agents", agent_body()), 201)
    refused = assert_error(free.caller.post("/agents", agent_body()), 403, "FREE_TIER_LIMIT_EXCEEDED")
    assert refused["details"]["limit"] == 2
    for _ in range(3):
        idp.login(free.agent, free.secret)
    refused = assert_oauth_error(idp.request_token(client_id=free.agent, client_secret=free.secret), 403, "unauthorized_client")
    assert "quota" in refused["error_description"] or "month" in refused["error_description"]


def test_limits_can_be_switched_off_and_others_made(new_daemon: Callable[..., Daemon]) -> None:
    daemon = new_daemon("--rate-limit-tiers", "enterprise", "--rate-limit-max-requests", "3", "--rate-limit-window-ms", "400").start()
    idp = Idp(daemon)

    def until_refused() -> httpx.Response:
        for _ in range(1000):
            reply = idp.admin.get("/agents", limit=1)
            if reply.status_code != 200:
                return reply
        raise AssertionError("never")

    reply = until_refused()
    assert_error(reply, 429, "RATE_LIMIT_EXCEEDED")
    deadline = time.monotonic() + 30
    while idp.admin.get("/agents", limit=1).status_code == 429:
        assert time.monotonic() < deadline, "the window slides"
        time.sleep(0.02)
    free = another(idp, tier="free")
    for _ in range(110):
        ok(free.caller.get("/agents", limit=1))
    with daemon.admin() as native:
        for _ in range(5):
            submit(native, "OpenMission")
    idp.close()
    daemon.stop()
