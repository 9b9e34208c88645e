"""Transactions through the SDK: contracts/alsorn.md sections 8 and 9."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import httpx
import pytest
from alsorn import AlsornClient
from alsorn.exceptions import AlsornAPIError, AlsornForbiddenError, AlsornNotFoundError, AlsornValidationError
from alsorn.models import Agent
from hypothesis import given, settings
from hypothesis import strategies as st

NewAgent = Callable[..., Agent]
EXTERNAL = "11111111-2222-4333-8444-555555555555"


def pay(client: AlsornClient, agent: Agent, **how: object):
    fields = {"counterparty_id": EXTERNAL, "amount": 1.5, "action_type": "read_data", **how}
    return client.transactions.execute(agent_id=agent.id, **fields)


def test_an_execution_is_answered_whole(client: AlsornClient, new_agent: NewAgent, raw: httpx.Client) -> None:
    agent = new_agent(name="payer")
    done = pay(client, agent, amount=100.0, notes="rent")
    assert done.id.startswith("tx_") and done.agent_id == agent.id and done.agent_name == "payer"
    assert (done.counterparty_id, done.amount, done.currency, done.status) == (EXTERNAL, 100.0, "USD", "completed")
    assert (done.action_type, done.notes, done.permissions_checked) == ("read_data", "rent", True)
    assert done.audit_hash.startswith("sha256:")
    assert client.transactions.get(done.id) == done
    body = {"from_agent": agent.id, "to_agent": EXTERNAL, "action": "read_data", "amount": 0, "memo": "m"}
    answer = raw.post("/transactions", json=body)
    assert answer.status_code == 201
    assert (answer.json()["memo"], answer.json()["to_agent"], answer.json()["amount"]) == ("m", EXTERNAL, 0)
    assert raw.post("/transactions", json={**body, "notes": "other"}).status_code == 422


@pytest.fixture(scope="module")
def rich(new_agent: NewAgent) -> Agent:
    return new_agent(spending_limit=1e15)


# A double of up to 17 digits that is not below 1e-11 fits the 28 digits behind the point that the ledger keeps.
doubles = st.floats(1e-11, 1e15) | st.integers(0, 10**15) | st.builds(lambda cents: cents / 100, st.integers(0, 10**15))


@settings(max_examples=150, deadline=None)
@given(amount=doubles)
def test_amounts_read_back_as_sent(client: AlsornClient, rich: Agent, amount: float) -> None:
    done = pay(client, rich, amount=amount)
    assert done.amount == amount and client.transactions.get(done.id).amount == amount


@pytest.fixture(scope="module")
def spender(new_agent: NewAgent) -> Agent:
    return new_agent()


@settings(max_examples=40, deadline=None)
@given(limit=doubles)
def test_limits_read_back_as_sent_and_hold_to_the_last_digit(client: AlsornClient, spender: Agent, limit: float) -> None:
    assert client.agents.update(spender.id, spending_limit=limit).spending_limit == limit
    assert pay(client, spender, amount=limit).status == "completed", "equality passes"
    above = math.nextafter(limit, math.inf)
    if 1e-11 < above <= 1e15:
        with pytest.raises(AlsornForbiddenError, match="spending limit"):
            pay(client, spender, amount=above)


def test_denials_name_their_cause_and_are_kept(client: AlsornClient, new_agent: NewAgent) -> None:
    agent, other = new_agent(), new_agent()
    for how, cause in (({"amount": 100.01}, "spending limit"), ({"action_type": "fly"}, "not authorized")):
        with pytest.raises(AlsornForbiddenError, match=cause):
            pay(client, agent, **how)
        kept = client.transactions.list(agent_id=agent.id, status="failed", limit=1).transactions[0]
        assert kept.status == "failed" and kept.audit_hash
    client.agents.suspend(other.id)
    with pytest.raises(AlsornForbiddenError, match="[Cc]ounterparty.*suspended"):
        pay(client, agent, counterparty_id=other.id)
    client.agents.suspend(agent.id)
    with pytest.raises(AlsornForbiddenError, match="suspended"):
        pay(client, agent)
    assert client.transactions.list(agent_id=agent.id).total == 4
    assert client.trust.query(agent.id).score == 420, "four failed, and six of ten are still open"


def test_what_makes_no_sense_leaves_no_trace(client: AlsornClient, new_agent: NewAgent, raw: httpx.Client) -> None:
    agent = new_agent()
    for how, field in (
        ({"amount": "1"}, "amount"), ({"amount": True}, "amount"), ({"amount": -1}, "amount"), ({"amount": 1.1e15}, "amount"), ({"currency": "EUR"}, "currency"),
        ({"currency": "eu"}, "currency"), ({"notes": "x" * 501}, "notes"), ({"counterparty_id": ""}, "counterparty_id"),
        ({"amount": 1e-30}, "amount"), ({"counterparty_id": agent.id}, "counterparty_id"), ({"idempotency_key": "x" * 256}, "idempotency_key"),
    ):
        with pytest.raises(AlsornValidationError) as refused:
            pay(client, agent, **how)
        assert field in refused.value.field_errors
    for missing in ("agent_00000000000000000000000000", "agent_no_such"):
        with pytest.raises(AlsornNotFoundError):
            pay(client, agent, counterparty_id=missing)
    with pytest.raises(AlsornNotFoundError):
        client.transactions.execute(agent_id="agent_x", counterparty_id="y", amount=1, action_type="read_data")
    assert pay(client, agent, amount=0, currency="EUR").currency == "EUR"
    assert pay(client, agent, notes="\u2026" * 500).notes == "\u2026" * 500
    assert client.transactions.list(agent_id=agent.id).total == 2
    assert raw.post("/transactions/", json={"agent_id": agent.id}).status_code == 422


def test_a_key_executes_once(client: AlsornClient, new_agent: NewAgent, raw: httpx.Client) -> None:
    agent = new_agent()
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda n: pay(client, agent, amount=n, idempotency_key="order"), range(1, 17)))
    assert len({each.id for each in done}) == 1 and len({each.amount for each in done}) == 1
    assert client.transactions.list(agent_id=agent.id).total == 1
    body = {"agent_id": agent.id, "counterparty_id": "agent_none", "amount": 9, "action_type": "x", "idempotency_key": "order"}
    assert raw.post("/transactions/", json=body).status_code == 200
    client.transactions.reverse(done[0].id)
    assert pay(client, agent, idempotency_key="order").status == "reversed"


def test_one_reversal_wins(client: AlsornClient, new_agent: NewAgent, raw: httpx.Client) -> None:
    agent = new_agent()
    done = pay(client, agent)
    client.agents.suspend(agent.id)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: raw.post(f"/transactions/{done.id}/reverse", json={"reason": "oops"}), range(8)))
    codes = sorted(answer.status_code for answer in answers)
    assert codes == [200] + [409] * 7
    assert {each.json()["error"]["code"] for each in answers if each.status_code == 409} == {"transaction_not_reversible"}
    shown = raw.get(f"/transactions/{done.id}").json()
    assert (shown["id"], shown["status"], shown["reversal_reason"]) == (done.id, "reversed", "oops")
    assert raw.get(f"/transactions/{shown['reversal_id']}").json()["id"] == done.id
    with pytest.raises(AlsornAPIError) as refused:
        client.transactions.reverse(done.id)
    assert (refused.value.status_code, refused.value.code) == (409, "transaction_not_reversible")


def test_lists_narrow(client: AlsornClient, new_agent: NewAgent, stranger: AlsornClient) -> None:
    agent = new_agent(authorized_actions=["a", "b"])
    made = [pay(client, agent, amount=n, action_type="ab"[n % 2]) for n in range(1, 6)]
    client.transactions.reverse(made[0].id)

    def ids(**how: object) -> list[str]:
        page = client.transactions.list(agent_id=agent.id, **how)
        assert page.total == len(page.transactions)
        return [each.id for each in page.transactions]

    newest = [each.id for each in reversed(made)]
    assert ids() == newest
    assert ids(action_type="a") == [made[3].id, made[1].id]
    assert ids(status="completed") == newest[:4]
    assert ids(min_amount=2, max_amount=4) == newest[1:4]
    assert ids(min_amount=4, max_amount=2) == []
    assert ids(start_date=made[2].created_at[:10], end_date=made[2].created_at[:10]) == newest
    assert ids(start_date="2100-01-01") == []
    page = client.transactions.list(agent_id=agent.id, page=2, limit=2)
    assert ([each.id for each in page.transactions], page.total) == (newest[2:4], 5)
    for wrong in ({"status": "x"}, {"start_date": "soon"}, {"min_amount": "much"}, {"limit": 101}):
        with pytest.raises(AlsornValidationError):
            client.transactions.list(**wrong)
    assert stranger.transactions.list(agent_id=agent.id).total == 0
    with pytest.raises(AlsornNotFoundError):
        stranger.transactions.get(made[0].id)
    with pytest.raises(AlsornNotFoundError):
        stranger.transactions.reverse(made[1].id)


def test_exports_are_whole_and_harmless(client: AlsornClient, new_agent: NewAgent, raw: httpx.Client) -> None:
    agent = new_agent(name='=cmd|"x", y')
    notes = ["=1+1", "+2", "-3", "@x", 'quo"te, and\nline', None]
    made = [pay(client, agent, notes=text, counterparty_id=f"=party{n}") for n, text in enumerate(notes)]
    text = client.transactions.export(agent_id=agent.id).decode()
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert list(rows[0]) == [
        "id", "agent_id", "agent_name", "counterparty_id", "amount", "currency", "action_type", "status",
        "permissions_checked", "audit_hash", "notes", "created_at",
    ]
    assert [row["id"] for row in rows] == [each.id for each in reversed(made)]
    assert not any(value[:1] in tuple("=+-@\t\r") for row in rows for value in row.values() if value)
    assert rows[1]["notes"] == 'quo"te, and\nline' and rows[0]["notes"] == ""
    assert (rows[0]["permissions_checked"], Decimal(rows[0]["amount"])) == ("true", Decimal("1.5"))
    answer = raw.get("/transactions/export", params={"agent_id": agent.id, "format": "json"})
    assert [each["id"] for each in answer.json()] == [row["id"] for row in rows]
    assert raw.get("/transactions/export", params={"agent_id": agent.id}).headers["content-type"] == "text/csv; charset=utf-8"
    assert raw.get("/transactions/export", params={"format": "xml"}).status_code == 422
    nothing = client.transactions.export(agent_id=agent.id, status="failed").decode()
    assert nothing.strip().split(",")[0] == "id" and nothing.count("\n") == 1
    assert client.transactions.export().decode().count("tx_") >= len(made)
