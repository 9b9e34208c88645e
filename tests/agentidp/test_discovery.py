"""Rows 46 to 49: metadata, keys, and who a bearer is. Contract sections 8 and 11; RFC 8414, RFC 7517."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx
import pytest

from agentidp.contract import assert_error
from agentidp.idp import CORE, Agent, Caller, Idp, ok
from agentidp.jwts import header_of


@pytest.fixture(scope="module")
def discovery(idp: Idp) -> dict:
    return ok(idp.nobody.root("GET", "/.well-known/openid-configuration"))


def test_openid_configuration(discovery: dict) -> None:
    assert set(discovery) >= {
        "issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "introspection_endpoint",
        "revocation_endpoint", "response_types_supported", "grant_types_supported", "subject_types_supported",
        "id_token_signing_alg_values_supported", "scopes_supported", "claims_supported",
        "token_endpoint_auth_methods_supported",
    }  # fmt: skip
    assert discovery["token_endpoint"].endswith("/api/v1/token")
    assert "client_credentials" in discovery["grant_types_supported"]
    assert "token" in discovery["response_types_supported"]
    assert "public" in discovery["subject_types_supported"]
    assert set(discovery["scopes_supported"]) >= {"openid", *CORE.split(" ")}
    assert set(discovery["token_endpoint_auth_methods_supported"]) >= {"client_secret_basic", "client_secret_post", "private_key_jwt"}
    assert set(discovery["claims_supported"]) >= {"sub", "iss", "exp", "iat"}
    assert "EdDSA" in discovery["id_token_signing_alg_values_supported"]


def test_urls_are_absolute_and_answer(idp: Idp, discovery: dict, agent: Agent) -> None:
    for name, value in discovery.items():
        if name == "issuer" or name.endswith(("_endpoint", "_uri")):
            parts = urlsplit(value)
            assert parts.scheme in ("http", "https") and parts.netloc, f"{name}: {value}"
            assert value.startswith(idp.daemon.url), f"{name}: {value}"
    form = {"grant_type": "client_credentials", "client_id": agent.id, "client_secret": agent.secret, "scope": CORE}
    token = ok(httpx.post(discovery["token_endpoint"], data=form))["access_token"]
    bearer = {"Authorization": f"Bearer {token}"}
    assert ok(httpx.post(discovery["introspection_endpoint"], data={"token": token}, headers=bearer))["active"] is True
    assert ok(httpx.get(discovery["userinfo_endpoint"], headers=bearer))["sub"] == agent.id
    assert ok(httpx.get(discovery["jwks_uri"]))["keys"]
    assert ok(httpx.post(discovery["revocation_endpoint"], data={"token": token}, headers=bearer)) == {}
    # The stub says no, and is no unknown path.
    stub = httpx.get(discovery["authorization_endpoint"])
    assert 400 <= stub.status_code < 500 and stub.status_code != 404 or stub.status_code == 501


def test_authorization_server_metadata(idp: Idp, discovery: dict) -> None:
    metadata = ok(idp.nobody.root("GET", "/.well-known/oauth-authorization-server"))
    for name in set(metadata) & set(discovery):
        assert metadata[name] == discovery[name], name
    assert set(metadata) >= {"issuer", "token_endpoint", "jwks_uri", "introspection_endpoint", "revocation_endpoint", "scopes_supported"}
    # RFC 8414 section 3.1: the well-known path goes between host and path of the issuer.
    issuer = urlsplit(metadata["issuer"])
    found = httpx.get(f"{issuer.scheme}://{issuer.netloc}/.well-known/oauth-authorization-server{issuer.path.rstrip('/')}")
    assert ok(found) == metadata


def test_jwks(idp: Idp, agent: Agent) -> None:
    keys = ok(idp.nobody.root("GET", "/.well-known/jwks.json"))["keys"]
    assert keys
    for key in keys:
        assert key["use"] == "sig" and key["kid"]
        assert not {"d", "p", "q", "dp", "dq", "qi", "k"} & set(key), "public members only"
        if key["kty"] == "OKP":
            assert (key["crv"], key["alg"]) == ("Ed25519", "EdDSA") and key["x"]
        else:
            assert (key["kty"], key["alg"]) == ("RSA", "RS256") and key["n"] and key["e"]
    assert len({key["kid"] for key in keys}) == len(keys)
    header = header_of(agent.login().token)
    assert [key["alg"] for key in keys if key["kid"] == header["kid"]] == [header["alg"]]


@pytest.mark.parametrize("document", ["openid-configuration", "oauth-authorization-server", "jwks.json", "did.json"])
def test_documents_are_cacheable_and_only_read(idp: Idp, document: str) -> None:
    reply = idp.nobody.root("GET", f"/.well-known/{document}")
    assert reply.status_code == 200
    assert "max-age" in reply.headers["cache-control"] and "no-store" not in reply.headers["cache-control"]
    assert idp.nobody.root("POST", f"/.well-known/{document}").status_code == 405


def test_agent_info(idp: Idp, admin: Caller, agent: Agent) -> None:
    caller = agent.login("audit:read")
    info = ok(caller.root("GET", "/agent-info"))
    assert set(info) >= {"sub", "agent_id", "agent_type", "organization_id", "capabilities", "deployment_env", "owner"}
    assert info["sub"] == info["agent_id"] == agent.id
    assert info["agent_type"] == agent.registered["agentType"]
    assert info["capabilities"] == agent.registered["capabilities"]
    assert (info["deployment_env"], info["owner"]) == ("production", "platform-team")
    ok(admin.patch(f"/agents/{agent.id}", {"owner": "the-new-owner"}))
    assert ok(caller.root("GET", "/agent-info"))["owner"] == "the-new-owner", "as it is now"
    assert_error(idp.nobody.root("GET", "/agent-info"), 401, "UNAUTHORIZED")
