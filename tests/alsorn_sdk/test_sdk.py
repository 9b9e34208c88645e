"""The SDK as a whole: no public method is missed, and every field of every model has what it promises. Contract sections 1 to 6."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from alsorn import AlsornClient, AlsornError, AlsornRateLimitError
from alsorn.exceptions import AlsornAPIError, AlsornAuthError
from alsorn.models import Agent

from daemon import Daemon

from .conftest import sdk

NewAgent = Callable[..., Agent]
RESOURCES = ("agents", "trust", "transactions", "webhooks")


def public_methods() -> set[str]:
    client = AlsornClient(api_key="als_x")
    return {
        f"{resource}.{name}"
        for resource in RESOURCES
        for name, _ in inspect.getmembers(getattr(client, resource), inspect.ismethod)
        if not name.startswith("_")
    }


def nothing_missing(value: object, but: tuple[str, ...] = ()) -> object:
    """Every field that the SDK reads has a value, at any depth, but those named."""
    if isinstance(value, list):
        assert value, "a list of something"
        for each in value:
            nothing_missing(each, but)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            inside = getattr(value, field.name)
            assert inside is not None or field.name in but, f"{type(value).__name__}.{field.name}"
            if isinstance(inside, list) or dataclasses.is_dataclass(inside):
                nothing_missing(inside, but)
    return value


def test_every_method_answers_with_every_field(daemon: Daemon) -> None:
    called: set[str] = set()
    with sdk(daemon, daemon.credentials["alsorn"]["api_key"]) as client:

        def call(name: str, /, *arguments: object, but: tuple[str, ...] = (), **options: object):
            called.add(name)
            resource, method = name.split(".")
            return nothing_missing(getattr(getattr(client, resource), method)(*arguments, **options), but)

        new = {"authorized_actions": ["read_data"], "description": "of all methods"}
        one = call("agents.register", name="one of all", but=("last_evaluated",), **new)
        other = call("agents.register", name="other of all", but=("last_evaluated",), **new)
        call("agents.verify", one.id, but=("last_evaluated",))
        call("agents.list", status="active", environment="production", search="one of all", page=1, limit=1)
        paid = {"agent_id": one.id, "counterparty_id": other.id, "amount": 1.25, "action_type": "read_data"}
        done = call("transactions.execute", currency="USD", notes="for all", idempotency_key="k", **paid)
        call("transactions.get", done.id)
        every = {"action_type": "read_data", "min_amount": 1.25, "max_amount": 1.25, "start_date": done.created_at[:10]}
        page = call("transactions.list", agent_id=one.id, status="completed", end_date=done.created_at[:10], **every)
        assert [each.id for each in page.transactions] == [done.id]
        call("trust.query", one.id, but=("last_evaluated",))
        assert call("trust.evaluate", one.id).last_evaluated
        call("trust.batch_query", [one.id])
        call("trust.get_history", one.id, days=1)
        filed = call("trust.report", one.id, "it lied", evidence="a log", transaction_id=done.id)
        assert filed.transaction_id == done.id
        call("trust.report", one.id, "it lied again", evidence="a log", but=("transaction_id",))
        assert call("transactions.reverse", done.id).status == "reversed"
        called.add("transactions.export")
        assert done.id.encode() in client.transactions.export(agent_id=one.id, status="reversed")
        assert call("agents.update", one.id, name="renamed of all", description="another").name == "renamed of all"
        assert call("agents.suspend", one.id).status == "suspended"
        assert call("agents.get", one.id).trust_record.last_evaluated
        assert call("agents.get_audit_chain", one.id, page=1, limit=100, but=("previous_hash",)).total == 8
    with pytest.raises(RuntimeError, match="closed"):
        client.agents.list()
    webhooks = {name for name in public_methods() if name.startswith("webhooks.")}
    assert called | webhooks == public_methods(), "webhooks have tests of their own"


def test_base_urls_may_end_in_slashes_and_lie_deeper(daemon: Daemon) -> None:
    key = daemon.credentials["alsorn"]["api_key"]
    for tail in ("/alsorn", "/alsorn/", "/alsorn///"):
        with AlsornClient(api_key=key, base_url=daemon.url + tail) as client:
            assert client.agents.list(limit=1).limit == 1
    with pytest.raises(AlsornAuthError, match="als_"):
        AlsornClient(api_key="ck_other", base_url=daemon.url)
    with AlsornClient(api_key=key, base_url=daemon.url + "/nowhere") as client, pytest.raises(AlsornError) as refused:
        client.agents.list()
    assert refused.value.status_code == 404, "an error that the SDK can read, though nobody is mounted there"


def test_a_client_is_shared_by_threads_and_tasks(client: AlsornClient, new_agent: NewAgent) -> None:
    agent = new_agent(spending_limit=1)

    def pay(n: int) -> str:
        return client.transactions.execute(agent.id, f"party {n}", 0.5, "read_data").id

    async def pay_in_tasks() -> list[str]:
        return await asyncio.gather(*(asyncio.to_thread(pay, n) for n in range(16)))

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(pay, range(16)))
    made += asyncio.run(pay_in_tasks())
    assert len(set(made)) == 32
    assert {each.id for each in client.transactions.list(agent_id=agent.id, limit=100).transactions} == set(made)
    assert client.trust.query(agent.id).total_tasks == 32


def test_ids_that_climb_lead_nowhere_else(client: AlsornClient, stranger: AlsornClient, new_agent: NewAgent) -> None:
    agent = new_agent()
    for id in ("../v1/identity/agents", "../../v1/events", f"{agent.id}/../{agent.id}/nothing", "%2e%2e", "\u00e9", "a b"):
        with pytest.raises(AlsornError) as refused:
            client.agents.get(id)
        assert refused.value.status_code in (401, 403, 404), id
    with pytest.raises(AlsornError):
        stranger.agents.suspend(f"../agents/{agent.id}")
    assert client.agents.get(agent.id).status == "active"


@pytest.fixture
def limited(new_daemon: Callable[..., Daemon]) -> Iterator[Daemon]:
    """A daemon where a key may ask three times an hour."""
    yield new_daemon("--alsorn-requests-per-hour", "3").start()


def test_a_key_that_asks_too_often_is_told_when_to_come_back(limited: Daemon) -> None:
    credentials = limited.credentials["alsorn"]
    with sdk(limited, credentials["read_key"]) as client:
        for _ in range(3):
            client.agents.list()
        with pytest.raises(AlsornRateLimitError) as refused:
            client.agents.list()
        assert 1 <= refused.value.retry_after <= 1200
        with pytest.raises(AlsornRateLimitError):
            client.transactions.export()
    with sdk(limited, credentials["api_key"]) as other:
        other.agents.list()
    answer = httpx.get(f"{limited.url}/alsorn/agents", headers={"Authorization": f"Bearer {credentials['api_key']}"})
    assert (answer.headers["x-ratelimit-limit"], answer.headers["x-ratelimit-remaining"]) == ("3", "1")
    assert int(answer.headers["x-ratelimit-reset"]) > 1_700_000_000
    answer = httpx.get(f"{limited.url}/alsorn/agents", headers={"Authorization": f"Bearer {credentials['read_key']}"})
    assert answer.status_code == 429 and answer.headers["retry-after"].isdigit()
    assert answer.json()["error"]["code"] == "rate_limit_exceeded" and answer.headers["x-ratelimit-remaining"] == "0"
    assert httpx.get(f"{limited.url}/alsorn/agents/agent_x/verify").status_code == 404, "who shows no key is not counted"


def test_what_was_done_under_a_key_is_known_after_a_restart(new_daemon: Callable[..., Daemon]) -> None:
    daemon = new_daemon().start()
    paid = {"counterparty_id": "shop", "amount": 3.5, "action_type": "read_data", "idempotency_key": "order-1"}
    with sdk(daemon, daemon.credentials["alsorn"]["api_key"]) as client:
        agent = client.agents.register("payer", ["read_data"])
        done = client.transactions.execute(agent_id=agent.id, **paid)
        before = (client.agents.get(agent.id), client.agents.get_audit_chain(agent.id), client.trust.get_history(agent.id))
    daemon.kill()
    daemon.start()
    with sdk(daemon, daemon.credentials["alsorn"]["api_key"]) as client:
        assert client.transactions.execute(agent_id=agent.id, **paid) == done
        assert (client.agents.get(agent.id), client.agents.get_audit_chain(agent.id), client.trust.get_history(agent.id)) == before
        client.transactions.reverse(done.id)
        with pytest.raises(AlsornAPIError) as refused:
            client.transactions.reverse(done.id)
        assert refused.value.status_code == 409
