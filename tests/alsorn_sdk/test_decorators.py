"""`alsorn.track`: what a decorated function does is on record, and its recording never breaks it. Contract section 4."""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable

import pytest
from alsorn import AlsornClient, track
from alsorn.models import Agent, Transaction

from daemon import Daemon

NewAgent = Callable[..., Agent]


@pytest.fixture
def agent(new_agent: NewAgent) -> Agent:
    return new_agent()


@pytest.fixture
def tracked(daemon: Daemon, agent: Agent) -> Callable[..., Callable]:
    """The decorator, for this daemon and agent."""

    def make(**how: object) -> Callable:
        return track(agent.id, daemon.credentials["alsorn"]["api_key"], base_url=f"{daemon.url}/alsorn", **how)

    return make


@pytest.fixture
def kept(client: AlsornClient, agent: Agent) -> Callable[[], list[Transaction]]:
    """What is on record of the agent, the newest first."""
    return lambda: client.transactions.list(agent_id=agent.id).transactions


def test_a_function_is_recorded_with_defaults(tracked: Callable, kept: Callable) -> None:
    @tracked()
    def look(what: str) -> str:
        """Looks."""
        return what * 300

    assert (look("ab"), look.__name__, look.__doc__) == ("ab" * 300, "look", "Looks.")
    [done] = kept()
    assert (done.amount, done.currency, done.action_type, done.status) == (0.0, "USD", "read_data", "completed")
    assert done.notes == "Function: look | Args: ('ab',)"
    uuid.UUID(done.counterparty_id)
    look("é" * 1000)
    assert kept()[0].notes.endswith("é") and len(kept()[0].notes) <= 500
    assert kept()[0].counterparty_id != done.counterparty_id, "each call has a party of its own"


@pytest.mark.anyio
async def test_an_async_function_is_recorded_with_amount_and_party(tracked: Callable, kept: Callable) -> None:
    how = {"action_type": "execute_trades", "counterparty_id": "broker-7", "extract_amount": lambda amount, asset: amount}

    @tracked(**how)
    async def trade(amount: float, asset: str) -> dict[str, str]:
        return {"status": asset}

    assert await trade(99.99, asset="BTC") == {"status": "BTC"}
    [done] = kept()
    assert (done.amount, done.action_type, done.counterparty_id) == (99.99, "execute_trades", "broker-7")


def test_an_agent_pays_another(tracked: Callable, kept: Callable, client: AlsornClient, new_agent: NewAgent) -> None:
    other = new_agent()
    tracked(counterparty_id=other.id, extract_amount=lambda: 7)(lambda: None)()
    assert (kept()[0].counterparty_id, kept()[0].amount) == (other.id, 7.0)
    assert client.agents.get_audit_chain(other.id).entries[0].action_type == "transaction.received"


def test_what_raises_leaves_no_trace(tracked: Callable, kept: Callable) -> None:
    @tracked()
    def fall() -> None:
        raise KeyError("as ever")

    with pytest.raises(KeyError, match="as ever"):
        fall()
    assert kept() == []


@pytest.mark.parametrize(
    ("how", "cause", "on_record"),
    [
        ({"action_type": "book_flights"}, "not authorized", "failed"),
        ({"extract_amount": lambda: 100.01}, "spending limit", "failed"),
        ({"extract_amount": lambda: 1, "currency": "EUR"}, "currency", None),
        ({"extract_amount": lambda: -1}, "amount", None),
        ({"extract_amount": lambda: "much"}, "defaulting to 0", "completed"),
        ({"extract_amount": lambda: 1 / 0}, "defaulting to 0", "completed"),
    ],
)
def test_what_cannot_be_recorded_is_logged_and_hurts_nobody(
    tracked: Callable, kept: Callable, caplog: pytest.LogCaptureFixture, how: dict, cause: str, on_record: str | None
) -> None:
    with caplog.at_level(logging.WARNING, logger="alsorn"):
        assert tracked(**how)(lambda: "done")() == "done"
    [told] = caplog.records
    assert cause in told.getMessage()
    assert [each.status for each in kept()] == ([on_record] if on_record else [])


def test_a_daemon_that_is_away_hurts_nobody(agent: Agent, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="alsorn"):
        assert track(agent.id, "als_x", base_url="http://127.0.0.1:1")(lambda: "done")() == "done"
    assert [record.levelname for record in caplog.records] == ["WARNING"]
