"""Rows 36 to 41: partners whose tokens are believed. Contract section 11."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from agentidp.contract import NOBODY, NOT_IDS, assert_error, assert_id, later, parse_time, pass_by
from agentidp.idp import Caller, Idp, fresh, gone, ok
from agentidp.issuer import Issuer
from agentidp.jwts import forged, part
from agentidp.listener import Listener

FIELDS = {"id", "name", "issuer", "jwks_uri", "allowed_organizations", "status", "expires_at", "created_at", "updated_at"}


@pytest.fixture(scope="module")
def listener() -> Iterator[Listener]:
    with Listener() as running:
        yield running


@pytest.fixture
def issuer(listener: Listener) -> Issuer:
    return Issuer(listener, fresh("/issuer-"))


def trust(admin: Caller, issuer: Issuer, **changes: object) -> dict:
    body = {"name": "Partner", "issuer": issuer.url, "jwksUri": issuer.jwks_url} | changes
    return ok(admin.post("/federation/trust", {name: value for name, value in body.items() if value is not ...}), 201)


def valid(caller: Caller, token: str) -> bool:
    """Whether a partner's token is believed; a refusal may be an answer or an error."""
    reply = caller.post("/federation/verify", {"token": token})
    if reply.status_code == 200:
        return reply.json()["valid"]
    assert reply.status_code in (400, 401, 403), reply.text
    return False


def partners(caller: Caller) -> list[dict]:
    answer = caller.get("/federation/partners", limit=100).json()
    return answer if isinstance(answer, list) else answer["data"]


def test_trust(admin: Caller, issuer: Issuer) -> None:
    partner = trust(admin, issuer)
    assert set(partner) >= FIELDS - {"expires_at"}
    assert_id(partner["id"])
    assert (partner["name"], partner["issuer"], partner["jwks_uri"]) == ("Partner", issuer.url, issuer.jwks_url)
    assert (partner["status"], partner["allowed_organizations"]) == ("active", [])
    parse_time(partner["created_at"])
    assert ok(admin.get(f"/federation/partners/{partner['id']}")) == partner
    assert partner in partners(admin)
    again = admin.post("/federation/trust", {"name": "Again", "issuer": issuer.url, "jwksUri": issuer.jwks_url})
    assert again.status_code == 409


def test_the_other_spelling(admin: Caller, issuer: Issuer) -> None:
    assert trust(admin, issuer, jwksUri=..., jwks_uri=issuer.jwks_url)["jwks_uri"] == issuer.jwks_url


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("name", value) for value in ("", "x", "x" * 101, 5, ...)),
        *(("issuer", value) for value in ("", "not a uri", 5, ...)),
        *(("jwksUri", value) for value in ("", "not a uri", "file:///etc/passwd", 5, ...)),
    ],
)
def test_partners_out_of_bounds(admin: Caller, issuer: Issuer, name: str, value: object) -> None:
    body = {"name": "Partner", "issuer": issuer.url, "jwksUri": issuer.jwks_url} | {name: value}
    reply = admin.post("/federation/trust", {each: given for each, given in body.items() if given is not ...})
    assert_error(reply, 400, "VALIDATION_ERROR", field=name)


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
def test_verify(idp: Idp, admin: Caller, issuer: Issuer, algorithm: str) -> None:
    issuer.rotate(algorithm)
    trust(admin, issuer)
    token = issuer.sign(sub="them-1", extra="kept")
    found = ok(idp.agent().login("agents:read").post("/federation/verify", {"token": token}))
    assert found["valid"] is True
    assert (found["issuer"], found["subject"]) == (issuer.url, "them-1")
    assert found["claims"]["extra"] == "kept"
    assert "organizationId" in found


def test_what_is_not_believed(admin: Caller, issuer: Issuer, listener: Listener) -> None:
    trust(admin, issuer)
    stranger = Issuer(listener, fresh("/stranger-"))
    token = issuer.sign()
    now = int(time.time())
    assert valid(admin, token) is True
    assert not valid(admin, stranger.sign()), "nobody trusts it"
    assert not valid(admin, stranger.sign(iss=issuer.url)), "another's key"
    assert not valid(admin, issuer.sign(iss=issuer.url + "/")), "the issuer is compared exactly"
    assert not valid(admin, issuer.sign(iat=now - 1000, exp=now - 500)), "expired"
    assert not valid(admin, issuer.sign(exp=...)), "it never ends"
    assert not valid(admin, issuer.sign(nbf=now + 3600)), "not yet"
    for how, text in forged(token).items():
        assert not valid(admin, text), how
    # The partner's public key is no secret to sign with.
    confused = part({"alg": "HS256", "typ": "JWT", "kid": issuer.kid}) + "." + token.split(".")[1] + ".AAAA"
    assert not valid(admin, confused)
    assert_error(admin.post("/federation/verify", {}), 400, "VALIDATION_ERROR", field="token")


def test_a_new_key_is_fetched(admin: Caller, issuer: Issuer) -> None:
    trust(admin, issuer)
    assert valid(admin, issuer.sign())
    issuer.rotate()
    assert valid(admin, issuer.sign()), "an unknown kid makes it look again"


def test_update(admin: Caller, issuer: Issuer) -> None:
    partner = trust(admin, issuer)
    path = f"/federation/partners/{partner['id']}"
    changed = ok(admin.patch(path, {"name": "New name"}))
    assert changed == partner | {"name": "New name", "updated_at": changed["updated_at"]}
    assert ok(admin.patch(path, {"status": "suspended"}))["status"] == "suspended"
    assert not valid(admin, issuer.sign())
    assert ok(admin.patch(path, {"status": "active"}))["status"] == "active"
    assert valid(admin, issuer.sign())
    for name, value in (("name", "x"), ("status", "gone")):
        assert_error(admin.patch(path, {name: value}), 400, "VALIDATION_ERROR", field=name)


def test_expiry(admin: Caller, issuer: Issuer) -> None:
    moment = later(1.0)
    partner = trust(admin, issuer, expires_at=moment)
    assert partner["expires_at"] == moment
    assert valid(admin, issuer.sign())
    pass_by(moment)
    assert not valid(admin, issuer.sign())
    assert ok(admin.get(f"/federation/partners/{partner['id']}"))["status"] == "expired"


def test_allowed_organizations(admin: Caller, issuer: Issuer) -> None:
    trust(admin, issuer, allowed_organizations=["org-a", "org-b"])
    assert valid(admin, issuer.sign(organization_id="org-a"))
    assert not valid(admin, issuer.sign(organization_id="org-c"))
    assert not valid(admin, issuer.sign())


def test_delete(admin: Caller, issuer: Issuer) -> None:
    partner = trust(admin, issuer)
    token = issuer.sign()
    assert valid(admin, token)
    path = f"/federation/partners/{partner['id']}"
    gone(admin.delete(path))
    assert not valid(admin, token)
    assert partner["id"] not in {each["id"] for each in partners(admin)}
    assert_error(admin.get(path), 404, "PARTNER_NOT_FOUND")
    trust(admin, issuer)
    assert valid(admin, token), "trusted anew"


@pytest.mark.parametrize("unknown", [NOBODY, *NOT_IDS])
def test_partners_that_do_not_exist(admin: Caller, unknown: str) -> None:
    path = f"/federation/partners/{unknown}"
    for reply in (admin.get(path), admin.patch(path, {"name": "New name"}), admin.delete(path)):
        assert_error(reply, 404, "PARTNER_NOT_FOUND")
