"""Rows 57 and 58: the marketplace. Contract section 11."""

from __future__ import annotations

from agentidp.contract import NOBODY, assert_error, assert_page, parse_time
from agentidp.idp import Caller, Idp, agent_body, fresh, gone, ok

CARD = {"agentId", "agentType", "version", "capabilities", "owner", "deploymentEnv", "publishedAt"}


def listed(idp: Idp, **query: object) -> list[str]:
    return [card["agentId"] for card in ok(idp.nobody.get("/marketplace/agents", limit=100, **query))["data"]]


def test_only_public_agents_are_listed(idp: Idp, admin: Caller) -> None:
    agent = ok(admin.post("/agents", agent_body()), 201)
    identity = agent["agentId"]
    assert agent["isPublic"] is False and identity not in listed(idp)
    assert_error(idp.nobody.get(f"/marketplace/agents/{identity}"), 404, "AGENT_NOT_FOUND")
    assert ok(admin.patch(f"/agents/{identity}", {"isPublic": True}))["isPublic"] is True
    assert listed(idp)[0] == identity
    card = ok(idp.nobody.get(f"/marketplace/agents/{identity}"))
    assert set(card) == CARD | {"didDocument"}
    assert card["didDocument"] == ok(idp.nobody.get(f"/agents/{identity}/did"))
    assert parse_time(card["publishedAt"]) >= parse_time(agent["createdAt"])
    ok(admin.patch(f"/agents/{identity}", {"isPublic": False}))
    assert identity not in listed(idp)
    ok(admin.patch(f"/agents/{identity}", {"isPublic": True}))
    gone(admin.delete(f"/agents/{identity}"))
    assert identity not in listed(idp)
    assert_error(idp.nobody.get(f"/marketplace/agents/{identity}"), 404, "AGENT_NOT_FOUND")
    assert_error(idp.nobody.get(f"/marketplace/agents/{NOBODY}"), 404, "AGENT_NOT_FOUND")


def test_search_and_pages(idp: Idp, admin: Caller) -> None:
    owner, capability = fresh("Team-"), fresh("sweep-")
    ids = []
    for kind in ("router", "monitor", "router"):
        body = agent_body(agentType=kind, owner=owner, capabilities=[capability, "floor:read"], isPublic=True)
        ids.append(ok(admin.post("/agents", body), 201)["agentId"])
    assert listed(idp, q=owner.upper()) == ids[::-1]
    assert listed(idp, capability=capability) == ids[::-1]
    assert listed(idp, capability=capability, agentType="router") == [ids[2], ids[0]]
    assert listed(idp, q=fresh("nothing-of-that-name-")) == []
    pages = [ok(idp.nobody.get("/marketplace/agents", q=owner, page=number, limit=2)) for number in (1, 2)]
    assert [page["total"] for page in pages] == [3, 3]
    cards = [card for number, page in enumerate(pages, 1) for card in assert_page(page, number, 2)]
    assert [card["agentId"] for card in cards] == ids[::-1]
    assert all(set(card) == CARD for card in cards)
    for query in ({"agentType": "butler"}, {"page": 0}, {"limit": 0}):
        assert_error(idp.nobody.get("/marketplace/agents", **query), 400, "VALIDATION_ERROR", field=next(iter(query)))
