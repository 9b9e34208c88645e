"""Authlib, as its users use it: both secret methods, the agent's own key, introspection and revocation."""

from __future__ import annotations

import pytest
from authlib.integrations.base_client.errors import OAuthError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT

from agentidp.idp import Agent, Idp, ok
from agentidp.keys import AgentWithKey, agent_with_key


@pytest.fixture(scope="module")
def metadata(idp: Idp) -> dict:
    return ok(idp.nobody.root("GET", "/.well-known/oauth-authorization-server"))


def walk(idp: Idp, session: OAuth2Session, metadata: dict, agent_id: str) -> None:
    """Fetches a token, uses it, asks about it and revokes it."""
    token = session.fetch_token(metadata["token_endpoint"], grant_type="client_credentials", scope="agents:read tokens:read")
    assert token["token_type"] == "Bearer" and not token.is_expired()
    assert session.get(f"{idp.root}/api/v1/agents/{agent_id}").json()["agentId"] == agent_id
    found = session.introspect_token(metadata["introspection_endpoint"], token=token["access_token"]).json()
    assert found["active"] is True and found["sub"] == agent_id
    assert session.revoke_token(metadata["revocation_endpoint"], token=token["access_token"]).status_code == 200
    found = session.introspect_token(metadata["introspection_endpoint"], token=token["access_token"]).json()
    assert found == {"active": False}
    assert session.get(f"{idp.root}/api/v1/agents/{agent_id}").status_code == 401


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_secrets(idp: Idp, metadata: dict, agent: Agent, method: str) -> None:
    session = OAuth2Session(agent.id, agent.secret, token_endpoint_auth_method=method, revocation_endpoint_auth_method=method)
    walk(idp, session, metadata, agent.id)


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_wrong_secrets(metadata: dict, agent: Agent, method: str) -> None:
    session = OAuth2Session(agent.id, agent.secret + "x", token_endpoint_auth_method=method)
    with pytest.raises(OAuthError) as refused:
        session.fetch_token(metadata["token_endpoint"], grant_type="client_credentials")
    assert refused.value.error == "invalid_client"


@pytest.fixture(scope="module")
def keyed(idp: Idp) -> AgentWithKey:
    return agent_with_key(idp)


def test_private_key_jwt(idp: Idp, metadata: dict, keyed: AgentWithKey) -> None:
    session = OAuth2Session(
        keyed.id, keyed.okp(), token_endpoint_auth_method="private_key_jwt", revocation_endpoint_auth_method="private_key_jwt"
    )
    session.register_client_auth_method(PrivateKeyJWT(metadata["token_endpoint"], alg="EdDSA"))
    walk(idp, session, metadata, keyed.id)


def test_private_key_jwt_with_another_key(metadata: dict, idp: Idp, keyed: AgentWithKey) -> None:
    other = agent_with_key(idp)
    session = OAuth2Session(keyed.id, other.okp(), token_endpoint_auth_method="private_key_jwt")
    session.register_client_auth_method(PrivateKeyJWT(metadata["token_endpoint"], alg="EdDSA"))
    with pytest.raises(OAuthError) as refused:
        session.fetch_token(metadata["token_endpoint"], grant_type="client_credentials")
    assert refused.value.error == "invalid_client"


@pytest.mark.anyio
async def test_the_asynchronous_client(idp: Idp, metadata: dict, agent: Agent) -> None:
    async with AsyncOAuth2Client(agent.id, agent.secret, scope="agents:read", token_endpoint=metadata["token_endpoint"]) as client:
        token = await client.fetch_token(metadata["token_endpoint"], grant_type="client_credentials")
        assert (await client.get(f"{idp.root}/api/v1/agents/{agent.id}")).status_code == 200
        found = await client.introspect_token(metadata["introspection_endpoint"], token=token["access_token"])
        assert found.json()["active"] is True
