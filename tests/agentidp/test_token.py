"""Rows 10 to 12: issue, introspect and revoke. Contract sections 1, 3 and 8."""

from __future__ import annotations

import base64
from urllib.parse import quote

import httpx
import pytest

from agentidp.contract import NOBODY, assert_error, assert_oauth_error, later, pass_by, until
from agentidp.idp import CORE, Agent, Caller, Idp, gone, ok
from agentidp.jwts import claims_of, forged, header_of


def basic(client_id: str, client_secret: str) -> dict[str, str]:
    """The field of RFC 6749 section 2.3.1."""
    pair = f"{quote(client_id, safe='')}:{quote(client_secret, safe='')}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


def by_form(idp: Idp, agent: Agent, path: str, **fields: str) -> httpx.Response:
    return idp.nobody.form(path, client_id=agent.id, client_secret=agent.secret, **fields)


def by_basic(idp: Idp, agent: Agent, path: str, **fields: str) -> httpx.Response:
    return idp.nobody.ask("POST", path, data=fields, headers=basic(agent.id, agent.secret))


def introspect(caller: Caller, token: str, **more: str) -> dict:
    return ok(caller.form("/token/introspect", token=token, **more))


# --- Row 10: what is issued


def test_issue(idp: Idp, agent: Agent) -> None:
    reply = idp.request_token(client_id=agent.id, client_secret=agent.secret, scope=CORE)
    issued = ok(reply)
    assert set(issued) == {"access_token", "token_type", "expires_in", "scope"}
    assert (issued["token_type"], issued["expires_in"]) == ("Bearer", 3600)
    assert set(issued["scope"].split(" ")) == set(CORE.split(" "))
    assert reply.headers["cache-control"] == "no-store" and reply.headers["pragma"] == "no-cache"
    [entry] = idp.audit(agentId=agent.id, action="token.issued")
    assert entry["outcome"] == "success"


def test_the_token_says_who_and_what(idp: Idp, agent: Agent) -> None:
    token = agent.login("agents:read audit:read").token
    header, claims = header_of(token), claims_of(token)
    assert header["typ"] in ("JWT", "at+jwt") and header["alg"] == "EdDSA" and header["kid"]
    assert claims["sub"] == claims["client_id"] == agent.id
    assert claims["scope"].split(" ") == ["agents:read", "audit:read"]
    assert isinstance(claims["iat"], int) and claims["exp"] == claims["iat"] + 3600
    assert claims["organization_id"] == agent.registered["organizationId"] or claims["organization_id"] == "org_system"
    discovery = ok(idp.nobody.root("GET", "/.well-known/openid-configuration"))
    assert claims["iss"] == discovery["issuer"]
    assert "nbf" not in claims
    other = claims_of(agent.login("agents:read audit:read").token)
    assert other["jti"] != claims["jti"] and claims["jti"]


def test_client_secret_basic(idp: Idp, agent: Agent) -> None:
    issued = ok(by_basic(idp, agent, "/token", grant_type="client_credentials", scope="agents:read"))
    assert claims_of(issued["access_token"])["sub"] == agent.id
    # The form may repeat who it is.
    ok(by_basic(idp, agent, "/token", grant_type="client_credentials", client_id=agent.id))


def test_client_secret_basic_of_another_client_id(idp: Idp, agent: Agent) -> None:
    reply = by_basic(idp, agent, "/token", grant_type="client_credentials", client_id=idp.client_id)
    assert reply.status_code in (400, 401)
    assert reply.json()["error"] in ("invalid_request", "invalid_client")


@pytest.mark.parametrize("path", ["/oauth2/token", "/api/v1/token"])
def test_alternate_paths(idp: Idp, agent: Agent, path: str) -> None:
    form = {"grant_type": "client_credentials", "client_id": agent.id, "client_secret": agent.secret}
    token = ok(idp.nobody.root("POST", path, data=form | {"scope": "agents:read tokens:read"}))["access_token"]
    base = path.removesuffix("/token")
    names = ("introspect", "revoke") if base == "/oauth2" else ("token/introspect", "token/revoke")
    caller = Caller(idp.http, token)
    assert ok(caller.root("POST", f"{base}/{names[0]}", data={"token": token}))["active"] is True
    assert ok(caller.root("POST", f"{base}/{names[1]}", data={"token": token})) == {}
    assert introspect(idp.admin, token) == {"active": False}


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        (None, "agents:read"),
        ("agents:read", "agents:read"),
        ("audit:read  agents:read", "audit:read agents:read"),
        ("agents:read agents:read", "agents:read"),
        (CORE, CORE),
    ],
)
def test_scopes(idp: Idp, agent: Agent, asked: str | None, granted: str) -> None:
    issued = ok(idp.request_token(client_id=agent.id, client_secret=agent.secret, scope=asked))
    assert sorted(issued["scope"].split(" ")) == sorted(granted.split(" "))
    assert claims_of(issued["access_token"])["scope"] == issued["scope"]


def test_an_id_token_with_openid(idp: Idp, agent: Agent) -> None:
    issued = ok(idp.request_token(client_id=agent.id, client_secret=agent.secret, scope="openid agents:read"))
    claims = claims_of(issued["id_token"])
    assert claims["sub"] == agent.id and claims["aud"] in (agent.id, [agent.id])
    assert claims["iss"] == claims_of(issued["access_token"])["iss"]
    assert claims["exp"] > claims["iat"]
    # It is no access token.
    assert_error(Caller(idp.http, issued["id_token"]).get("/agents"), 401, "UNAUTHORIZED")
    assert introspect(idp.admin, issued["id_token"]) == {"active": False}


# --- Row 10: what is refused


@pytest.mark.parametrize("scope", ["agents:delete", "agents:read nonsense", "AGENTS:READ", "admin:orgs", "webhooks:write agents:read"])
def test_scopes_that_are_not_granted(idp: Idp, agent: Agent, scope: str) -> None:
    reply = idp.request_token(client_id=agent.id, client_secret=agent.secret, scope=scope)
    assert_oauth_error(reply, 400, "invalid_scope")


@pytest.mark.parametrize("grant", ["password", "authorization_code", "refresh_token", "Client_Credentials", "x"])
def test_other_grants(idp: Idp, agent: Agent, grant: str) -> None:
    reply = idp.request_token(client_id=agent.id, client_secret=agent.secret, grant_type=grant)
    assert_oauth_error(reply, 400, "unsupported_grant_type")


@pytest.mark.parametrize("missing", ["grant_type", "client_id", "client_secret"])
def test_parameters_that_are_missing(idp: Idp, agent: Agent, missing: str) -> None:
    form = {"client_id": agent.id, "client_secret": agent.secret} | {missing: None}
    assert_oauth_error(idp.request_token(**form), 400, "invalid_request")


def test_requests_that_are_no_form(idp: Idp, agent: Agent) -> None:
    body = {"grant_type": "client_credentials", "client_id": agent.id, "client_secret": agent.secret}
    reply = idp.nobody.post("/token", body)
    assert reply.status_code in (400, 415)
    twice = f"grant_type=client_credentials&client_id={agent.id}&client_id={agent.id}&client_secret={agent.secret}"
    reply = idp.nobody.ask("POST", "/token", content=twice, headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert_oauth_error(reply, 400, "invalid_request")
    # Anything in the query is no parameter (RFC 6749 section 3.2).
    reply = idp.nobody.ask("POST", "/token", params=body)
    assert reply.status_code in (400, 415)


@pytest.mark.parametrize("client_id", [NOBODY, "non-existent-id", "a1b2c3d4-...", "x" * 250])
def test_unknown_clients(idp: Idp, agent: Agent, client_id: str) -> None:
    for secret in (agent.secret, "your-client-secret"):
        assert_oauth_error(idp.request_token(client_id=client_id, client_secret=secret), 401, "invalid_client")


def test_wrong_secrets(idp: Idp, agent: Agent) -> None:
    wrong = [agent.secret[:-1], agent.secret + "0", agent.secret.upper(), "x", "sk_live_" + "0" * 64, idp.client_secret, " " + agent.secret]
    for secret in wrong:
        assert_oauth_error(idp.request_token(client_id=agent.id, client_secret=secret), 401, "invalid_client")
    reply = idp.nobody.ask("POST", "/token", data={"grant_type": "client_credentials"}, headers=basic(agent.id, "wrong"))
    assert_oauth_error(reply, 401, "invalid_client")
    assert reply.headers["www-authenticate"].lower().startswith("basic")
    agent.login()
    failed = idp.audit(agentId=agent.id, action="auth.failed")
    assert failed and {entry["outcome"] for entry in failed} == {"failure"}


def test_what_a_refusal_leaves(idp: Idp) -> None:
    agent = idp.agent()
    assert_oauth_error(idp.request_token(client_id=agent.id, client_secret="sk_live_" + "0" * 64), 401, "invalid_client")
    [entry] = idp.audit(agentId=agent.id, action="auth.failed")
    assert (entry["agentId"], entry["outcome"]) == (agent.id, "failure")
    assert idp.audit(agentId=agent.id, action="token.issued") == []
    claimed = "01890a5d-ac96-774b-bcce-" + agent.id[-12:]
    assert_oauth_error(idp.request_token(client_id=claimed, client_secret=agent.secret), 401, "invalid_client")
    [entry] = idp.audit(agentId=claimed)
    assert entry["action"] == "auth.failed", "under the id that was claimed"


@pytest.mark.parametrize("status", ["suspended", "decommissioned"])
def test_agents_that_are_not_active(idp: Idp, admin: Caller, agent: Agent, status: str) -> None:
    caller = agent.login()
    ok(admin.patch(f"/agents/{agent.id}", {"status": status}))
    assert_oauth_error(idp.request_token(client_id=agent.id, client_secret=agent.secret), 403, "unauthorized_client")
    assert_oauth_error(idp.request_token(client_id=agent.id, client_secret="wrong"), 401, "invalid_client")
    assert_error(caller.get("/agents"), 401, "UNAUTHORIZED")
    assert introspect(admin, caller.token) == {"active": False}
    if status == "suspended":
        ok(admin.patch(f"/agents/{agent.id}", {"status": "active"}))
        agent.login()
        assert introspect(admin, caller.token)["active"] is True, "it was only paused"


def test_an_expired_credential_is_a_wrong_secret(idp: Idp, admin: Caller, agent: Agent) -> None:
    soon = ok(admin.post(f"/agents/{agent.id}/credentials", {"expiresAt": later(0.8)}), 201)
    caller = idp.login(agent.id, soon["clientSecret"])
    pass_by(soon["expiresAt"])
    assert_oauth_error(idp.request_token(client_id=agent.id, client_secret=soon["clientSecret"]), 401, "invalid_client")
    ok(caller.get("/agents", limit=1))


def test_a_right_secret_passes_through_any_number_of_wrong_ones(idp: Idp, agent: Agent) -> None:
    for _ in range(40):
        reply = idp.request_token(client_id=agent.id, client_secret="wrong")
        assert reply.status_code in (401, 429), reply.text
    agent.login()


# --- Row 11


def test_introspect(idp: Idp, admin: Caller, agent: Agent) -> None:
    token = agent.login("agents:read audit:read").token
    claims = claims_of(token)
    found = introspect(admin, token)
    assert set(found) >= {"active", "sub", "client_id", "scope", "token_type", "iat", "exp"}
    assert found["active"] is True and found["token_type"] == "Bearer"
    for name in ("sub", "client_id", "scope", "iat", "exp"):
        assert found[name] == claims[name]
    for name in ("jti", "organization_id"):
        assert found.get(name, claims[name]) == claims[name]
    assert introspect(admin, token, token_type_hint="refresh_token") == found
    until(lambda: idp.audit(agentId=idp.client_id, action="token.introspected"))


def test_introspection_is_recorded_under_the_caller(idp: Idp, agent: Agent) -> None:
    caller = agent.login("tokens:read")
    introspect(caller, caller.token)
    introspect(caller, "not-a-token")
    until(lambda: len(idp.audit(agentId=agent.id, action="token.introspected")) == 2)


@pytest.mark.parametrize("how", [by_form, by_basic])
def test_introspect_with_the_client_s_own_credential(idp: Idp, agent: Agent, how: object) -> None:
    token = agent.login("agents:read").token
    assert ok(how(idp, agent, "/token/introspect", token=token))["active"] is True  # type: ignore[operator]
    assert ok(how(idp, agent, "/token/introspect", token="x")) == {"active": False}  # type: ignore[operator]
    until(lambda: idp.audit(agentId=agent.id, action="token.introspected"))


def test_what_is_no_live_token(idp: Idp, admin: Caller, agent: Agent) -> None:
    token = agent.login().token
    for how, text in forged(token).items():
        assert introspect(admin, text) == {"active": False}, how
    assert introspect(admin, agent.secret) == {"active": False}
    assert introspect(admin, idp.daemon.credentials["admin_key"]) == {"active": False}
    assert introspect(admin, token)["active"] is True


@pytest.mark.parametrize("path", ["/token/introspect", "/token/revoke"])
def test_requests_about_tokens_that_are_refused(idp: Idp, admin: Caller, agent: Agent, path: str) -> None:
    assert_error(admin.form(path, token_type_hint="access_token"), 400, "VALIDATION_ERROR", field="token")
    assert_error(admin.form(path, token=""), 400, "VALIDATION_ERROR", field="token")
    token = agent.login("agents:read agents:write audit:read").token
    assert_error(Caller(idp.http, token).form(path, token=token), 403, "FORBIDDEN", "INSUFFICIENT_SCOPE")
    assert_error(Caller(idp.http, "x").form(path, token=token), 401, "UNAUTHORIZED")
    reply = idp.nobody.form(path, token=token)
    assert reply.status_code == 401 and reply.json().get("code", reply.json().get("error")) in ("UNAUTHORIZED", "invalid_client")
    reply = idp.nobody.form(path, token=token, client_id=agent.id, client_secret="wrong")
    assert_oauth_error(reply, 401, "invalid_client")
    reply = idp.nobody.ask("POST", path, data={"token": token}, headers=basic(agent.id, "wrong"))
    assert_oauth_error(reply, 401, "invalid_client")
    assert reply.headers["www-authenticate"].lower().startswith("basic")
    assert introspect(admin, token)["active"] is True


# --- Row 12


def test_revoke(idp: Idp, admin: Caller, agent: Agent) -> None:
    caller, other = agent.login(), agent.login()
    assert ok(caller.form("/token/revoke", token=other.token)) == {}
    assert introspect(admin, other.token) == {"active": False}
    assert introspect(caller, other.token) == {"active": False}
    assert_error(other.get("/agents"), 401, "UNAUTHORIZED")
    ok(caller.get("/agents", limit=1))
    assert ok(caller.form("/token/revoke", token=other.token, token_type_hint="access_token")) == {}, "again"
    assert ok(caller.form("/token/revoke", token=caller.token)) == {}, "its own"
    assert_error(caller.form("/token/revoke", token=caller.token), 401, "UNAUTHORIZED")
    entries = idp.audit(agentId=agent.id, action="token.revoked")
    assert len(entries) in (2, 3) and {entry["outcome"] for entry in entries} == {"success"}


@pytest.mark.parametrize("how", [by_form, by_basic])
def test_revoke_with_the_client_s_own_credential(idp: Idp, admin: Caller, agent: Agent, how: object) -> None:
    token = agent.login().token
    assert ok(how(idp, agent, "/token/revoke", token=token, token_type_hint="access_token")) == {}  # type: ignore[operator]
    assert introspect(admin, token) == {"active": False}


def test_revoking_what_is_no_token(idp: Idp, admin: Caller, agent: Agent) -> None:
    token = agent.login().token
    for how, text in forged(token).items():
        assert ok(admin.form("/token/revoke", token=text)) == {}, how
    assert introspect(admin, token)["active"] is True


def test_revoking_anothers_token(idp: Idp, admin: Caller, agent: Agent) -> None:
    mine, theirs = agent.login(), idp.agent().login()
    assert_error(mine.form("/token/revoke", token=theirs.token), 403, "FORBIDDEN")
    assert_error(by_form(idp, agent, "/token/revoke", token=theirs.token), 403, "FORBIDDEN")
    ok(theirs.get("/agents", limit=1))
    assert ok(admin.form("/token/revoke", token=theirs.token)) == {}, "the administrator may"
    assert introspect(admin, theirs.token) == {"active": False}


def test_a_revoked_credential_leaves_its_tokens(idp: Idp, admin: Caller, agent: Agent) -> None:
    caller = agent.login()
    gone(admin.delete(f"/agents/{agent.id}/credentials/{agent.credential_id}"))
    assert_oauth_error(idp.request_token(client_id=agent.id, client_secret=agent.secret), 401, "invalid_client")
    assert introspect(admin, caller.token)["active"] is True
