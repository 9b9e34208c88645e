"""Trust and transactions natively: scores with their reasons, policies tried and set, limits under concurrency, exports."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import httpx

Unique = Callable[[str], str]


def command(admin: httpx.Client, command: str, /, **params: object) -> dict:
    answer = admin.post("/v1/commands", json={"command": command, "params": params})
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def payer(admin: httpx.Client, unique: Unique) -> str:
    limit = {"amount": "100", "currency": "USD"}
    return command(admin, "RegisterAgent", name=unique("payer "), actions=["pay"], limit=limit)["agent"]["id"]


def pay(admin: httpx.Client, agent: str, amount: str) -> httpx.Response:
    params = {"agent": agent, "counterparty": {"external": "shop"}, "amount": amount, "action": "pay"}
    return admin.post("/v1/commands", json={"command": "ExecuteTransaction", "params": params})


def test_a_score_is_explained_now_and_as_of_then(admin: httpx.Client, unique: Unique) -> None:
    agent = payer(admin, unique)
    done = pay(admin, agent, "12.50").json()
    assert done["result"]["transaction"]["amount"] == "12.5"
    before = done["receipt"]["events"][0]["seq"]
    refused = pay(admin, agent, "100.01")
    assert (refused.status_code, refused.json()["code"]) == (403, "spending_limit_exceeded")
    assert refused.json()["limit"] == "100" and refused.json()["events"], "a refusal is on record"
    filed = command(admin, "FileDispute", agent=agent, reason="it lied")["dispute"]
    now = admin.get(f"/v1/trust/agents/{agent}", params={"explain": "true"}).json()
    assert now["score"] == 405 and [each["moved"] for each in now["explanation"]] == [-95, -20, 20, 500]
    assert sum(now["components"][part] for part in ("completion_rate", "dispute_rate", "tenure")) == 405
    for each in now["explanation"]:
        event = admin.get(f"/v1/events/{each['event']}").json()
        assert agent in str(event["subjects"])
    assert admin.get(f"/v1/trust/agents/{agent}", params={"as_of": before}).json()["score"] == 520
    command(admin, "ResolveDispute", dispute=filed["id"], outcome="dismissed")
    assert admin.get(f"/v1/trust/agents/{agent}").json()["score"] == 500
    found = admin.get("/v1/trust/disputes", params={"agent": agent}).json()["items"]
    assert [each["outcome"] for each in found] == ["dismissed"]


def test_several_are_asked_about_at_once(admin: httpx.Client, unique: Unique) -> None:
    one, two = payer(admin, unique), payer(admin, unique)
    before = pay(admin, one, "1").json()["receipt"]["events"][0]["seq"]
    command(admin, "FileDispute", agent=one, reason="it lied")
    asked = [two, one, "01932c07-209c-7c3a-9f1e-5b6d7e8f9a0b", two]

    def scores(**query: object) -> list[int | None]:
        answer = admin.post("/v1/trust/agents/query", params=query, json={"agents": asked})
        assert answer.status_code == 200, answer.text
        return [each and each["score"] for each in answer.json()["results"]]

    assert scores() == [500, 425, None, 500]
    assert scores(as_of=before) == [500, 520, None, 500]
    for agents in ([], [one] * 201):
        refused = admin.post("/v1/trust/agents/query", json={"agents": agents})
        assert (refused.status_code, refused.json()["path"]) == (400, "agents")


def test_rules_are_tried_before_they_are_set(admin: httpx.Client, unique: Unique) -> None:
    agent = payer(admin, unique)
    rules = {"weights": {"completion_rate": 200, "dispute_rate": 500, "tenure": 150, "operator_verified": 150}}
    tried = admin.post("/v1/trust/policies/scoring/dry-run", params={"limit": 1}, json=rules).json()["items"][0]
    assert (tried["agent"], tried["score"], tried["would_be"]) == (agent, 500, 600)
    assert admin.get("/v1/trust/policies/scoring").json()["set"] is False
    wrong = admin.post("/v1/trust/policies/scoring/dry-run", json={"weights": {"tenure": 1}})
    assert (wrong.status_code, wrong.json()["code"], wrong.json()["path"]) == (422, "policy_invalid", "weights")
    try:
        assert command(admin, "SetPolicy", kind="scoring", document=rules)["policy"]["version"] == 1
        assert command(admin, "EvaluateTrust", agent=agent)["evaluation"] == {
            "agent": agent, "allowed": True, "reason": "trusted", "score": 600, "policy": 1,
        }  # fmt: skip
        moved = admin.get(f"/v1/trust/agents/{agent}/points").json()["items"][0]
        assert (moved["moved"], moved["by"]["policy"], moved["cause"]) == (100, 100, "evaluated")
    finally:
        command(admin, "ResetPolicy", kind="scoring")
    versions = admin.get("/v1/trust/policies/scoring/versions").json()["items"]
    assert [each["set"] for each in versions] == [False, True]


def test_a_window_holds_under_concurrency(admin: httpx.Client, unique: Unique) -> None:
    agent = payer(admin, unique)
    window = {"hours": 24, "amount": "150.25", "currency": "USD"}
    command(admin, "SetPolicy", kind="spending", key=agent, document={"windows": [window]})
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: pay(admin, agent, "10.05").status_code, range(40)))
    assert answers.count(200) == 14 and answers.count(403) == 26
    page = admin.get("/v1/execution/transactions", params={"agent": agent, "status": "completed", "limit": 100}).json()
    moved = sum(Decimal(each["amount"]) for each in page["items"])
    assert moved == Decimal("140.70") <= Decimal(window["amount"]) < moved + Decimal("10.05")
    text = admin.get("/v1/execution/transactions/export", params={"agent": agent}).text
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(rows) == 40 and {row["failure"] for row in rows} == {"", "spending_limit_exceeded"}
    exported = admin.get("/v1/execution/transactions/export", params={"agent": agent, "format": "json"}).json()
    assert [each["id"] for each in exported] == [row["id"] for row in rows]


def test_one_of_many_reversals_wins(admin: httpx.Client, unique: Unique) -> None:
    done = pay(admin, payer(admin, unique), "1").json()["result"]["transaction"]["id"]
    body = {"command": "ReverseTransaction", "params": {"transaction": done}}
    with ThreadPoolExecutor(8) as pool:
        codes = sorted(answer.status_code for answer in pool.map(lambda _: admin.post("/v1/commands", json=body), range(8)))
    assert codes == [200] + [409] * 7
    shown = admin.get(f"/v1/execution/transactions/{done}").json()
    assert shown["status"] == "reversed"
    assert admin.get(f"/v1/execution/transactions/{shown['reversal']['id']}").json()["id"] == done
