"""`alsorn.integrations.langchain`: tools that LangChain runs are on record. Contract section 4, last row.

The SDK's handler is no `BaseCallbackHandler`, and LangChain asks its handlers for what that class has. So whoever uses it
with today's LangChain lets it inherit from both, as here; nothing of the SDK is changed.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable

import pytest
from alsorn import AlsornClient
from alsorn.integrations.langchain import AlsornCallback
from alsorn.models import Agent, Transaction
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.runnables import RunnableLambda
from langchain_core.tools import tool

from daemon import Daemon

NewAgent = Callable[..., Agent]
ACTIONS = [
    "execute_trades", "send_emails", "file_contracts", "book_flights", "customer_support", "read_data", "write_data", "manage_code",
]  # fmt: skip


class Callback(AlsornCallback, BaseCallbackHandler):
    """The SDK's handler as LangChain takes it."""


@pytest.fixture
def agent(new_agent: NewAgent) -> Agent:
    return new_agent(authorized_actions=ACTIONS, spending_limit=1000)


@pytest.fixture
def callback(daemon: Daemon, agent: Agent) -> Callback:
    return Callback(agent.id, daemon.credentials["alsorn"]["api_key"], base_url=f"{daemon.url}/alsorn")


@pytest.fixture
def kept(client: AlsornClient, agent: Agent) -> Callable[[], list[Transaction]]:
    return lambda: client.transactions.list(agent_id=agent.id, limit=100).transactions


@tool
def book_flight(to: str) -> str:
    """Books a flight."""
    return f"Booked a flight to {to} for $1,234.50? No: $734.50."


@tool
def search(query: str) -> str:
    """Finds nothing."""
    return f"nothing about {query}"


@tool
def send_payment(amount: int, to: str) -> str:
    """Pays."""
    return f"paid {amount} to {to}"


@tool
async def write_note(text: str) -> str:
    """Writes."""
    return f"wrote {text}"


@tool
def read_broken(path: str) -> str:
    """Fails."""
    raise OSError(path)


def test_tools_of_a_chain_are_recorded_one_by_one(callback: Callback, kept: Callable) -> None:
    def steps(to: str, config: dict) -> str:
        search.invoke({"query": to}, config)
        return send_payment.invoke({"amount": 250, "to": "Acme"}, config)

    assert RunnableLambda(steps).invoke("Rome", {"callbacks": [callback]}) == "paid 250 to Acme"
    paid, searched = kept()
    assert (paid.action_type, paid.amount, paid.currency, paid.status) == ("execute_trades", 250.0, "USD", "completed")
    assert paid.notes == "Tool: send_payment | Input: {'amount': 250, 'to': 'Acme'} | Output: paid 250 to Acme"
    assert (searched.action_type, searched.amount) == ("read_data", 0.0)
    for done in (paid, searched):
        uuid.UUID(done.counterparty_id)


@pytest.mark.anyio
async def test_async_tools_are_recorded(callback: Callback, kept: Callable) -> None:
    assert await write_note.ainvoke({"text": "hello"}, {"callbacks": [callback]}) == "wrote hello"
    assert await search.ainvoke({"query": "y"}, {"callbacks": [callback]}) == "nothing about y"
    assert [done.action_type for done in kept()] == ["read_data", "write_data"]
    # The SDK's own names for its async hooks.
    await callback.on_tool_start_async({"name": "git_push"}, "main")
    await callback.on_tool_end_async("pushed")
    assert (kept()[0].action_type, kept()[0].notes) == ("manage_code", "Tool: git_push | Input: main | Output: pushed")


def test_a_tool_that_fails_leaves_no_trace(callback: Callback, kept: Callable) -> None:
    with pytest.raises(OSError, match="/x"):
        read_broken.invoke({"path": "/x"}, {"callbacks": [callback]})
    assert kept() == []


def test_every_action_that_it_knows_is_taken(callback: Callback, kept: Callable) -> None:
    names = ["trade", "email", "contract", "flight", "support", "fetch", "update", "commit"]
    for name in names:
        callback.on_tool_start({"name": name}, "")
        callback.on_tool_end("")
    assert [done.action_type for done in reversed(kept())] == ACTIONS


def test_what_cannot_be_recorded_is_logged_and_hurts_no_tool(
    callback: Callback, kept: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="alsorn"):
        assert book_flight.invoke({"to": "Rome"}, {"callbacks": [callback]}).startswith("Booked")
        # Any number of a text is an amount to it, also one beyond all bounds.
        assert search.invoke({"query": "9" * 30}, {"callbacks": [callback]}) == "nothing about " + "9" * 30
    denied, senseless = (record.getMessage() for record in caplog.records)
    assert "spending limit" in denied and "1234.5" in denied
    assert "amount" in senseless
    assert [(done.status, done.amount) for done in kept()] == [("failed", 1234.5)]


def test_an_agent_is_the_other_party(
    daemon: Daemon, agent: Agent, new_agent: NewAgent, client: AlsornClient, kept: Callable
) -> None:
    other = new_agent()
    key = daemon.credentials["alsorn"]["api_key"]
    callback = Callback(agent.id, key, base_url=f"{daemon.url}/alsorn", counterparty_id=other.id)
    send_payment.invoke({"amount": 5, "to": "other"}, {"callbacks": [callback]})
    assert kept()[0].counterparty_id == other.id
    assert client.agents.get_audit_chain(other.id).entries[0].action_type == "transaction.received"
