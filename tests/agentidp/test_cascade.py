"""What decommissioning an agent ends, in one commit. Contract section 6."""

from __future__ import annotations

import pytest

from agentidp.contract import assert_error, assert_oauth_error, parse_time
from agentidp.idp import Agent, Caller, Idp, gone, ok
from native import get


@pytest.mark.parametrize("how", ["delete", "patch"])
def test_everything_of_the_agent_ends_at_once(idp: Idp, admin: Caller, agent: Agent, how: str) -> None:
    path = f"/agents/{agent.id}"
    credentials = [agent.credential_id] + [ok(admin.post(path + "/credentials", {}), 201)["credentialId"] for _ in range(3)]
    gone(admin.delete(f"{path}/credentials/{credentials[1]}"))
    callers = [agent.login(), agent.login("agents:read")]
    for caller in callers:
        ok(caller.get(path))
        assert ok(admin.form("/token/introspect", token=caller.token))["active"] is True
    before = len(idp.audit(agentId=agent.id))

    if how == "delete":
        gone(admin.delete(path))
    else:
        assert ok(admin.patch(path, {"status": "decommissioned"}))["status"] == "decommissioned"

    for caller in callers:
        assert_error(caller.get(path), 401, "UNAUTHORIZED")
        assert ok(admin.form("/token/introspect", token=caller.token)) == {"active": False}
    assert_oauth_error(idp.request_token(client_id=agent.id, client_secret=agent.secret), 403, "unauthorized_client")
    assert_error(admin.post(path + "/credentials", {}), 403, "AGENT_NOT_ACTIVE")
    assert_error(admin.patch(path, {"version": "9.0.0"}), 409, "AGENT_ALREADY_DECOMMISSIONED")
    assert_error(admin.delete(path), 409, "AGENT_ALREADY_DECOMMISSIONED")
    assert_error(idp.nobody.get(path + "/did"), 410, "GONE")

    # It stays readable, and so does all that happened to it.
    ended = ok(admin.get(path))
    assert ended["status"] == "decommissioned" and ended["email"] == agent.registered["email"]
    rows = ok(admin.get(path + "/credentials"))["data"]
    assert {row["credentialId"]: row["status"] for row in rows} == dict.fromkeys(credentials, "revoked")
    assert all(parse_time(row["revokedAt"]) for row in rows)

    entries = [entry for entry in idp.audit(agentId=agent.id) if entry["action"] in ("credential.revoked", "agent.decommissioned")]
    last, *revoked = entries
    assert last["action"] == "agent.decommissioned", "the last of the cascade"
    caused = [entry for entry in revoked if entry["metadata"].get("cause") == "agent.decommissioned"]
    assert len(caused) == 3, "one for each that was active, none for the one revoked before"
    assert {entry["metadata"]["credentialId"] for entry in caused} == set(credentials) - {credentials[1]}
    assert len({entry["timestamp"] for entry in [last, *caused]}) == 1
    assert len(idp.audit(agentId=agent.id)) > before


def test_the_cascade_is_one_commit(idp: Idp, admin: Caller, agent: Agent) -> None:
    ok(admin.post(f"/agents/{agent.id}/credentials", {}), 201)
    gone(admin.delete(f"/agents/{agent.id}"))
    with idp.daemon.admin() as native:
        events = get(native, "/v1/events", subject=f"agent:{agent.id}", limit=100)["items"]
    kinds = [event["kind"] for event in events]
    assert kinds[-3:] == ["CredentialRevoked", "CredentialRevoked", "AgentDecommissioned"], kinds
    assert len({event["correlation"] for event in events[-3:]}) == 1
    first = events[-3]["seq"]
    assert [event["seq"] for event in events[-3:]] == [first, first + 1, first + 2]
