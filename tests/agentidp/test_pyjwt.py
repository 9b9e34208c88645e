"""PyJWT checks the tokens by the key set alone, as a resource server that never asks us would."""

from __future__ import annotations

from collections.abc import Callable

import jwt
import pytest
from jwt import PyJWKClient

from agentidp.idp import Agent, Caller, Idp, ok
from agentidp.jwts import forged, from_b64u, header_of
from daemon import Daemon


def check(idp: Idp, token: str, algorithm: str) -> dict:
    """Every check that PyJWT has, with what discovery says."""
    discovery = ok(idp.nobody.root("GET", "/.well-known/openid-configuration"))
    key = PyJWKClient(discovery["jwks_uri"]).get_signing_key_from_jwt(token)
    return jwt.decode(
        token, key, [algorithm], issuer=discovery["issuer"], options={"require": ["exp", "iat", "sub", "jti"], "verify_aud": False}
    )


def test_tokens_verify_by_the_key_set(idp: Idp, agent: Agent) -> None:
    claims = check(idp, agent.login().token, "EdDSA")
    assert claims["sub"] == agent.id


def test_id_tokens_too(idp: Idp, agent: Agent) -> None:
    issued = ok(idp.request_token(client_id=agent.id, client_secret=agent.secret, scope="openid"))
    assert check(idp, issued["id_token"], "EdDSA")["sub"] == agent.id


def test_what_we_refuse_it_refuses(idp: Idp, agent: Agent) -> None:
    for how, text in forged(agent.login().token).items():
        with pytest.raises(jwt.PyJWTError):
            check(idp, text, "EdDSA")
            pytest.fail(how)


def test_rs256_where_it_is_configured(new_daemon: Callable[..., Daemon]) -> None:
    """As the vendor's own clients expect it; a token signed before the change is good until it ends."""
    daemon = new_daemon("--public-url", "https://id.outside.example").start()
    idp = Idp(daemon)
    agent = idp.agent()
    before = agent.login().token
    idp.close()
    daemon.stop()
    daemon.options = (*daemon.options, "--token-algorithm", "rs256")
    daemon.start()
    idp = Idp(daemon)
    token = idp.login(agent.id, agent.secret).token
    header = header_of(token)
    assert (header["alg"], header["typ"]) == ("RS256", "JWT")
    keys = {key["kid"]: key for key in ok(idp.nobody.root("GET", "/.well-known/jwks.json"))["keys"]}
    assert keys[header["kid"]]["kty"] == "RSA"
    assert int.from_bytes(from_b64u(keys[header["kid"]]["n"]), "big").bit_length() >= 2048
    jwks = PyJWKClient(idp.root + "/.well-known/jwks.json")
    options = {"require": ["exp", "iat", "sub", "jti"], "verify_aud": False}
    for text, algorithm in ((token, "RS256"), (before, "EdDSA")):
        assert jwt.decode(text, jwks.get_signing_key_from_jwt(text), [algorithm], options=options)["sub"] == agent.id  # type: ignore[arg-type]
        assert ok(idp.admin.form("/token/introspect", token=text))["active"] is True
        ok(Caller(idp.http, text).get("/agents", limit=1))
    with pytest.raises(jwt.PyJWTError):
        jwt.decode(token, jwks.get_signing_key_from_jwt(token), ["EdDSA"], options=options)  # type: ignore[arg-type]
    mode = {path.name: path.stat().st_mode & 0o777 for path in (daemon.data_dir / "keys").iterdir() if path.is_file()}
    assert set(mode.values()) == {0o600}, mode
    idp.close()
    daemon.stop()
