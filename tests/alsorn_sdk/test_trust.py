"""Trust through the SDK: contracts/alsorn.md section 7."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from alsorn import AlsornClient
from alsorn.exceptions import AlsornNotFoundError, AlsornValidationError
from alsorn.models import Agent

NewAgent = Callable[..., Agent]


def test_a_fresh_agent_has_500(client: AlsornClient, new_agent: NewAgent, stranger: AlsornClient) -> None:
    agent = new_agent(name="fresh", environment="staging")
    for who in (client, stranger):
        profile = who.trust.query(agent.id)
        assert (profile.agent_id, profile.score, profile.assessment) == (agent.id, 500, "Moderate")
        assert (profile.total_tasks, profile.disputes, profile.tenure_days) == (0, 0, 0)
        assert (profile.agent_name, profile.environment, profile.trend) == ("fresh", "staging", "stable")
        parts = profile.components
        assert sum(part["score"] for part in parts.values()) == 500
        assert {name: part["weight"] for name, part in parts.items()} == {
            "completion_rate": 0.4, "dispute_rate": 0.3, "tenure": 0.15, "operator_verified": 0.15,
        }  # fmt: skip
    with pytest.raises(AlsornNotFoundError):
        client.trust.query("agent_00000000000000000000000000")


def test_scores_move_and_history_says_why(client: AlsornClient, new_agent: NewAgent, raw: httpx.Client) -> None:
    agent = new_agent()
    for _ in range(10):
        done = client.transactions.execute(
            agent_id=agent.id, counterparty_id="shop", amount=1, action_type="read_data"
        )
    assert client.trust.query(agent.id).score == 700
    assert client.trust.query(agent.id).trend == "improving"
    client.transactions.reverse(done.id)
    assert client.trust.query(agent.id).score == 660
    filed = client.trust.report(
        agent_id=agent.id, reason="it lied", evidence="a log", transaction_id=done.id
    )
    assert (filed.status, filed.agent_id, filed.reason, filed.evidence) == ("pending_review", agent.id, "it lied", "a log")
    assert filed.transaction_id == done.id and filed.id.startswith("disp_")
    assert client.trust.query(agent.id).score == 565
    evaluated = client.trust.evaluate(agent.id)
    assert evaluated.score == 565 and evaluated.last_evaluated
    history = client.trust.get_history(agent.id)
    assert [point.score for point in history][:4] == [565, 565, 660, 700]
    assert history[-1].score == 500 and all(point.reason for point in history)
    assert raw.get(f"/trust/{agent.id}/history", params={"since": "2100-01-01"}).json() == []
    for days in (0, 366):
        with pytest.raises(AlsornValidationError):
            client.trust.get_history(agent.id, days=days)


def test_evaluation_answers_with_the_first_reason(client: AlsornClient, new_agent: NewAgent, raw: httpx.Client) -> None:
    agent = new_agent()

    def ask(**about: object) -> tuple[bool, str]:
        answer = raw.post(f"/trust/evaluate/{agent.id}", json=about)
        assert answer.status_code == 200
        return answer.json()["allowed"], answer.json()["reason"]

    assert ask() == (True, "Trust score meets threshold")
    assert ask(action="read_data", amount=100, currency="USD")[0]
    assert ask(action="fly")[0] is False
    assert ask(amount=100.01) == (False, "Amount 100.01 exceeds the agent's spending limit")
    assert ask(amount=100.01, currency="EUR")[1] == ask(amount=100.01)[1], "the amount is looked at first"
    assert ask(amount=1, currency="EUR")[0] is False and ask(amount=0, currency="EUR")[0] is True
    for _ in range(2):
        client.trust.report(agent_id=agent.id, reason="no good")
    allowed, reason = ask()
    assert not allowed and "below the threshold" in reason
    client.agents.suspend(agent.id)
    assert ask() == (False, "Agent is not active")


def test_batches_keep_order(client: AlsornClient, new_agent: NewAgent) -> None:
    one, two = new_agent(), new_agent()
    found = client.trust.batch_query([two.id, "agent_none", one.id, two.id]).results
    assert [each and each.agent_id for each in found] == [two.id, None, one.id, two.id]
    for ids in ([], [one.id] * 51):
        with pytest.raises(AlsornValidationError) as refused:
            client.trust.batch_query(ids)
        assert list(refused.value.field_errors) == ["agent_ids"]


def test_reports_are_checked(client: AlsornClient, new_agent: NewAgent, stranger: AlsornClient, raw: httpx.Client) -> None:
    agent, other = new_agent(), new_agent()
    done = client.transactions.execute(agent_id=other.id, counterparty_id="x", amount=0, action_type="read_data")
    with pytest.raises(AlsornValidationError) as refused:
        client.trust.report(agent_id=agent.id, reason="x", transaction_id=done.id)
    assert "transaction_id" in refused.value.field_errors
    for how in ({"reason": ""}, {"reason": "x" * 501}, {"reason": "x", "evidence": "x" * 2001}):
        with pytest.raises(AlsornValidationError):
            client.trust.report(agent_id=agent.id, **how)
    for how in ({"agent_id": "agent_x"}, {"agent_id": agent.id, "transaction_id": "tx_x"}):
        with pytest.raises(AlsornNotFoundError):
            client.trust.report(reason="x", **how)
    assert stranger.trust.report(agent_id=agent.id, reason="a stranger's word").status == "pending_review"
    assert client.trust.query(agent.id).disputes == 1
    answer = raw.post("/trust/report", json={"agent_id": agent.id, "reason": "x", "evidence_ids": ["a", "b"]}).json()
    assert answer["dispute_id"] == answer["id"] and answer["evidence_ids"] == ["a", "b"]
