"""Agents through the SDK: contracts/alsorn.md sections 4, 5 and 10."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from alsorn import AlsornClient
from alsorn.exceptions import AlsornAuthError, AlsornForbiddenError, AlsornNotFoundError, AlsornValidationError
from alsorn.models import Agent

from daemon import Daemon
from native import submit

NewAgent = Callable[..., Agent]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def sha256(value: dict) -> str:
    """RFC 8785, for what has no fractional numbers and no keys beyond ASCII."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def test_registration_answers_with_the_whole_agent(client: AlsornClient) -> None:
    agent = client.agents.register(
        name="Trader É", authorized_actions=["pay", "read", "pay"], spending_limit=250.75, currency="EUR",
        environment="staging", description="trades",
    )
    assert re.fullmatch("agent_[0-9a-z]{26}", agent.id)
    assert (agent.name, agent.description, agent.environment) == ("Trader É", "trades", "staging")
    assert (agent.authorized_actions, agent.spending_limit, agent.currency) == (["pay", "read"], 250.75, "EUR")
    assert agent.status == "active" and TIME.fullmatch(agent.created_at)
    assert agent.org_id.startswith("org_") and agent.owner_id.startswith("user_")
    record = agent.trust_record
    assert (record.score, record.total_tasks, record.disputes, record.completion_rate) == (500, 0, 0, 0.0)
    assert (record.tenure_days, record.operator_verified, record.last_evaluated) == (0, False, None)
    of = {key: getattr(agent, key) for key in ("created_at", "environment", "id", "name", "org_id", "owner_id")}
    assert agent.fingerprint == sha256(of)
    assert client.agents.get(agent.id) == agent


def test_defaults_are_the_vendor_s(client: AlsornClient) -> None:
    agent = client.agents.register(name="plain", authorized_actions=["read"])
    assert (agent.spending_limit, agent.currency, agent.environment) == (1000.0, "USD", "production")
    assert agent.description is None
    assert client.agents.register(name="box", authorized_actions=["read"], environment="sandbox").environment == "sandbox"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "x"), ("name", "x" * 101), ("authorized_actions", []), ("authorized_actions", [""]),
        ("authorized_actions", ["x" * 101]), ("spending_limit", -1), ("spending_limit", 1.1e15), ("currency", "usd"),
        ("environment", "moon"), ("description", "x" * 501),
    ],
)
def test_each_field_is_checked(client: AlsornClient, field: str, value: object) -> None:
    fields = {"name": "somebody", "authorized_actions": ["read"], field: value}
    with pytest.raises(AlsornValidationError) as refused:
        client.agents.register(**fields)
    assert list(refused.value.field_errors) == [field]
    assert refused.value.request_id


def test_all_faults_come_at_once(raw: httpx.Client) -> None:
    answer = raw.post("/agents/", json={"name": 5, "spending_limit": "much"})
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert {each["field"] for each in error["details"]} == {"name", "spending_limit", "authorized_actions"}
    assert error["code"] == "validation_error" and error["request_id"] == answer.headers["x-request-id"]
    for body in ("{", "[]", "null", '"x"'):
        answer = raw.post("/agents", content=body)
        assert answer.status_code == 422 and answer.json()["error"]["details"][0]["field"] == "body"


def test_lists_filter_and_count(client: AlsornClient, new_agent: NewAgent, reader: AlsornClient) -> None:
    made = [new_agent(name=f"Zebra {n}", environment="staging") for n in range(3)]
    client.agents.suspend(made[1].id)
    page = reader.agents.list(search="zEBRA", limit=2)
    assert (page.total, page.page, page.limit) == (3, 1, 2)
    assert [agent.id for agent in page.agents] == [made[2].id, made[1].id]
    assert page.agents[0].trust_score == 500 and page.agents[1].status == "suspended"
    assert client.agents.list(search="zebra", limit=2, page=2).agents[0].id == made[0].id
    assert client.agents.list(search="zebra", page=9).agents == []
    assert client.agents.list(search="zebra", status="suspended").total == 1
    assert client.agents.list(search="zebra", environment="production").total == 0
    assert client.agents.list(status="active", environment="staging", search="zebra").total == 2
    assert client.agents.list().agents[0].id == made[2].id
    for wrong in ({"status": "asleep"}, {"environment": "moon"}, {"limit": 101}, {"limit": 0}, {"page": 0}):
        with pytest.raises(AlsornValidationError):
            client.agents.list(**wrong)


def test_updates_change_what_they_name(client: AlsornClient, new_agent: NewAgent, raw: httpx.Client) -> None:
    agent = new_agent(description="first")
    changed = client.agents.update(agent.id, name="second name", authorized_actions=["fly"], spending_limit=5)
    assert (changed.name, changed.authorized_actions, changed.spending_limit) == ("second name", ["fly"], 5)
    assert (changed.currency, changed.description) == ("USD", "first")
    assert changed.fingerprint == agent.fingerprint
    assert client.agents.update(agent.id, currency="CHF").spending_limit == 5
    assert client.agents.update(agent.id, description=None).description is None
    entries = client.agents.get_audit_chain(agent.id).total
    client.agents.update(agent.id)
    client.agents.update(agent.id, name="second name")
    assert client.agents.get_audit_chain(agent.id).total == entries
    for body in ({"name": None}, {"environment": "staging"}, {"id": "x"}, {"authorized_actions": []}):
        assert raw.patch(f"/agents/{agent.id}", json=body).status_code == 422
    assert client.agents.suspend(agent.id).status == "suspended"
    assert client.agents.update(agent.id, name="while asleep").status == "suspended"


def test_changes_of_several_at_once_all_stay(client: AlsornClient, new_agent: NewAgent) -> None:
    agent = new_agent(description="before")
    for n in range(1, 9):
        changes = [{"spending_limit": float(n)}, {"currency": ("EUR", "CHF")[n % 2]}, {"name": f"name {n}"}, {"description": f"text {n}"}]
        with ThreadPoolExecutor(len(changes)) as pool:
            list(pool.map(lambda change: client.agents.update(agent.id, **change), changes))
        now = client.agents.get(agent.id)
        wanted = {name: value for change in changes for name, value in change.items()}
        assert {name: getattr(now, name) for name in wanted} == wanted


def test_suspension_is_once(client: AlsornClient, new_agent: NewAgent, raw: httpx.Client) -> None:
    agent = new_agent()
    assert client.agents.suspend(agent.id).status == "suspended"
    entries = client.agents.get_audit_chain(agent.id).total
    assert client.agents.suspend(agent.id).status == "suspended"
    assert client.agents.get_audit_chain(agent.id).total == entries
    assert raw.get(f"/agents/{agent.id}").json()["suspended_at"]
    assert raw.post(f"/agents/{agent.id}/reactivate").json()["status"] == "active"
    assert raw.get(f"/agents/{agent.id}").json()["suspended_at"] is None
    assert raw.delete(f"/agents/{agent.id}").json()["status"] == "deleted"


def test_verification_needs_no_key(
    daemon: Daemon, client: AlsornClient, stranger: AlsornClient, new_agent: NewAgent
) -> None:
    agent = new_agent()
    url = f"{daemon.url}/alsorn/agents/{agent.id}/verify"
    for headers in ({}, {"Authorization": "nonsense"}, {"Authorization": "Bearer als_unknown"}):
        answer = httpx.get(url, headers=headers)
        assert answer.status_code == 200
        assert answer.json()["verified"] is True and "spending_limit" not in answer.json()
        assert "owner_id" not in answer.json()
    seen = stranger.agents.verify(agent.id)
    assert (seen.id, seen.fingerprint, seen.trust_score, seen.status) == (agent.id, agent.fingerprint, 500, "active")
    client.agents.suspend(agent.id)
    assert httpx.get(url).json()["verified"] is False
    assert httpx.get(f"{daemon.url}/alsorn/agents/agent_00000000000000000000000000/verify").status_code == 404


def test_the_audit_chain_hashes_to_what_it_says(client: AlsornClient, new_agent: NewAgent, raw: httpx.Client) -> None:
    agent, other = new_agent(), new_agent()
    client.agents.update(agent.id, spending_limit=70.5)
    done = client.transactions.execute(
        agent_id=agent.id, counterparty_id=other.id, amount=12.34, action_type="read_data", notes="grüße"
    )
    client.transactions.reverse(done.id)
    client.trust.evaluate(agent.id)
    client.trust.report(agent_id=agent.id, reason="it lied")
    client.agents.suspend(agent.id)
    entries = raw.get(f"/agents/{agent.id}/audit").json()["entries"]
    assert [entry["action_type"] for entry in entries] == [
        "agent.suspended", "trust.dispute_filed", "trust.evaluated", "transaction.reversed", "transaction.completed",
        "agent.updated", "agent.registered",
    ]
    hashed = ("action_type", "agent_id", "created_at", "id", "operator_id", "payload", "previous_hash")
    for at, entry in enumerate(entries):
        assert entry["payload_hash"] == sha256({key: entry[key] for key in hashed})
        assert entry["previous_hash"] == (entries[at + 1]["payload_hash"] if at + 1 < len(entries) else None)
        assert entry["agent_id"] == agent.id and re.fullmatch("audit_[0-9a-z]{26}", entry["id"])
        assert "grüße" not in json.dumps(entry, ensure_ascii=False), "what can be erased is not hashed"
    assert client.transactions.get(done.id).audit_hash == entries[4]["payload_hash"]
    assert raw.get(f"/transactions/{done.id}").json()["reversal_audit_hash"] == entries[3]["payload_hash"]
    assert raw.get(f"/transactions/{done.id}").json()["audit_entry"]["id"] == entries[4]["id"]
    paged = [client.agents.get_audit_chain(agent.id, page=n, limit=3) for n in (1, 2, 3)]
    assert [entry.id for page in paged for entry in page.entries] == [entry["id"] for entry in entries]
    assert paged[0].total == 7
    theirs = [entry.action_type for entry in client.agents.get_audit_chain(other.id).entries]
    assert theirs == ["transaction.reversed", "transaction.received", "agent.registered"]
    assert raw.get(f"/agents/{agent.id}/verify").json()["verified"] is False, "suspended"


def test_keys_do_what_their_level_says(reader: AlsornClient, stranger: AlsornClient, daemon: Daemon, new_agent: NewAgent) -> None:
    agent = new_agent()
    assert reader.agents.get(agent.id).id == agent.id
    for refused in (
        lambda: reader.agents.register(name="nobody", authorized_actions=["x"]),
        lambda: reader.agents.suspend(agent.id),
        lambda: reader.trust.evaluate(agent.id),
        lambda: reader.transactions.reverse("tx_00000000000000000000000000"),
    ):
        with pytest.raises(AlsornForbiddenError, match="permission"):
            refused()
    for foreign in (
        lambda: stranger.agents.get(agent.id),
        lambda: stranger.agents.update(agent.id, name="mine now"),
        lambda: stranger.agents.suspend(agent.id),
        lambda: stranger.agents.get_audit_chain(agent.id),
    ):
        with pytest.raises(AlsornNotFoundError):
            foreign()
    with pytest.raises(AlsornAuthError):
        AlsornClient(api_key="als_" + "0" * 64, base_url=f"{daemon.url}/alsorn").agents.list()
    codes = {
        None: "missing_auth", "als_x": "invalid_auth_format", "Basic eA==": "invalid_auth_format",
        "Bearer als_x": "invalid_api_key",
    }
    for header, code in codes.items():
        headers = {} if header is None else {"Authorization": header}
        answer = httpx.get(f"{daemon.url}/alsorn/agents", headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, code)


def test_a_revoked_key_is_told_so(daemon: Daemon, admin: httpx.Client) -> None:
    wanted = {"name": "to be revoked", "scopes": ["agents:list"], "audience": ["alsorn"]}
    made = submit(admin, "CreateApiKey", wanted)["result"]
    key, id = made["shown_once"]["api_key"], made["credential"]["id"]
    assert key.startswith("als_")
    with AlsornClient(api_key=key, base_url=f"{daemon.url}/alsorn") as theirs:
        theirs.agents.list()
        submit(admin, "RevokeApiKey", {"credential": id})
        with pytest.raises(AlsornAuthError, match="revoked"):
            theirs.agents.list()
        answer = theirs._client.get("/agents")
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "revoked_api_key")


def test_paths_and_methods(raw: httpx.Client, new_agent: NewAgent) -> None:
    agent = new_agent()
    assert raw.get(f"/agents/{agent.id}/").status_code == 200
    for path in ("/nothing", "/agents/x/y/z", "/agents/agent_short", "/agents/aid_00000000000000000000000000"):
        answer = raw.get(path)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")
    answer = raw.put(f"/agents/{agent.id}", json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")
