"""Contract, section 1: who gets in, how refusals look, how lists page."""

from __future__ import annotations

import httpx
import pytest

from daemon import Daemon
from orgkernel.contract import (
    PAGE_FIELDS,
    UNKNOWN_AGENT,
    UNKNOWN_CHAIN,
    UNKNOWN_TOKEN,
    assert_error,
    csr,
    fresh,
    issue,
    later,
    mint,
    mint_body,
    ok,
)

ROUTES = [
    ("POST", "/identity/csr/submit"),
    ("POST", "/identity/issue"),
    ("POST", "/identity/"),
    ("GET", f"/identity/{UNKNOWN_AGENT}"),
    ("GET", f"/identity/{UNKNOWN_AGENT}/certificate"),
    ("POST", "/identity/verify"),
    ("POST", "/identity/challenge/request"),
    ("POST", "/identity/challenge/verify"),
    ("POST", f"/identity/{UNKNOWN_AGENT}/suspend"),
    ("POST", f"/identity/{UNKNOWN_AGENT}/reactivate"),
    ("POST", f"/identity/{UNKNOWN_AGENT}/revoke"),
    ("GET", "/identity/org/contract-corp"),
    ("GET", "/identity/org/contract-corp/page"),
    ("POST", "/token/mint"),
    ("GET", f"/token/{UNKNOWN_TOKEN}"),
    ("POST", "/token/scope/check"),
    ("POST", f"/token/{UNKNOWN_TOKEN}/use"),
    ("POST", f"/token/{UNKNOWN_TOKEN}/invalidate"),
    ("GET", "/token/mission/msn_contract0/active"),
    ("GET", "/token/mission/msn_contract0/page"),
    ("GET", f"/token/agent/{UNKNOWN_AGENT}/page"),
    ("POST", "/audit/initialize"),
    ("POST", f"/audit/{UNKNOWN_CHAIN}/append"),
    ("POST", f"/audit/{UNKNOWN_CHAIN}/close"),
    ("GET", "/audit/mission/msn_contract0"),
    ("GET", f"/audit/{UNKNOWN_CHAIN}"),
    ("GET", f"/audit/{UNKNOWN_CHAIN}/verify"),
    ("GET", f"/audit/agent/{UNKNOWN_AGENT}/page"),
    ("GET", "/ca"),
    ("GET", "/token/mission/msn_contract0"),
    ("GET", f"/token/agent/{UNKNOWN_AGENT}"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_no_route_without_a_bearer(daemon: Daemon, method: str, path: str) -> None:
    with daemon.client(mount="/orgkernel") as nobody:
        assert_error(nobody.request(method, path), 401)
        assert_error(nobody.request(method, path, headers={"Authorization": "Bearer wrong"}), 401)
        token = daemon.credentials["orgkernel"]["token"]
        assert_error(nobody.request(method, path, headers={"Authorization": f"Basic {token}"}), 401)


def test_unknown_routes_and_methods(kernel: httpx.Client) -> None:
    for path in ("/nothing", "/identity/a/b/c", "/token", "/audit"):
        reply = kernel.get(path)
        assert reply.status_code == 404
        assert reply.json() == {"detail": "Not Found"}
    for method, path in (("DELETE", "/identity/issue"), ("PUT", "/token/mint"), ("GET", "/audit/ac_x/append"), ("POST", "/ca")):
        assert_error(kernel.request(method, path), 405)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"nonsense", b'{"agent_name": "a",}', b"\xff\xfe", b'{"agent_name": "\\ud800"}', b"[]", b'"text"', b"null", b"[" * 5000],
    ids=repr,
)
@pytest.mark.parametrize("path", ["/identity/issue", "/token/mint", "/audit/initialize", "/identity/verify"])
def test_malformed_bodies(kernel: httpx.Client, path: str, content: bytes) -> None:
    reply = kernel.post(path, content=content, headers={"Content-Type": "application/json"})
    assert_error(reply, 422)
    assert reply.json()["detail"][0]["loc"][0] == "body"


def test_what_is_wrong_is_located(kernel: httpx.Client) -> None:
    reply = kernel.post("/identity/issue", json=csr(org_id="Not An Org"))
    assert_error(reply, 422)
    assert [each["loc"] for each in reply.json()["detail"]] == [["body", "org_id"]]
    reply = kernel.get("/identity/org/contract-corp/page", params={"page_no": "0"})
    assert_error(reply, 422)
    assert reply.json()["detail"][0]["loc"] == ["query", "page_no"]


def test_unknown_fields_are_ignored_and_the_last_of_two_keys_wins(kernel: httpx.Client) -> None:
    assert kernel.post("/identity/issue", json=csr(shoe_size=44)).status_code == 200
    name, org = fresh("twice-"), "contract-corp"
    content = (
        f'{{"agent_name": "Not A Name", "org_id": "{org}", "requested_ou": "x", "purpose": "y", '
        f'"public_key": "{"A" * 43}", "agent_name": "{name}"}}'
    )
    reply = kernel.post("/identity/issue", content=content, headers={"Content-Type": "application/json"})
    assert ok(reply)["identity"]["agent_name"] == name  # type: ignore[index]


@pytest.mark.parametrize("expires_at", ["2099-01-02T03:04:05", "2099-01-02", "tomorrow", "", "2099-13-02T03:04:05Z", 5, True])
def test_times_in_need_an_offset(kernel: httpx.Client, expires_at: object) -> None:
    assert_error(kernel.post("/token/mint", json=mint_body(UNKNOWN_AGENT, expires_at=expires_at)), 422)


def test_times_in_take_any_offset_and_are_cut_to_microseconds(kernel: httpx.Client) -> None:
    agent = issue(kernel)
    token = mint(kernel, agent, expires_at="2099-06-01T05:04:05.123456789+02:00")
    assert token["expires_at"].startswith("2099-06-01T03:04:05.123456")
    token = mint(kernel, agent, expires_at="2099-06-01T05:04:05-05:30")
    assert token["expires_at"].startswith("2099-06-01T10:34:05")


@pytest.mark.parametrize("query", ["page_no=0", "page_no=-1", "page_no=x", "page_size=0", "page_size=101", "page_size=1.5"])
@pytest.mark.parametrize(
    "path",
    [
        "/identity/org/contract-corp/page",
        "/token/mission/msn_contract0/page",
        f"/token/agent/{UNKNOWN_AGENT}/page",
        f"/audit/agent/{UNKNOWN_AGENT}/page",
    ],
)
def test_pages_have_bounds(kernel: httpx.Client, path: str, query: str) -> None:
    assert_error(kernel.get(f"{path}?{query}"), 422)


@pytest.mark.parametrize(
    "path",
    [
        "/identity/org/nobodys-corp/page",
        "/token/mission/msn_contract0/page",
        f"/token/agent/{UNKNOWN_AGENT}/page",
        f"/audit/agent/{UNKNOWN_AGENT[:-1]}y/page",
    ],
)
def test_a_page_of_nothing(kernel: httpx.Client, path: str) -> None:
    assert ok(kernel.get(path)) == {"page_no": 1, "page_size": 20, "total": 0, "has_next": False, "items": []}


def test_paging_walks_everything_once_newest_first(kernel: httpx.Client) -> None:
    agent = issue(kernel)
    mission = fresh("msn_paging")
    minted = [mint(kernel, agent, mission_id=mission)["token_id"] for _ in range(7)]
    newest_first = minted[::-1]
    for path in (f"/token/mission/{mission}/page", f"/token/agent/{agent.id}/page"):
        seen = []
        for number in (1, 2, 3):
            page = ok(kernel.get(path, params={"page_no": number, "page_size": 3}))
            assert set(page) == PAGE_FIELDS  # type: ignore[call-overload]
            assert (page["page_no"], page["page_size"], page["total"]) == (number, 3, 7)  # type: ignore[index]
            assert page["has_next"] is (number < 3)  # type: ignore[index]
            seen += [item["token_id"] for item in page["items"]]  # type: ignore[index]
        assert seen == newest_first
        past = ok(kernel.get(path, params={"page_no": 4, "page_size": 3}))
        assert past == {"page_no": 4, "page_size": 3, "total": 7, "has_next": False, "items": []}
        # The exact end: a full last page has no next.
        whole = ok(kernel.get(path, params={"page_no": 1, "page_size": 7}))
        assert whole["has_next"] is False  # type: ignore[index]
        far = ok(kernel.get(path, params={"page_no": 10**9, "page_size": 100}))
        assert far["items"] == [] and far["total"] == 7  # type: ignore[index]


def test_a_client_may_send_ids_that_are_none(kernel: httpx.Client) -> None:
    for odd in ("x", "aid_", "aid_UPPER00000", "%2e%2e", "a%2Fb", "aid_" + "z" * 300, "%F0%9F%98%80", "tok_0123456789ab"):
        for path in (f"/identity/{odd}", f"/token/{odd}", f"/audit/{odd}", f"/identity/{odd}/certificate"):
            reply = kernel.get(path)
            assert_error(reply, 404, 422)
        assert_error(kernel.post(f"/identity/{odd}/suspend"), 404, 422)


def test_an_oversized_body_is_refused_and_nothing_is_lost(kernel: httpx.Client) -> None:
    agent = issue(kernel)
    body = mint_body(agent, immutable_params={"x": "y" * (8 * 1024 * 1024)})
    try:
        reply = kernel.post("/token/mint", json=body)
    except httpx.TransportError:
        pass  # The daemon may close a connection rather than read what it will not take.
    else:
        assert_error(reply, 413, 422)
    assert ok(kernel.get(f"/token/agent/{agent.id}")) == []
    assert mint(kernel, agent, expires_at=later(60))["is_valid"] is True
