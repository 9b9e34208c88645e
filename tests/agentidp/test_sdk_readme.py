"""Every example of the SDK's README, run as printed: only its placeholders stand for what this daemon has."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agentidp.contract import SECRET, assert_id
from agentidp.idp import CORE, Agent, Idp, ok
from agentidp.jwts import claims_of

PAGE = Path(__file__).with_name("sdk_readme.md").read_text()
EXAMPLES = dict(re.findall(r"^## ([^\n]+)\n\n```python\n(.+?)^```$", PAGE, re.MULTILINE | re.DOTALL))


class Reader:
    """Somebody who follows the page: fills in the placeholders, and runs."""

    def __init__(self, idp: Idp, agent: Agent, capsys: pytest.CaptureFixture[str]):
        self._capsys = capsys
        self._placeholders = {
            "http://localhost:3000": idp.root,
            "your-agent-id": idp.client_id,
            "a1b2c3d4-e5f6-7890-abcd-ef1234567890": idp.client_id,
            "your-client-secret": idp.client_secret,
            "a1b2c3d4-...": agent.id,
            "cred-uuid": agent.credential_id,
            "event-uuid": idp.audit(agentId=agent.id)[0]["eventId"],
        }
        # What the page takes for granted in a later example: the client of its first, and a token from somewhere.
        self.names: dict[str, object] = {"__name__": "__main__"}
        self.run("Quick start: synchronous")
        self.names["some_token"] = agent.login().token

    def run(self, title: str) -> list[str]:
        """Runs an example; gives the lines that it printed."""
        code = EXAMPLES[title]
        for placeholder, value in self._placeholders.items():
            code = code.replace(f'"{placeholder}"', f'"{value}"')
        self._capsys.readouterr()
        exec(compile(code, f"README, {title}", "exec"), self.names)  # noqa: S102
        return self._capsys.readouterr().out.splitlines()


@pytest.fixture
def reader(idp: Idp, agent: Agent, capsys: pytest.CaptureFixture[str]) -> Reader:
    return Reader(idp, agent, capsys)


def test_no_example_is_missed() -> None:
    assert len(EXAMPLES) == PAGE.count("```python") == 9


@pytest.mark.parametrize("which", ["synchronous", "asynchronous"])
def test_quick_start(reader: Reader, agent: Agent, which: str) -> None:
    [line] = reader.run(f"Quick start: {which}")
    assert agent.id in line


def test_configuration_and_token_management(reader: Reader) -> None:
    assert reader.run("Configuration") == []
    client = reader.names["client"]
    token = client._transport.token()  # type: ignore[attr-defined]
    assert sorted(claims_of(token)["scope"].split(" ")) == ["agents:read", "tokens:read"]
    assert reader.run("Token management") == []
    assert client._transport.token() != token  # type: ignore[attr-defined]


def test_agent_registry(reader: Reader, idp: Idp, agent: Agent) -> None:
    [line] = reader.run("Agent Registry")
    assert_id(line)
    registered = ok(idp.admin.get(f"/agents/{line}"))
    assert (registered["email"], registered["capabilities"]) == ("classifier-v2@myorg.ai", ["text-classification", "sentiment-analysis"])
    updated = reader.names["updated"]
    assert (updated.agent_id, updated.version) == (agent.id, "2.1.0")  # type: ignore[attr-defined]
    assert ok(idp.admin.get(f"/agents/{agent.id}"))["status"] == "decommissioned"


def test_credentials(reader: Reader, idp: Idp, agent: Agent) -> None:
    generated, rotated = reader.run("Credentials")
    assert SECRET.fullmatch(generated) and SECRET.fullmatch(rotated) and generated != rotated
    assert len(reader.names["result"].data) == 2  # type: ignore[attr-defined]
    idp.login(agent.id, generated, CORE)
    for secret in (agent.secret, rotated):
        assert idp.request_token(client_id=agent.id, client_secret=secret).status_code == 401


def test_token_operations(reader: Reader) -> None:
    exp = claims_of(str(reader.names["some_token"]))["exp"]
    assert reader.run("Token operations") == [f"Token valid, expires at {exp}"]
    assert reader.run("Token operations") == ["Token is expired or revoked"]


def test_audit_log(reader: Reader, agent: Agent) -> None:
    reader.run("Audit log")
    assert reader.names["result"].data == []  # type: ignore[attr-defined]
    assert reader.names["event"].agent_id == agent.id  # type: ignore[attr-defined]


def test_error_handling(reader: Reader) -> None:
    code, status, text = reader.run("Error handling")
    assert (code, status) == ("AGENT_NOT_FOUND", "404") and text
