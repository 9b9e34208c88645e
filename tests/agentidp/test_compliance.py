"""Rows 27 to 29: controls, report and agent cards. Contract section 11."""

from __future__ import annotations

from agentidp.contract import parse_time
from agentidp.idp import Agent, Caller, Idp, gone, ok

CARD_FIELDS = {
    "did", "name", "agentType", "capabilities", "owner", "version", "deploymentEnv", "identityProvider", "issuedAt",
}  # fmt: skip


def test_controls(idp: Idp) -> None:
    reply = idp.nobody.get("/compliance/controls")
    controls = ok(reply)["controls"]
    assert {each["id"] for each in controls} == {"CC6.1", "CC6.7", "CC7.2", "CC9.2", "CC7.1"}
    for each in controls:
        assert set(each) >= {"id", "name", "status", "lastChecked"}
        assert each["name"] and each["status"]
        parse_time(each["lastChecked"])
    assert "max-age=60" in reply.headers["cache-control"]
    [tls] = [each for each in controls if each["id"] == "CC6.7"]
    [integrity] = [each for each in controls if each["id"] == "CC7.2"]
    assert tls["status"] != integrity["status"], "the log is whole, and this daemon serves no TLS"


def test_report(admin: Caller) -> None:
    first = admin.get("/compliance/report")
    report = ok(first)
    assert set(report) >= {"generated_at", "tenant_id", "agntcy_schema_version", "sections", "overall_status"}
    assert report["sections"]
    for section in report["sections"]:
        assert section["name"] and section["status"] in ("pass", "fail", "warn") and "details" in section
    statuses = {section["status"] for section in report["sections"]}
    assert report["overall_status"] == next(status for status in ("fail", "warn", "pass") if status in statuses)
    again = admin.get("/compliance/report")
    assert again.headers["x-cache"] == "HIT"
    assert ok(again) == report


def test_agent_cards(idp: Idp, admin: Caller, agent: Agent) -> None:
    cards = {card["did"]: card for card in admin.get("/compliance/agent-cards").json()}
    card = cards[agent.registered["did"]]
    assert set(card) >= CARD_FIELDS
    assert card["name"] == agent.registered["email"]
    for name in ("agentType", "capabilities", "owner", "version", "deploymentEnv"):
        assert card[name] == agent.registered[name]
    parse_time(card["issuedAt"])
    ok(admin.patch(f"/agents/{agent.id}", {"status": "suspended"}))
    ended = idp.agent()
    gone(admin.delete(f"/agents/{ended.id}"))
    dids = {card["did"] for card in admin.get("/compliance/agent-cards").json()}
    assert not dids & {agent.registered["did"], ended.registered["did"]}, "active agents only"
