"""Rows 46 to 49: metadata, keys, and who a bearer is. Contract sections 8 and 11; RFC 8414, RFC 7517."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx
import pytest

from agentidp.idp import Agent, Idp, ok
from agentidp.jwts import header_of


@pytest.fixture(scope="module")
def discovery(idp: Idp) -> dict:
    return ok(idp.nobody.root("GET", "/.well-known/openid-configuration"))


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
