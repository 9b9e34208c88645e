"""Every example of the vendor's page on its SDK, run as printed: only its placeholders stand for what this daemon has.

The page and the SDK differ (contracts/alsorn.md section 12). What an example asks of the SDK in vain is named here, with how
the SDK says so; then the example runs in the SDK's own spelling; and what it would have printed is on the wire all the same.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from alsorn import AlsornClient
from alsorn.models import Agent, Transaction

from daemon import Daemon

from .conftest import sdk
from .receiver import Receiver, status

PAGE = Path(__file__).with_name("sdk_page.md").read_text()
EXAMPLES = dict(re.findall(r"^## ([^\n]+)\n\n```python\n(.+?)^```$", PAGE, re.MULTILINE | re.DOTALL))


@dataclass
class Refused:
    """What the SDK makes of an example as printed, and the words in which it knows the same."""

    says: str
    spelt: dict[str, str] = field(default_factory=dict)


# By example. Each is raised by the SDK alone, whatever a daemon answers.
REFUSED = {
    "Client Configuration": Refused("'AgentList' object is not iterable", {"in agents:": "in agents.agents:"}),
    "agents.list": Refused("'AgentList' object is not iterable", {"in agents:": "in agents.agents:"}),
    "agents.verify": Refused("no attribute 'verified'", {"result.verified": "result.status"}),
    "agents.get_audit_chain": Refused(
        "'AuditChain' object is not iterable",
        {
            "in chain:": "in chain.entries:", "entry.actor": "entry.operator_id", "entry.action,": "entry.action_type,",
            "entry.timestamp": "entry.created_at",
        },
    ),
    "trust.query": Refused("no attribute 'factors'", {"trust.factors": "sorted(trust.components)"}),
    "trust.evaluate": Refused(
        "unexpected keyword argument 'action'",
        {
            '    action="transfer_funds",\n    amount=5000,\n    currency="USD",\n': "",
            "evaluation.allowed": "evaluation.score >= 400", "evaluation.reason": "evaluation.assessment",
        },
    ),
    "trust.batch_query": Refused("'TrustQueryResponse' object is not iterable", {"in results:": "in results.results:"}),
    "trust.get_history": Refused(
        "unexpected keyword argument 'since'",
        {
            'since="2025-01-01T00:00:00Z"': "days=365", "snapshot.timestamp": "snapshot.created_at",
            "snapshot.assessment": "snapshot.reason",
        },
    ),
    "trust.report": Refused(
        "unexpected keyword argument 'evidence_ids'",
        {'evidence_ids=["{tx}"]': 'transaction_id="{tx}"', "dispute.dispute_id": "dispute.id"},
    ),
    "transactions.execute": Refused(
        "unexpected keyword argument 'from_agent'",
        {"from_agent=": "agent_id=", "to_agent=": "counterparty_id=", "action=": "action_type=", "memo=": "notes="},
    ),
    "transactions.list": Refused("'TransactionList' object is not iterable", {"in txns:": "in txns.transactions:"}),
    "transactions.get": Refused(
        "no attribute 'from_agent'", {"tx.from_agent": "tx.agent_id", "tx.to_agent": "tx.counterparty_id"}
    ),
    "transactions.reverse": Refused("unexpected keyword argument 'reason'", {'    reason="Duplicate payment",\n': ""}),
    "transactions.export": Refused(
        "unexpected keyword argument 'format'",
        {
            '    format="csv",\n': "", 'since="2025-01-01T00:00:00Z"': 'start_date="2025-01-01T00:00:00Z"',
            'until="2025-06-01T00:00:00Z"': 'end_date="2125-06-01T00:00:00Z"', "export.content": "export",
        },
    ),
    "webhooks.test": Refused(
        "no attribute 'status_code'", {"result.status_code": "result.http_status", "result.success": "result.status"}
    ),
    "Error Handling": Refused("No module named 'alsorn.errors'", {"alsorn.errors": "alsorn.exceptions", "{e.message}": "{e}"}),
}  # fmt: skip


class Reader:
    """Somebody who follows the page: fills in the placeholders, and runs."""

    def __init__(self, daemon: Daemon, agents: list[Agent], tx: Transaction, capsys: pytest.CaptureFixture[str]):
        self._capsys = capsys
        self.tx = tx
        key, url = daemon.credentials["alsorn"]["api_key"], f"{daemon.url}/alsorn"
        self._placeholders = {
            'api_key="als_your_api_key"': f'api_key="{key}", base_url="{url}"',
            "tx_r4s5t6u7v8": tx.id,
        } | dict(zip(("agent_7f3k9x2m", "agent_2b8m4p1q", "agent_9c1n5r3s"), (agent.id for agent in agents), strict=True))
        # What the page takes for granted in a later example: the client of its first.
        self.names: dict[str, object] = {"__name__": "__main__"}
        self._run("Quick Start", EXAMPLES["Quick Start"])

    def fill(self, placeholder: str, value: str) -> None:
        """Fills in another placeholder from here on."""
        self._placeholders[placeholder] = value

    def _run(self, title: str, code: str) -> list[str]:
        for placeholder, value in self._placeholders.items():
            code = code.replace(placeholder, value)
        self._capsys.readouterr()
        exec(compile(code, f"Python SDK, {title}", "exec"), self.names)  # noqa: S102
        return self._capsys.readouterr().out.splitlines()

    def run(self, title: str) -> list[str]:
        """Runs an example; gives the lines that it printed. One that the SDK does not know as printed runs as it does."""
        code = EXAMPLES[title]
        if refused := REFUSED.get(title):
            with pytest.raises((TypeError, AttributeError, ModuleNotFoundError), match=refused.says):
                self._run(title, code)
            for printed, known in refused.spelt.items():
                printed, known = (text.replace("{tx}", self.tx.id) for text in (printed, known))
                filled = code.replace("tx_r4s5t6u7v8", self.tx.id)
                assert printed in filled, f"{title} does not say {printed}"
                code = filled.replace(printed, known)
        return self._run(title, code)


def register_three(client: AlsornClient) -> list[Agent]:
    """Agents that may do what the page's do."""
    actions = ["execute_trade", "transfer_funds"]
    return [client.agents.register(name=f"{name}-of-the-page", authorized_actions=actions) for name in ("a", "b", "c")]


def pay_one(client: AlsornClient, agents: list[Agent]) -> Transaction:
    return client.transactions.execute(agents[0].id, agents[1].id, amount=12.5, action_type="transfer_funds")


@pytest.fixture
def agents(client: AlsornClient) -> list[Agent]:
    return register_three(client)


@pytest.fixture
def reader(daemon: Daemon, client: AlsornClient, agents: list[Agent], capsys: pytest.CaptureFixture[str]) -> Reader:
    return Reader(daemon, agents, pay_one(client, agents), capsys)


def test_no_example_is_missed() -> None:
    assert len(EXAMPLES) == PAGE.count("```python") == 26
    assert set(REFUSED) <= set(EXAMPLES)
    run = set(re.findall(r'reader\.run\("([^"]+)"\)', Path(__file__).read_text()))
    assert run == set(EXAMPLES), "each is run"


def test_quick_start(reader: Reader) -> None:
    assert reader.run("Quick Start") == ["Score: 500, Assessment: Moderate"]
    assert (reader.names["agent"].environment, reader.names["agent"].spending_limit) == ("sandbox", 10000)


def test_client_configuration(reader: Reader, agents: list[Agent]) -> None:
    # The quick start's agent came last; the page's own are before it.
    assert reader.run("Client Configuration")[:4] == ["order-fulfillment-agent", *(agent.name for agent in reversed(agents))]


def test_agents(reader: Reader, agents: list[Agent], raw: httpx.Client) -> None:
    one = agents[0]
    [line] = reader.run("agents.register")
    id, fingerprint = line.split()
    assert id.startswith("agent_") and re.fullmatch("sha256:[0-9a-f]{64}", fingerprint)
    assert f"{one.id} {one.name} active" in reader.run("agents.list")
    assert reader.run("agents.get") == [f"{one.name} active {one.created_at}"]
    assert reader.run("agents.verify") == ["active", one.fingerprint]
    assert raw.get(f"/agents/{one.id}/verify").json()["verified"] is True
    assert reader.run("agents.update") == ["renamed-agent"]
    assert reader.run("agents.suspend") == ["suspended"]
    lines = [line.split() for line in reader.run("agents.get_audit_chain")]
    assert [line[0] for line in lines] == ["agent.suspended", "agent.updated", "transaction.completed", "agent.registered"]
    on_the_wire = raw.get(f"/agents/{one.id}/audit").json()["entries"]
    assert [[each["action"], each["timestamp"], each["actor"]] for each in on_the_wire] == lines


def test_trust(reader: Reader, agents: list[Agent], raw: httpx.Client) -> None:
    one = agents[0]
    score, assessment, parts = reader.run("trust.query")
    assert (score, assessment) == ("520", "Moderate")
    assert parts == "['completion_rate', 'dispute_rate', 'operator_verified', 'tenure']"
    factors = raw.get(f"/trust/{one.id}").json()["factors"]
    assert (factors["completion_rate"], factors["dispute_ratio"]) == (1.0, 0.0)
    assert reader.run("trust.evaluate") == ["True", "Moderate"]
    asked = {"action": "transfer_funds", "amount": 500, "currency": "USD"}
    answer = raw.post(f"/trust/evaluate/{one.id}", json=asked).json()
    assert (answer["allowed"], answer["reason"]) == (True, "Trust score meets threshold")
    scores = zip(agents, (520, 500, 500), strict=True)
    assert reader.run("trust.batch_query") == [f"{agent.id} {score} Moderate" for agent, score in scores]
    lines = [line.split(" ", 2) for line in reader.run("trust.get_history")]
    assert [(line[1], line[2]) for line in lines][-2:] == [("520", "Transaction completed"), ("500", "Agent registered")]
    history = raw.get(f"/trust/{one.id}/history", params={"since": "2025-01-01T00:00:00Z"}).json()
    assert [[each["timestamp"], str(each["score"])] for each in history] == [line[:2] for line in lines]
    assert {each["assessment"] for each in history} == {"Moderate"}
    [line] = reader.run("trust.report")
    assert re.fullmatch("disp_[0-9a-z]{26}", line)
    filed = raw.post("/trust/report", json={"agent_id": one.id, "reason": "once more", "evidence_ids": [reader.tx.id]}).json()
    assert (filed["dispute_id"], filed["evidence_ids"]) == (filed["id"], [reader.tx.id])


def test_transactions(reader: Reader, agents: list[Agent], raw: httpx.Client) -> None:
    one, other = agents[0].id, agents[1].id
    [line] = reader.run("transactions.execute")
    id, status = line.split()
    assert id.startswith("tx_") and status == "completed"
    printed = {"from_agent": one, "to_agent": other, "action": "transfer_funds", "amount": 500, "currency": "USD", "memo": "m"}
    assert raw.post("/transactions", json=printed).json() | printed == raw.get("/transactions/").json()["transactions"][0]
    assert f"{id} 500.0 USD completed" in reader.run("transactions.list")
    assert reader.run("transactions.get") == [f"{one} {other} 12.5 completed"]
    assert reader.run("transactions.reverse") == [f"{reader.tx.id} reversed"]
    answer = raw.post(f"/transactions/{id}/reverse", json={"reason": "Duplicate payment"}).json()
    assert (answer["status"], answer["reversal_reason"]) == ("reversed", "Duplicate payment")
    assert answer["reversal_id"] != id, "what the page prints: the id of the reversal itself"


def test_export(reader: Reader, raw: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert reader.run("transactions.export") == []
    with Path("transactions.csv").open(newline="") as file:
        assert reader.tx.id in {row["id"] for row in csv.DictReader(file)}
    printed = {"format": "csv", "since": "2025-01-01T00:00:00Z", "until": "2025-06-01T00:00:00Z"}
    answer = raw.get("/transactions/export", params=printed)
    assert answer.status_code == 200 and answer.content.count(b"\n") == 1, "nothing happened here then"


def test_webhooks(new_daemon: Callable[..., Daemon], capsys: pytest.CaptureFixture[str]) -> None:
    daemon = new_daemon("--allow-private-targets").start()
    with Receiver() as receiver, sdk(daemon, daemon.credentials["alsorn"]["api_key"]) as client:
        agents = register_three(client)
        reader = Reader(daemon, agents, pay_one(client, agents), capsys)
        url = receiver.url + "/webhooks/alsorn"
        receiver.answers["/webhooks/alsorn"] = [status(200)] * 3
        reader.fill("https://example.com/webhooks/alsorn", url)
        id, secret = reader.run("webhooks.register")
        assert id.startswith("wh_") and secret.startswith("whsec_")
        reader.fill("wh_x1y2z3", id)
        assert reader.run("webhooks.list") == [f"{id} {url} True"]
        assert reader.run("webhooks.get") == [f"{url} ['agent.registered', 'transaction.completed'] 0"]
        events = ["agent.registered", "transaction.completed", "trust.score_changed"]
        assert reader.run("webhooks.update") == [str(events)]
        assert reader.run("webhooks.test") == ["200", "delivered"]
        key = {"Authorization": f"Bearer {daemon.credentials['alsorn']['api_key']}"}
        tested = httpx.post(f"{daemon.url}/alsorn/webhooks/{id}/test", headers=key).json()
        assert (tested["status_code"], tested["success"]) == (200, True)
        assert reader.run("webhooks.delete") == [] and reader.run("webhooks.list") == []


def test_error_handling(reader: Reader) -> None:
    assert reader.run("Error Handling") == ["Agent not found: Agent not found"]
