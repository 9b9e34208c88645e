"""Rows 29 and 42 to 45: DID documents and agent cards. Contract section 11; W3C DID Core, did:web."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicNumbers

from agentidp.contract import NOBODY, assert_error, parse_time
from agentidp.idp import Agent, Caller, Idp, agent_body, gone, ok
from native import submit


@pytest.fixture(scope="module")
def native(idp: Idp) -> Iterator[httpx.Client]:
    with idp.daemon.admin() as client:
        yield client


def number(text: str) -> int:
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    assert len(raw) == 32
    return int.from_bytes(raw, "big")


def host(idp: Idp) -> str:
    return urlsplit(idp.root).netloc.replace(":", "%3A")


def test_document_has_the_agents_own_key(idp: Idp, admin: Caller) -> None:
    agent = ok(admin.post("/agents", agent_body()), 201)
    assert agent["did"] == f"did:web:{host(idp)}:agents:{agent['agentId']}"
    reply = idp.nobody.get(f"/agents/{agent['agentId']}/did")
    document = ok(reply)
    assert "max-age" in reply.headers["cache-control"]
    assert document["id"] == agent["did"] and document["@context"][0] == "https://www.w3.org/ns/did/v1"
    [method] = document["verificationMethod"]
    assert document["authentication"] == [method["id"]] and method["controller"] == agent["did"]
    jwk = method["publicKeyJwk"]
    assert (jwk["kty"], jwk["crv"]) == ("EC", "P-256") and "d" not in jwk
    # A point of the curve: the library refuses any other.
    EllipticCurvePublicNumbers(number(jwk["x"]), number(jwk["y"]), SECP256R1()).public_key()
    other = ok(idp.nobody.get(f"/agents/{idp.agent().id}/did"))
    assert other["verificationMethod"][0]["publicKeyJwk"]["x"] != jwk["x"]


def test_document_stands_where_did_web_looks(idp: Idp, agent: Agent) -> None:
    """did:web, section 3.2: the identifier's parts are the path, and `did.json` is the file."""
    document = ok(idp.nobody.get(f"/agents/{agent.id}/did"))
    _, _, authority, *path = document["id"].split(":")
    url = f"http://{authority.replace('%3A', ':')}/{'/'.join(path)}/did.json"
    assert ok(idp.http.get(url)) == document
    server = ok(idp.nobody.root("GET", "/.well-known/did.json"))
    assert ok(idp.http.get(f"http://{authority.replace('%3A', ':')}/.well-known/did.json")) == server
    assert server["id"] == document["controller"] == f"did:web:{host(idp)}"


def test_the_servers_document_has_the_keys_of_its_tokens(idp: Idp) -> None:
    server = ok(idp.nobody.root("GET", "/.well-known/did.json"))
    keys = ok(idp.nobody.root("GET", "/.well-known/jwks.json"))["keys"]
    assert [method["publicKeyJwk"] for method in server["verificationMethod"]] == keys and keys


def test_resolution(idp: Idp, admin: Caller, agent: Agent) -> None:
    result = ok(admin.get(f"/agents/{agent.id}/did/resolve"))
    assert set(result) >= {"didDocument", "didResolutionMetadata", "didDocumentMetadata"}
    assert result["didDocument"] == ok(idp.nobody.get(f"/agents/{agent.id}/did"))
    assert result["didDocumentMetadata"]["deactivated"] is False
    assert_error(idp.nobody.get(f"/agents/{agent.id}/did/resolve"), 401, "UNAUTHORIZED")
    assert_error(agent.login("audit:read").get(f"/agents/{agent.id}/did/resolve"), 403, "FORBIDDEN")
    assert_error(admin.get(f"/agents/{NOBODY}/did/resolve"), 404, "AGENT_NOT_FOUND")


def test_an_ended_agents_document_is_gone(idp: Idp, admin: Caller, agent: Agent) -> None:
    gone(admin.delete(f"/agents/{agent.id}"))
    for what in ("did", "did/card"):
        assert_error(idp.nobody.get(f"/agents/{agent.id}/{what}"), 410, "GONE")
        assert_error(idp.nobody.get(f"/agents/{NOBODY}/{what}"), 404, "AGENT_NOT_FOUND")
        assert_error(idp.nobody.get(f"/agents/no-id/{what}"), 404, "AGENT_NOT_FOUND")
    assert_error(admin.get(f"/agents/{agent.id}/did/resolve"), 410, "GONE")


def test_who_is_not_disclosed_is_not_there(idp: Idp, admin: Caller, native: httpx.Client) -> None:
    """An agent that another mount registered says nothing to strangers, and is resolved by its own tenant."""
    made = submit(native, "RegisterAgent", {"name": "quiet", "key": "make"})
    quiet = made["result"]["agent"]["id"]
    assert_error(idp.nobody.get(f"/agents/{quiet}/did"), 404, "AGENT_NOT_FOUND")
    assert_error(idp.nobody.get(f"/agents/{quiet}/did/card"), 404, "AGENT_NOT_FOUND")
    document = ok(admin.get(f"/agents/{quiet}/did/resolve"))["didDocument"]
    [method] = document["verificationMethod"]
    jwk = method["publicKeyJwk"]
    assert (jwk["kty"], jwk["crv"]) == ("OKP", "Ed25519")
    assert bytes.fromhex(made["result"]["agent"]["public_key"]) == number(jwk["x"]).to_bytes(32, "big")


def test_cards(idp: Idp, admin: Caller, agent: Agent) -> None:
    card = ok(idp.nobody.get(f"/agents/{agent.id}/did/card"))
    assert set(card) == {
        "did", "name", "agentType", "capabilities", "owner", "version", "deploymentEnv", "identityProvider", "issuedAt",
    }  # fmt: skip
    assert (card["did"], card["name"]) == (agent.registered["did"], agent.registered["email"])
    assert card["identityProvider"] == ok(idp.nobody.root("GET", "/.well-known/openid-configuration"))["issuer"]
    parse_time(card["issuedAt"])
    cards = ok(admin.get("/compliance/agent-cards"))
    assert card in cards
    ok(admin.patch(f"/agents/{agent.id}", {"status": "suspended"}))
    assert card["did"] not in [each["did"] for each in ok(admin.get("/compliance/agent-cards"))]
    assert_error(idp.nobody.get("/compliance/agent-cards"), 401, "UNAUTHORIZED")
