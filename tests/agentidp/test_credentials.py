"""Rows 6 to 9: credentials. Contract sections 3 and 7."""

from __future__ import annotations

import json

import pytest

from agentidp.contract import (
    CREDENTIAL_FIELDS,
    NOBODY,
    NOT_IDS,
    SECRET,
    assert_error,
    assert_id,
    assert_oauth_error,
    assert_page,
    later,
    parse_time,
    pass_by,
)
from agentidp.idp import Agent, Caller, Idp, agent_body, gone, ok
from native import submit


def generate(caller: Caller, agent: str, **body: object) -> dict:
    return ok(caller.post(f"/agents/{agent}/credentials", body), 201)


def listed(caller: Caller, agent: str) -> dict[str, dict]:
    """The agent's credentials by id."""
    page = ok(caller.get(f"/agents/{agent}/credentials", limit=100))
    return {each["credentialId"]: each for each in page["data"]}


def opens(idp: Idp, agent: str, secret: str) -> bool:
    """Whether a secret gets a token."""
    reply = idp.request_token(client_id=agent, client_secret=secret)
    if reply.status_code != 200:
        assert_oauth_error(reply, 401, "invalid_client")
    return reply.status_code == 200


def test_generate(idp: Idp, admin: Caller) -> None:
    agent = ok(admin.post("/agents", agent_body()), 201)["agentId"]
    assert listed(admin, agent) == {}
    made = generate(admin, agent)
    assert set(made) == CREDENTIAL_FIELDS | {"clientSecret"}
    assert_id(made["credentialId"])
    assert made["clientId"] == agent
    assert SECRET.fullmatch(made["clientSecret"])
    assert (made["status"], made["expiresAt"], made["revokedAt"]) == ("active", None, None)
    parse_time(made["createdAt"])
    assert opens(idp, agent, made["clientSecret"])
    secret = made.pop("clientSecret")
    page = ok(admin.get(f"/agents/{agent}/credentials"))
    assert assert_page(page) == [made] and page["total"] == 1
    assert secret not in json.dumps(page)
    [entry] = idp.audit(agentId=agent, action="credential.generated")
    assert entry["metadata"]["credentialId"] == made["credentialId"]
    assert entry["metadata"]["actorId"] == idp.client_id


def test_the_body_may_be_absent(idp: Idp, admin: Caller, agent: Agent) -> None:
    made = ok(admin.post(f"/agents/{agent.id}/credentials"), 201)
    assert made["expiresAt"] is None
    made = ok(admin.ask("POST", f"/agents/{agent.id}/credentials", content=b"", headers={"Content-Type": "application/json"}), 201)
    assert opens(idp, agent.id, made["clientSecret"])


def test_several_at_once(idp: Idp, admin: Caller, agent: Agent) -> None:
    more = [generate(admin, agent.id) for _ in range(3)]
    secrets = [agent.secret] + [each["clientSecret"] for each in more]
    assert len(set(secrets)) == 4
    assert all(opens(idp, agent.id, secret) for secret in secrets)
    other = idp.agent()
    assert not opens(idp, other.id, secrets[0]), "a secret is its own agent's"


def test_expiry(idp: Idp, admin: Caller, agent: Agent) -> None:
    soon = generate(admin, agent.id, expiresAt=later(1.0))
    assert parse_time(soon["expiresAt"]) > parse_time(soon["createdAt"])
    assert opens(idp, agent.id, soon["clientSecret"])
    far = generate(admin, agent.id, expiresAt="2099-06-01T05:04:05.678+02:00")
    assert far["expiresAt"] == "2099-06-01T03:04:05.678Z"
    pass_by(soon["expiresAt"])
    assert not opens(idp, agent.id, soon["clientSecret"])
    assert opens(idp, agent.id, far["clientSecret"])


@pytest.mark.parametrize("value", ["2020-01-01T00:00:00.000Z", "soon", "", 5, True, {}, "2099-13-01T00:00:00Z"])
@pytest.mark.parametrize("rotate", [False, True])
def test_expiries_out_of_bounds(admin: Caller, kept: Agent, value: object, rotate: bool) -> None:
    path = f"/agents/{kept.id}/credentials" + (f"/{kept.credential_id}/rotate" if rotate else "")
    assert_error(admin.post(path, {"expiresAt": value}), 400, "VALIDATION_ERROR", field="expiresAt")
    assert set(listed(admin, kept.id)) == {kept.credential_id}


@pytest.fixture(scope="module")
def kept(idp: Idp) -> Agent:
    """An agent that keeps its one secret."""
    return idp.agent()


def test_a_body_that_is_none(idp: Idp, admin: Caller, kept: Agent) -> None:
    for content in (b"[]", b"{", b"5"):
        reply = admin.ask("POST", f"/agents/{kept.id}/credentials", content=content, headers={"Content-Type": "application/json"})
        assert_error(reply, 400, "VALIDATION_ERROR")
    assert opens(idp, kept.id, kept.secret)


def test_list(admin: Caller, agent: Agent) -> None:
    ids = [agent.credential_id] + [generate(admin, agent.id)["credentialId"] for _ in range(4)]
    path = f"/agents/{agent.id}/credentials"
    gone(admin.delete(f"{path}/{ids[1]}"))
    everything = listed(admin, agent.id)
    assert set(everything) == set(ids)
    assert [each for each in ids if everything[each]["status"] == "revoked"] == [ids[1]]
    for status, expected in (("active", 4), ("revoked", 1)):
        page = ok(admin.get(path, status=status))
        assert {each["status"] for each in assert_page(page)} == {status} and page["total"] == expected
    rows = []
    for number, size in ((1, 2), (2, 2), (3, 1), (4, 0)):
        page = ok(admin.get(path, page=number, limit=2))
        assert len(assert_page(page, number, 2)) == size and page["total"] == 5
        rows += [each["credentialId"] for each in page["data"]]
    assert sorted(rows) == sorted(ids)
    for each in everything.values():
        assert set(each) == CREDENTIAL_FIELDS


@pytest.mark.parametrize(
    ("name", "value"),
    [("status", "expired"), ("status", ""), ("page", "0"), ("page", "x"), ("limit", "0"), ("limit", "101"), ("limit", "x")],
)
def test_lists_out_of_bounds(admin: Caller, kept: Agent, name: str, value: str) -> None:
    assert_error(admin.get(f"/agents/{kept.id}/credentials", **{name: value}), 400, "VALIDATION_ERROR", field=name)


def test_rotate(idp: Idp, admin: Caller, agent: Agent) -> None:
    before = listed(admin, agent.id)[agent.credential_id]
    caller = agent.login()
    rotated = ok(admin.post(f"/agents/{agent.id}/credentials/{agent.credential_id}/rotate", {}))
    secret = rotated.pop("clientSecret")
    assert SECRET.fullmatch(secret) and secret != agent.secret
    assert rotated == before
    assert not opens(idp, agent.id, agent.secret), "the old secret is dead at once"
    assert opens(idp, agent.id, secret)
    ok(caller.get(f"/agents/{agent.id}")), "tokens that were issued live on"
    assert listed(admin, agent.id) == {agent.credential_id: before}
    [entry] = idp.audit(agentId=agent.id, action="credential.rotated")
    assert entry["metadata"]["credentialId"] == agent.credential_id


def test_rotation_changes_the_expiry_only_when_asked(admin: Caller, agent: Agent) -> None:
    made = generate(admin, agent.id, expiresAt="2098-01-01T00:00:00.000Z")
    path = f"/agents/{agent.id}/credentials/{made['credentialId']}/rotate"
    assert ok(admin.post(path))["expiresAt"] == "2098-01-01T00:00:00.000Z"
    assert ok(admin.post(path, {"expiresAt": "2099-01-01T00:00:00.000Z"}))["expiresAt"] == "2099-01-01T00:00:00.000Z"
    assert ok(admin.post(path, {}))["expiresAt"] == "2099-01-01T00:00:00.000Z"


def test_revoke(idp: Idp, admin: Caller, agent: Agent) -> None:
    other = generate(admin, agent.id)
    path = f"/agents/{agent.id}/credentials/{agent.credential_id}"
    before = listed(admin, agent.id)[agent.credential_id]
    gone(admin.delete(path))
    after = listed(admin, agent.id)[agent.credential_id]
    assert after == before | {"status": "revoked", "revokedAt": after["revokedAt"]}
    assert parse_time(after["revokedAt"]) >= parse_time(after["createdAt"])
    assert not opens(idp, agent.id, agent.secret)
    assert opens(idp, agent.id, other["clientSecret"])
    assert_error(admin.delete(path), 409, "CREDENTIAL_ALREADY_REVOKED")
    assert_error(admin.post(path + "/rotate", {}), 409, "CREDENTIAL_ALREADY_REVOKED")
    [entry] = idp.audit(agentId=agent.id, action="credential.revoked")
    assert entry["metadata"]["credentialId"] == agent.credential_id


@pytest.mark.parametrize("unknown", [NOBODY, *NOT_IDS])
def test_what_does_not_exist(admin: Caller, kept: Agent, unknown: str) -> None:
    for method, path in (("GET", ""), ("POST", ""), ("POST", f"/{kept.credential_id}/rotate"), ("DELETE", f"/{kept.credential_id}")):
        assert_error(admin.ask(method, f"/agents/{unknown}/credentials{path}"), 404, "AGENT_NOT_FOUND")
    for method, path in (("POST", f"/{unknown}/rotate"), ("DELETE", f"/{unknown}")):
        assert_error(admin.ask(method, f"/agents/{kept.id}/credentials{path}"), 404, "CREDENTIAL_NOT_FOUND")


def test_a_credential_of_another_agent_is_none_of_this_one(idp: Idp, admin: Caller, kept: Agent) -> None:
    other = idp.agent()
    path = f"/agents/{kept.id}/credentials/{other.credential_id}"
    assert_error(admin.post(path + "/rotate", {}), 404, "CREDENTIAL_NOT_FOUND")
    assert_error(admin.delete(path), 404, "CREDENTIAL_NOT_FOUND")
    assert opens(idp, other.id, other.secret)


def test_the_agent_must_be_active(admin: Caller, agent: Agent) -> None:
    path = f"/agents/{agent.id}/credentials"
    ok(admin.patch(f"/agents/{agent.id}", {"status": "suspended"}))
    assert_error(admin.post(path, {}), 403, "AGENT_NOT_ACTIVE")
    assert list(listed(admin, agent.id)) == [agent.credential_id]
    ok(admin.patch(f"/agents/{agent.id}", {"status": "active"}))
    generate(admin, agent.id)
    gone(admin.delete(f"/agents/{agent.id}"))
    assert_error(admin.post(path, {}), 403, "AGENT_NOT_ACTIVE")
    assert {each["status"] for each in listed(admin, agent.id).values()} == {"revoked"}


# --- Whose credentials they are


def test_an_agent_manages_its_own(idp: Idp, agent: Agent) -> None:
    caller = agent.login()
    second = generate(caller, agent.id)
    rotated = ok(caller.post(f"/agents/{agent.id}/credentials/{second['credentialId']}/rotate", {}))
    gone(caller.delete(f"/agents/{agent.id}/credentials/{second['credentialId']}"))
    assert not opens(idp, agent.id, rotated["clientSecret"])
    assert len(listed(caller, agent.id)) == 2
    [entry] = idp.audit(agentId=agent.id, action="credential.rotated")
    assert "actorId" not in entry["metadata"], "the caller is the subject"


def test_an_agent_does_not_manage_anothers(idp: Idp, agent: Agent) -> None:
    caller, other = agent.login(), idp.agent()
    path = f"/agents/{other.id}/credentials"
    assert_error(caller.post(path, {}), 403, "FORBIDDEN")
    assert_error(caller.post(f"{path}/{other.credential_id}/rotate", {}), 403, "FORBIDDEN")
    assert_error(caller.delete(f"{path}/{other.credential_id}"), 403, "FORBIDDEN")
    assert opens(idp, other.id, other.secret)
    assert len(listed(idp.admin, other.id)) == 1


def test_an_administrator_manages_everyones(idp: Idp, agent: Agent) -> None:
    with idp.daemon.admin() as native:
        submit(native, "GrantScopes", {"agent": agent.id, "scopes": ["admin:orgs"]})
    other = idp.agent()
    assert_error(agent.login().post(f"/agents/{other.id}/credentials", {}), 403, "FORBIDDEN")
    caller = agent.login("agents:read agents:write admin:orgs")
    made = generate(caller, other.id)
    assert opens(idp, other.id, made["clientSecret"])
    gone(caller.delete(f"/agents/{other.id}/credentials/{made['credentialId']}"))
