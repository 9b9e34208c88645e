"""Contract, sections 2 to 4: identities, certificates, and the states they pass through."""

from __future__ import annotations

from datetime import timedelta

import httpx
import pytest

from orgkernel.canonical import b64u, certificate_preimage, fingerprint, from_b64u, parse_time, signed_by
from orgkernel.contract import (
    CERTIFICATE_FIELDS,
    IDENTITY_FIELDS,
    IDENTITY_OUT_FIELDS,
    ISSUE_RESULT_FIELDS,
    PAGE_FIELDS,
    UNKNOWN_AGENT,
    VERIFY_RESULT_FIELDS,
    Agent,
    assert_error,
    csr,
    fresh,
    issue,
    later,
    ok,
)


@pytest.fixture(scope="module")
def ca(kernel: httpx.Client) -> dict:
    return ok(kernel.get("/ca"))  # type: ignore[return-value]


@pytest.fixture
def agent(kernel: httpx.Client) -> Agent:
    return issue(kernel)


def act(kernel: httpx.Client, agent_id: str, operation: str) -> httpx.Response:
    body = {"revoked_by": "aid_admin01", "reason": "key rotation required"} if operation == "revoke" else None
    return kernel.post(f"/identity/{agent_id}/{operation}", json=body)


def get(kernel: httpx.Client, agent_id: str) -> dict:
    return ok(kernel.get(f"/identity/{agent_id}"))  # type: ignore[return-value]


def test_the_ca(ca: dict) -> None:
    assert set(ca) == {"algorithm", "public_key", "ca_fingerprint"}
    assert ca["algorithm"] == "Ed25519"
    assert len(ca["public_key"]) == 43 and len(from_b64u(ca["public_key"])) == 32
    assert ca["ca_fingerprint"] == fingerprint(ca["public_key"])


def test_issue(kernel: httpx.Client, ca: dict) -> None:
    name = fresh("issued-")
    result = ok(kernel.post("/identity/issue", json=csr(agent_name=name, metadata={"team": "köln"})))
    assert set(result) == ISSUE_RESULT_FIELDS  # type: ignore[call-overload]
    identity, certificate = result["identity"], result["certificate"]  # type: ignore[index]
    assert set(identity) == IDENTITY_FIELDS
    assert set(certificate) == CERTIFICATE_FIELDS
    assert identity["agent_name"] == certificate["agent_name"] == name
    assert identity["org_id"] == certificate["org_id"] == "contract-corp"
    assert identity["issued_by"] == certificate["issued_by"] == "finance_team"
    assert identity["status"] == certificate["status"] == "ACTIVE"
    assert identity["metadata"] == {"team": "köln"}
    assert (identity["valid_until"], identity["revoked_at"], identity["revoked_by"]) == (None, None, None)
    assert identity["revocation_reason"] is None
    assert certificate["certificate_id"] == certificate["agent_id"] == identity["agent_id"]
    fingerprints = {result["ca_fingerprint"], identity["org_ca_fingerprint"], certificate["ca_fingerprint"]}  # type: ignore[index]
    assert fingerprints == {ca["ca_fingerprint"]}
    assert parse_time(certificate["issued_at"]) == parse_time(identity["issued_at"])


def test_the_agents_id_is_in_the_pattern(agent: Agent) -> None:
    assert agent.id.startswith("aid_") and 10 <= len(agent.id) <= 32
    assert agent.id[4:].isalnum() and agent.id == agent.id.lower()


def test_the_private_key_is_the_identitys_and_is_shown_once(kernel: httpx.Client, agent: Agent) -> None:
    pem = agent.issued["agent_private_key_pem"]
    assert agent.issued["private_key_pem"] == pem
    assert pem.startswith("-----BEGIN PRIVATE KEY-----\n")
    assert b64u(agent.private_key.public_key().public_bytes_raw()) == agent.public_key
    assert agent.issued["certificate"]["public_key"] == agent.public_key
    for reply in (kernel.get(f"/identity/{agent.id}"), kernel.get(f"/identity/{agent.id}/certificate")):
        assert "PRIVATE" not in reply.text
    assert "PRIVATE" not in kernel.get("/identity/org/contract-corp").text


def test_the_csrs_key_is_not_used(kernel: httpx.Client) -> None:
    theirs = b64u(bytes(range(7, 39)))
    assert issue(kernel, public_key=theirs).public_key != theirs
    # Neither need it be a key at all: only its shape is looked at.
    issue(kernel, public_key="A" * 44)
    issue(kernel, public_key="_" * 43)


@pytest.mark.parametrize("ou", ["finance_team", "Köln-経理", "a", "x" * 64, 'quote"\\slash/', "line\nfeed\x7f\x00", "😀"])
@pytest.mark.parametrize("days", [None, 1, 3650])
def test_certificates_are_signed_by_the_ca(kernel: httpx.Client, ca: dict, ou: str, days: int | None) -> None:
    agent = issue(kernel, requested_ou=ou, requested_validity_days=days)
    certificate = agent.issued["certificate"]
    assert certificate["issued_by"] == ou
    assert len(certificate["ca_signature"]) == 86
    assert signed_by(ca["public_key"], certificate_preimage(certificate), certificate["ca_signature"])
    if days is None:
        assert certificate["valid_until"] is None
    else:
        lifetime = parse_time(certificate["valid_until"]) - parse_time(certificate["issued_at"])
        assert lifetime == timedelta(days=days)
    # The signature is over these bytes and no others.
    for name, value in (("agent_name", "someone-else"), ("org_id", "other-corp"), ("valid_until", "2099-01-01T00:00:00Z")):
        assert not signed_by(ca["public_key"], certificate_preimage(certificate | {name: value}), certificate["ca_signature"])


def test_the_certificate_stays_as_it_was_issued(kernel: httpx.Client, agent: Agent) -> None:
    issued = agent.issued["certificate"]
    for operation, status in (("suspend", "SUSPENDED"), ("reactivate", "ACTIVE"), ("revoke", "REVOKED")):
        ok(act(kernel, agent.id, operation))
        certificate = ok(kernel.get(f"/identity/{agent.id}/certificate"))
        assert set(certificate) == CERTIFICATE_FIELDS  # type: ignore[call-overload]
        assert certificate["status"] == status  # type: ignore[index]
        assert certificate["ca_signature"] == issued["ca_signature"]  # type: ignore[index]
        assert certificate_preimage(certificate) == certificate_preimage(issued)  # type: ignore[arg-type]


GOOD = {
    "agent_name": ["ab", "a" * 60, "a_b-c9"],
    "requested_ou": ["x" * 64, " ", "a"],
    "purpose": ["p", "x" * 256, "zwölf"],
    "public_key": ["A" * 43, "A" * 44, "-_" * 21 + "a"],
    "metadata": [{}, {"a": ""}, {"": "x"}],
    "requested_validity_days": [1, 3650, None],
}
BAD = {
    "agent_name": ["", "a", "a" * 65, "Upper", "9a", "-a", "_a", "a b", "a\n", "ä-name", 5, None, ...],
    "org_id": ["", "a", "a" * 65, "Upper", "a_b", "9a", "a\n", 5, None, ...],
    "requested_ou": ["", "x" * 65, 5, None, ...],
    "purpose": ["", "x" * 257, 5, None, ...],
    "public_key": ["", "A" * 42, "A" * 45, "A" * 42 + "=", "A" * 42 + "+", "A" * 42 + "/", "A" * 43 + "\n", 5, None, ...],
    "metadata": [[], "x", {"a": 5}, {"a": None}, {"a": {}}],
    "requested_validity_days": [0, -1, 3651, 1.5, "x", 10**30],
}


def each(table: dict[str, list]) -> list[tuple[str, object]]:
    return [(name, value) for name, values in table.items() for value in values]


@pytest.mark.parametrize(("name", "value"), each(GOOD))
def test_csrs_within_bounds(kernel: httpx.Client, name: str, value: object) -> None:
    changes = {name: value, "org_id": fresh("bounds-")}
    assert kernel.post("/identity/csr/submit", json=csr(**changes)).status_code == 200
    assert kernel.post("/identity/issue", json=csr(**changes)).status_code == 200


@pytest.mark.parametrize("path", ["/identity/issue", "/identity/csr/submit"])
@pytest.mark.parametrize(("name", "value"), each(BAD))
def test_csrs_out_of_bounds(kernel: httpx.Client, path: str, name: str, value: object) -> None:
    reply = kernel.post(path, json=csr(**{name: value}))
    assert_error(reply, 422)
    assert reply.json()["detail"][0]["loc"][:2] == ["body", name]


def test_a_csr_is_echoed_and_stores_nothing(kernel: httpx.Client) -> None:
    body = csr(metadata={"a": "b"}, requested_validity_days=30)
    echoed = ok(kernel.post("/identity/csr/submit", json=body))
    assert {name: echoed[name] for name in body} == body  # type: ignore[index]
    assert echoed["csr_id"].startswith("csr_") and echoed["submitted_at"]  # type: ignore[index]
    sent = body | {"csr_id": "csr_mine", "submitted_at": "2026-01-02T03:04:05Z"}
    echoed = ok(kernel.post("/identity/csr/submit", json=sent))
    assert echoed["csr_id"] == "csr_mine"  # type: ignore[index]
    assert parse_time(echoed["submitted_at"]) == parse_time("2026-01-02T03:04:05Z")  # type: ignore[index]
    listed = ok(kernel.get(f"/identity/org/{body['org_id']}"))
    assert body["agent_name"] not in [identity["agent_name"] for identity in listed]  # type: ignore[union-attr]
    issue(kernel, **body)


def test_a_name_is_taken_for_good(kernel: httpx.Client) -> None:
    body = csr()
    agent = issue(kernel, **body)
    legacy = {"agent_name": body["agent_name"], "org_id": body["org_id"], "issued_by": "someone"}

    def taken() -> None:
        assert_error(kernel.post("/identity/issue", json=body), 409)
        assert_error(kernel.post("/identity/csr/submit", json=body), 409)
        assert_error(kernel.post("/identity/", json=legacy), 409)

    taken()
    ok(act(kernel, agent.id, "suspend"))
    taken()
    ok(act(kernel, agent.id, "revoke"))
    taken()
    issue(kernel, **(body | {"org_id": fresh("other-")}))


def test_legacy_issue(kernel: httpx.Client, ca: dict) -> None:
    until = later(86_400)
    body = {"agent_name": fresh("legacy-"), "org_id": "contract-corp", "issued_by": "ops", "valid_until": until, "metadata": {"a": "b"}}
    identity = ok(kernel.post("/identity/", json=body))
    assert set(identity) >= IDENTITY_OUT_FIELDS  # type: ignore[call-overload]
    assert identity["issued_by"] == "ops" and identity["metadata"] == {"a": "b"}  # type: ignore[index]
    assert identity["is_active"] is True  # type: ignore[index]
    assert parse_time(identity["valid_until"]) == parse_time(until)  # type: ignore[index]
    certificate = ok(kernel.get(f"/identity/{identity['agent_id']}/certificate"))  # type: ignore[index]
    assert signed_by(ca["public_key"], certificate_preimage(certificate), certificate["ca_signature"])  # type: ignore[arg-type,index]
    bare = kernel.post("/identity", json=body | {"agent_name": fresh("legacy-")}, follow_redirects=True)
    assert bare.status_code == 200


@pytest.mark.parametrize(
    ("name", "value"),
    [("agent_name", "X"), ("org_id", "x_y"), ("issued_by", ""), ("issued_by", "x" * 65), ("valid_until", "soon"),
     ("valid_until", "2099-01-01T00:00:00"), ("metadata", [])],
)  # fmt: skip
def test_legacy_issue_has_bounds(kernel: httpx.Client, name: str, value: object) -> None:
    body = {"agent_name": fresh("legacy-"), "org_id": "contract-corp", "issued_by": "ops"}
    assert_error(kernel.post("/identity/", json=body | {name: value}), 422)


def test_an_identity_past_its_date_is_not_active(kernel: httpx.Client) -> None:
    body = {"agent_name": fresh("past-"), "org_id": fresh("past-org-"), "issued_by": "ops", "valid_until": "2020-01-01T00:00:00Z"}
    reply = kernel.post("/identity/", json=body)
    if reply.status_code == 422:
        return  # A daemon may refuse what could never be used.
    identity = ok(reply)
    agent_id = identity["agent_id"]  # type: ignore[index]
    shown = get(kernel, agent_id)
    assert shown["is_active"] is False
    assert ok(kernel.post("/identity/verify", json={"agent_id": agent_id}))["is_active"] is False  # type: ignore[index]
    # Whatever status it is given, get, list, page and filter agree.
    (listed,) = ok(kernel.get(f"/identity/org/{body['org_id']}"))  # type: ignore[misc]
    assert listed == shown
    (filtered,) = ok(kernel.get(f"/identity/org/{body['org_id']}", params={"status": shown["status"]}))  # type: ignore[misc]
    assert filtered == shown
    assert ok(kernel.get(f"/identity/org/{body['org_id']}/page"))["items"] == [shown]  # type: ignore[index]
    mint = {"agent_id": agent_id, "mission_id": fresh("msn_past"), "execution_scope": ["read"], "expires_at": later()}
    assert_error(kernel.post("/token/mint", json=mint), 409, 400, 403)


def test_get(kernel: httpx.Client, agent: Agent) -> None:
    identity = get(kernel, agent.id)
    assert set(identity) == IDENTITY_OUT_FIELDS
    assert {name: identity[name] for name in IDENTITY_FIELDS} == agent.issued["identity"]
    assert identity["is_active"] is True
    assert_error(kernel.get(f"/identity/{UNKNOWN_AGENT}"), 404)
    assert_error(kernel.get(f"/identity/{UNKNOWN_AGENT}/certificate"), 404)


# Operations in a row, and the status after them; None for a refusal, which changes nothing.
STATES = [
    (["suspend"], "SUSPENDED"),
    (["reactivate"], "ACTIVE"),
    (["revoke"], "REVOKED"),
    (["suspend", "suspend"], "SUSPENDED"),
    (["suspend", "reactivate"], "ACTIVE"),
    (["suspend", "revoke"], "REVOKED"),
    (["suspend", "reactivate", "suspend"], "SUSPENDED"),
    (["revoke", "suspend"], None),
    (["revoke", "reactivate"], None),
    (["revoke", "revoke"], None),
]


@pytest.mark.parametrize(("operations", "status"), STATES, ids=lambda value: "+".join(value) if isinstance(value, list) else value)
def test_the_state_machine(kernel: httpx.Client, agent: Agent, operations: list[str], status: str | None) -> None:
    *before, last = operations
    for operation in before:
        ok(act(kernel, agent.id, operation))
    was = get(kernel, agent.id)
    reply = act(kernel, agent.id, last)
    if status is None:
        assert_error(reply, 400, 409)
        assert get(kernel, agent.id) == was
        return
    identity = ok(reply)
    assert set(identity) == IDENTITY_OUT_FIELDS  # type: ignore[call-overload]
    assert identity == get(kernel, agent.id)
    assert identity["status"] == status  # type: ignore[index]
    assert identity["is_active"] is (status == "ACTIVE")  # type: ignore[index]
    verified = ok(kernel.post("/identity/verify", json={"agent_id": agent.id}))
    assert verified["is_active"] is (status == "ACTIVE")  # type: ignore[index]


def test_revocation_says_who_why_and_when(kernel: httpx.Client, agent: Agent) -> None:
    body = {"revoked_by": "aid_admin01", "reason": "agent compromised — key rotation required"}
    identity = ok(kernel.post(f"/identity/{agent.id}/revoke", json=body))
    assert identity["revoked_by"] == body["revoked_by"]  # type: ignore[index]
    assert identity["revocation_reason"] == body["reason"]  # type: ignore[index]
    assert parse_time(identity["revoked_at"]) >= parse_time(identity["issued_at"])  # type: ignore[index]
    assert_error(kernel.post(f"/identity/{agent.id}/revoke", json={"revoked_by": "x", "reason": "y"}), 400, 409)
    assert get(kernel, agent.id) == identity


@pytest.mark.parametrize(
    "body",
    [{}, {"revoked_by": "x"}, {"reason": "y"}, {"revoked_by": "", "reason": "y"}, {"revoked_by": "x", "reason": ""},
     {"revoked_by": "x" * 65, "reason": "y"}, {"revoked_by": "x", "reason": "y" * 501}, {"revoked_by": 1, "reason": "y"}],
)  # fmt: skip
def test_revocation_has_bounds(kernel: httpx.Client, agent: Agent, body: dict) -> None:
    assert_error(kernel.post(f"/identity/{agent.id}/revoke", json=body), 422)
    assert get(kernel, agent.id)["status"] == "ACTIVE"


@pytest.mark.parametrize("operation", ["suspend", "reactivate", "revoke"])
def test_unknown_agents_have_no_states(kernel: httpx.Client, operation: str) -> None:
    assert_error(act(kernel, UNKNOWN_AGENT, operation), 404)


def test_static_verify(kernel: httpx.Client, agent: Agent) -> None:
    result = ok(kernel.post("/identity/verify", json={"agent_id": agent.id}))
    assert set(result) == VERIFY_RESULT_FIELDS  # type: ignore[call-overload]
    assert result["agent_id"] == agent.id and result["is_active"] is True and result["is_valid"] is True  # type: ignore[index]
    unknown = ok(kernel.post("/identity/verify", json={"agent_id": UNKNOWN_AGENT}))
    assert unknown["agent_id"] == UNKNOWN_AGENT  # type: ignore[index]
    assert unknown["is_active"] is False and unknown["is_valid"] is False  # type: ignore[index]
    assert isinstance(unknown["message"], str)  # type: ignore[index]
    for bad in ("short", "x" * 33, 5, None):
        assert_error(kernel.post("/identity/verify", json={"agent_id": bad}), 422)
    assert_error(kernel.post("/identity/verify", json={}), 422)


def test_lists(kernel: httpx.Client) -> None:
    org = fresh("listed-")
    agents = [issue(kernel, org_id=org) for _ in range(4)]
    ok(act(kernel, agents[1].id, "suspend"))
    ok(act(kernel, agents[2].id, "revoke"))
    listed = ok(kernel.get(f"/identity/org/{org}"))
    assert [identity["agent_id"] for identity in listed] == [agent.id for agent in agents[::-1]]  # type: ignore[union-attr]
    assert listed == [get(kernel, agent.id) for agent in agents[::-1]]
    by_status = {"ACTIVE": [3, 0], "SUSPENDED": [1], "REVOKED": [2], "EXPIRED": []}
    for status, expected in by_status.items():
        ids = [agents[at].id for at in expected]
        filtered = ok(kernel.get(f"/identity/org/{org}", params={"status": status}))
        assert [identity["agent_id"] for identity in filtered] == ids  # type: ignore[union-attr]
        page = ok(kernel.get(f"/identity/org/{org}/page", params={"status": status}))
        assert set(page) == PAGE_FIELDS  # type: ignore[call-overload]
        assert [item["agent_id"] for item in page["items"]] == ids and page["total"] == len(ids)  # type: ignore[index]
    page = ok(kernel.get(f"/identity/org/{org}/page", params={"page_size": 3}))
    assert page["items"] == listed[:3] and page["has_next"] is True  # type: ignore[index]
    for path in (f"/identity/org/{org}", f"/identity/org/{org}/page"):
        assert_error(kernel.get(path, params={"status": "ASLEEP"}), 422)
    assert ok(kernel.get("/identity/org/nobodys-corp")) == []


def test_an_org_may_be_called_as_a_route_is(kernel: httpx.Client) -> None:
    agent = issue(kernel, org_id="certificate")
    listed = ok(kernel.get("/identity/org/certificate"))
    assert agent.id in [identity["agent_id"] for identity in listed]  # type: ignore[union-attr]
    issue(kernel, org_id="page")
    assert len(ok(kernel.get("/identity/org/page"))) == 1  # type: ignore[arg-type]
