"""What an agent's own key proves: RFC 7523 client assertions, and tokens bound to a key by RFC 9449."""

from __future__ import annotations

import time

import httpx
import jwt
import pytest

from agentidp.contract import assert_error, assert_oauth_error
from agentidp.idp import API, Agent, Caller, Idp, ok
from agentidp.jwts import b64u, claims_of, part
from agentidp.keys import ASSERTION_TYPE, AgentWithKey, Proof, agent_with_key


@pytest.fixture(scope="module")
def keyed(idp: Idp) -> AgentWithKey:
    return agent_with_key(idp)


@pytest.fixture(scope="module")
def endpoint(idp: Idp) -> str:
    return ok(idp.nobody.root("GET", "/.well-known/openid-configuration"))["token_endpoint"]


def present(idp: Idp, assertion: str, **more: str | None) -> httpx.Response:
    return idp.request_token(client_assertion_type=ASSERTION_TYPE, client_assertion=assertion, **more)


def test_an_assertion(idp: Idp, keyed: AgentWithKey, endpoint: str) -> None:
    issued = ok(present(idp, keyed.assertion(endpoint), scope="agents:read"))
    assert claims_of(issued["access_token"])["sub"] == keyed.id
    ok(Caller(idp.http, issued["access_token"]).get("/agents", limit=1))
    ok(present(idp, keyed.assertion(endpoint), client_id=keyed.id))
    issuer = ok(idp.nobody.root("GET", "/.well-known/openid-configuration"))["issuer"]
    ok(present(idp, keyed.assertion(issuer)))
    ok(present(idp, keyed.assertion([endpoint, "https://elsewhere.example"])))  # type: ignore[arg-type]


def test_an_assertion_is_used_once(idp: Idp, keyed: AgentWithKey, endpoint: str) -> None:
    assertion = keyed.assertion(endpoint)
    ok(present(idp, assertion))
    assert_oauth_error(present(idp, assertion), 401, "invalid_client")


def test_assertions_at_the_other_endpoints(idp: Idp, keyed: AgentWithKey, endpoint: str) -> None:
    token = ok(present(idp, keyed.assertion(endpoint)))["access_token"]
    for path, expected in (("/token/introspect", True), ("/token/revoke", None), ("/token/introspect", False)):
        form = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": keyed.assertion(endpoint), "token": token}
        answer = ok(idp.nobody.form(path, **form))
        assert answer.get("active") is expected


def test_assertions_that_are_refused(idp: Idp, keyed: AgentWithKey, endpoint: str) -> None:
    now = int(time.time())
    other = agent_with_key(idp)
    bad = {
        "another's key": keyed.assertion(endpoint, key=other.key),
        "another's name": other.assertion(endpoint, sub=keyed.id),
        "issuer is not the subject": keyed.assertion(endpoint, iss=other.id),
        "for somebody else": keyed.assertion("https://elsewhere.example/token"),
        "for nobody": keyed.assertion(endpoint, aud=...),
        "expired": keyed.assertion(endpoint, iat=now - 600, exp=now - 300),
        "never ends": keyed.assertion(endpoint, exp=...),
        "ends in years": keyed.assertion(endpoint, exp=now + 10**8),
        "not yet": keyed.assertion(endpoint, nbf=now + 3600),
        "without a jti": keyed.assertion(endpoint, jti=...),
        "no agent": keyed.assertion(endpoint, iss="nobody", sub="nobody"),
        "unsigned": part({"alg": "none"}) + "." + keyed.assertion(endpoint).split(".")[1] + ".",
        "text": "x",
    }
    for how, assertion in bad.items():
        assert_oauth_error(present(idp, assertion), 401, "invalid_client"), how
    reply = present(idp, keyed.assertion(endpoint), client_id=other.id)
    assert reply.status_code in (400, 401)
    reply = idp.request_token(client_assertion_type="urn:x", client_assertion=keyed.assertion(endpoint))
    assert reply.status_code in (400, 401)


def test_a_client_secret_is_no_key(idp: Idp, agent: Agent, endpoint: str) -> None:
    now = int(time.time())
    claims = {"iss": agent.id, "sub": agent.id, "aud": endpoint, "jti": "1", "iat": now, "exp": now + 60}
    assertion = jwt.encode(claims, agent.secret, "HS256")
    assert_oauth_error(present(idp, assertion), 401, "invalid_client")


# --- RFC 9449


def bound_token(idp: Idp, agent: Agent, proof: Proof, endpoint: str, **how: object) -> httpx.Response:
    form = {"grant_type": "client_credentials", "client_id": agent.id, "client_secret": agent.secret}
    return idp.nobody.ask("POST", "/token", data=form, headers={"DPoP": proof.sign("POST", endpoint, **how)})  # type: ignore[arg-type]


def use(idp: Idp, token: str, proof: str | None, scheme: str = "DPoP") -> httpx.Response:
    headers = {"Authorization": f"{scheme} {token}"} | ({"DPoP": proof} if proof is not None else {})
    return idp.nobody.ask("GET", "/agents", headers=headers)


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA"])
def test_a_bound_token(idp: Idp, agent: Agent, endpoint: str, algorithm: str) -> None:
    proof = Proof(algorithm)
    issued = ok(bound_token(idp, agent, proof, endpoint))
    token = issued["access_token"]
    assert issued["token_type"] == "DPoP"
    assert claims_of(token)["cnf"] == {"jkt": proof.thumbprint()}
    url = idp.root + API + "/agents"
    signed = proof.sign("GET", url, token)
    ok(use(idp, token, signed))
    assert use(idp, token, signed).status_code == 401, "a proof is used once"
    ok(use(idp, token, proof.sign("GET", url, token)))
    found = ok(idp.admin.form("/token/introspect", token=token))
    assert found["active"] is True and found["cnf"] == {"jkt": proof.thumbprint()} and found["token_type"] == "DPoP"


def test_a_bound_token_is_nothing_without_its_key(idp: Idp, agent: Agent, endpoint: str) -> None:
    proof, other = Proof(), Proof()
    token = ok(bound_token(idp, agent, proof, endpoint))["access_token"]
    url = idp.root + API + "/agents"
    now = int(time.time())
    bad = {
        "no proof": None,
        "another key": other.sign("GET", url, token),
        "another method": proof.sign("POST", url, token),
        "another url": proof.sign("GET", url + "/x", token),
        "no token hash": proof.sign("GET", url),
        "another token's hash": proof.sign("GET", url, "x"),
        "long ago": proof.sign("GET", url, token, iat=now - 3600),
        "to come": proof.sign("GET", url, token, iat=now + 3600),
        "no jti": proof.sign("GET", url, token, jti=...),
        "another type": proof.sign("GET", url, token, typ="JWT"),
        "text": "x",
    }
    for how, text in bad.items():
        reply = use(idp, token, text)
        assert_error(reply, 401, "UNAUTHORIZED"), how
        assert "DPoP" in reply.headers["www-authenticate"], how
    assert_error(use(idp, token, proof.sign("GET", url, token), "Bearer"), 401, "UNAUTHORIZED")
    ok(use(idp, token, proof.sign("GET", url, token)))


def test_proofs_at_the_token_endpoint_that_are_refused(idp: Idp, agent: Agent, endpoint: str) -> None:
    proof = Proof()
    form = {"grant_type": "client_credentials", "client_id": agent.id, "client_secret": agent.secret}
    signed = proof.sign("POST", endpoint)
    head, payload, _ = signed.split(".")
    for text in ("x", proof.sign("GET", endpoint), proof.sign("POST", endpoint + "/x"), f"{head}.{payload}.{b64u(bytes(64))}"):
        reply = idp.nobody.ask("POST", "/token", data=form, headers={"DPoP": text})
        assert_oauth_error(reply, 400, "invalid_dpop_proof")
    ok(idp.nobody.ask("POST", "/token", data=form, headers={"DPoP": signed}))
    assert_oauth_error(idp.nobody.ask("POST", "/token", data=form, headers={"DPoP": signed}), 400, "invalid_dpop_proof")


def test_an_unbound_token_takes_no_proof(idp: Idp, agent: Agent) -> None:
    proof = Proof()
    token = agent.login().token
    assert use(idp, token, proof.sign("GET", idp.root + API + "/agents", token)).status_code == 401
    ok(use(idp, token, None, "Bearer"))
