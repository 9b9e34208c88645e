"""Contract, section 6: execution tokens, what they allow, and how they end."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta, timezone

import httpx
import pytest

from orgkernel.canonical import parse_time, signed_by, token_preimage
from orgkernel.contract import (
    SCOPE_RESULT_FIELDS,
    TOKEN_FIELDS,
    UNKNOWN_AGENT,
    UNKNOWN_TOKEN,
    Agent,
    assert_error,
    fresh,
    issue,
    later,
    mint,
    mint_body,
    ok,
)


@pytest.fixture(scope="module")
def ca_key(kernel: httpx.Client) -> str:
    return ok(kernel.get("/ca"))["public_key"]  # type: ignore[index]


@pytest.fixture
def agent(kernel: httpx.Client) -> Agent:
    return issue(kernel)


def get(kernel: httpx.Client, token_id: str) -> dict:
    return ok(kernel.get(f"/token/{token_id}"))  # type: ignore[return-value]


def check(kernel: httpx.Client, token_id: str, tool: str = "read_invoice", params: object = ..., **more: object) -> list[str]:
    """The violations, by the normative part of each."""
    body = {"token_id": token_id, "tool_name": tool} | ({} if params is ... else {"params": params}) | more
    result = ok(kernel.post("/token/scope/check", json=body))
    assert set(result) == SCOPE_RESULT_FIELDS  # type: ignore[call-overload]
    assert result["token_id"] == token_id and result["tool_name"] == tool  # type: ignore[index]
    assert result["passed"] is not result["blocked"]  # type: ignore[index]
    assert result["passed"] is (result["violations"] == [])  # type: ignore[index]
    return [violation.split(":")[0] for violation in result["violations"]]  # type: ignore[index]


def test_mint(kernel: httpx.Client, agent: Agent, ca_key: str) -> None:
    body = mint_body(agent, execution_scope=["write_payment_draft", "read_invoice"])
    token = ok(kernel.post("/token/mint", json=body))
    assert set(token) == TOKEN_FIELDS  # type: ignore[call-overload]
    token_id = token["token_id"]  # type: ignore[index]
    assert token_id.startswith("tok_") and 10 <= len(token_id) <= 32 and token_id[4:].isalnum()
    assert token["execution_scope"] == ["write_payment_draft", "read_invoice"], "in the order of the request"  # type: ignore[index]
    assert (token["immutable_params"], token["bounded_params"]) == ({}, [])  # type: ignore[index]
    assert (token["used"], token["is_valid"]) == (False, True)  # type: ignore[index]
    assert (token["invalidated_at"], token["invalidation_reason"], token["boundary_snapshot_id"]) == (None,) * 3  # type: ignore[index]
    assert parse_time(token["expires_at"]) == parse_time(body["expires_at"])  # type: ignore[index]
    assert len(token["token_signature"]) == 86  # type: ignore[index]
    assert signed_by(ca_key, token_preimage(token), token["token_signature"])  # type: ignore[arg-type,index]
    assert get(kernel, token_id) == token


PARAMS = {
    "currency": "USD",
    "note": 'café 😀 "\\/\b\f\n\r\t\u0000\u001f\u007f\u2028',
    "integer": 1,
    "float": 1.0,
    "big": 18446744073709551615,
    "small": -9223372036854775808,
    "odd": 9007199254740993,
    "zero": -0.0,
    "edges": [1e16, 1e-05, 0.0001, 1.2345678901234568e17, 5e-324, 9999999999999998.0, 1.7976931348623157e308],
    "deep": {"b": [{"\uffff": 1, "\U0001f600": 2}, None, True, False, {}, []], "a": ""},
}
BOUNDS = [
    {"param_name": "amount", "upper_bound": 50000},
    {"param_name": "ratio", "lower_bound": 0.00001, "upper_bound": 1e16, "unit": "pct"},
    {"param_name": "free"},
    {"param_name": "none", "upper_bound": None, "lower_bound": None, "unit": None},
    {"param_name": "exact", "lower_bound": -3, "upper_bound": -3.0},
]


def test_signatures_over_everything_a_token_can_hold(kernel: httpx.Client, agent: Agent, ca_key: str) -> None:
    body = mint_body(
        agent,
        execution_scope=["z_last", "a_first", "m_middle", "a1"],
        immutable_params=PARAMS,
        bounded_params=BOUNDS,
        boundary_snapshot_id="snapshot-" + "x" * 23,
        expires_at="2099-06-01T05:04:05+02:00",
    )
    token = mint(kernel, agent, **body)
    assert signed_by(ca_key, token_preimage(token), token["token_signature"])
    # The same from what was sent, so that nothing was changed on the way in.
    sent = token | {"immutable_params": PARAMS, "execution_scope": body["execution_scope"]}
    assert token_preimage(sent) == token_preimage(token)
    assert isinstance(token["immutable_params"]["float"], float) and isinstance(token["immutable_params"]["integer"], int)
    assert token["boundary_snapshot_id"] == body["boundary_snapshot_id"]
    for given, kept in zip(BOUNDS, token["bounded_params"], strict=True):
        assert set(kept) == {"param_name", "lower_bound", "upper_bound", "unit"}
        for name in ("lower_bound", "upper_bound"):
            assert kept[name] == given.get(name)
            assert kept[name] is None or isinstance(kept[name], float), "bounds are floating-point"
        assert kept["unit"] == given.get("unit")
    assert get(kernel, token["token_id"]) == token


def test_grafting_breaks_the_signature(kernel: httpx.Client, agent: Agent, ca_key: str) -> None:
    token = mint(kernel, agent, bounded_params=[{"param_name": "amount", "upper_bound": 5}], immutable_params={"a": 1})
    other = mint(kernel, issue(kernel), execution_scope=["delete_everything"], expires_at=later(7200))
    assert signed_by(ca_key, token_preimage(token), token["token_signature"])
    for name in ("agent_id", "mission_id", "execution_scope", "expires_at", "bounded_params", "immutable_params", "token_id"):
        grafted = token | {name: other[name]}
        assert not signed_by(ca_key, token_preimage(grafted), token["token_signature"]), name
    assert not signed_by(ca_key, token_preimage(token), other["token_signature"])
    assert not signed_by(ca_key, token_preimage(token | {"boundary_snapshot_id": "x"}), token["token_signature"])


def test_the_signature_outlives_use_and_invalidation(kernel: httpx.Client, agent: Agent, ca_key: str) -> None:
    token = mint(kernel, agent)
    ok(kernel.post(f"/token/{token['token_id']}/use"))
    ok(kernel.post(f"/token/{token['token_id']}/invalidate", params={"reason": "over"}))
    ended = get(kernel, token["token_id"])
    assert ended["token_signature"] == token["token_signature"]
    assert signed_by(ca_key, token_preimage(ended), ended["token_signature"])


BAD = {
    "agent_id": ["", "aid_short", "aid_" + "z" * 29, "agt_0123456789", "aid_UPPERCASE", "aid_01234567-9", "aid_0123456789\n", 5, None, ...],
    "mission_id": ["", "msn_1", "msn_" + "z" * 29, "mission_123456", "msn_UPPERCASE", "msn_0123_5678", "msn_0123456789\n", 5, None, ...],
    "execution_scope": [[], ["Read"], ["9read"], ["read-invoice"], ["read invoice"], [""], ["read\n"], ["read", "read"], [5], "read", None, ...],
    "expires_at": ["2020-01-01T00:00:00Z", "2099-01-01T00:00:00", "soon", None, ...],
    "immutable_params": [[], "x", 5],
    "bounded_params": [
        {},
        [5],
        [{}],
        [{"param_name": None}],
        [{"param_name": 5}],
        [{"param_name": "a", "upper_bound": "5"}],
        [{"param_name": "a", "upper_bound": 1, "lower_bound": 2}],
        [{"param_name": "a", "unit": 5}],
    ],
    "boundary_snapshot_id": ["x" * 33, 5],
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_mints_out_of_bounds(kernel: httpx.Client, agent: Agent, name: str, value: object) -> None:
    reply = kernel.post("/token/mint", json=mint_body(agent, **{name: value}))
    assert_error(reply, 422)
    assert reply.json()["detail"][0]["loc"][:2] == ["body", name]
    assert ok(kernel.get(f"/token/agent/{agent.id}")) == []


@pytest.mark.parametrize(
    "literal",
    ["NaN", "Infinity", "-Infinity", "1e999", "-1e999", "01", "+1", ".5", "1.", "0x1", '"\\ud800"', '"\\udc00x"', "1" * 400 + "e"],
)
def test_numbers_and_texts_that_json_does_not_have(kernel: httpx.Client, agent: Agent, literal: str) -> None:
    body = json.dumps(mint_body(agent, immutable_params={"x": "@"})).replace('"@"', literal)
    reply = kernel.post("/token/mint", content=body, headers={"Content-Type": "application/json"})
    assert_error(reply, 422)
    assert ok(kernel.get(f"/token/agent/{agent.id}")) == []


@pytest.mark.parametrize("literal", ["18446744073709551616", "-9223372036854775809", "9" * 60])
def test_integers_beyond_64_bits_are_kept_exactly_or_refused(kernel: httpx.Client, agent: Agent, ca_key: str, literal: str) -> None:
    body = json.dumps(mint_body(agent, immutable_params={"x": "@"})).replace('"@"', literal)
    reply = kernel.post("/token/mint", content=body, headers={"Content-Type": "application/json"})
    if reply.status_code != 200:
        assert_error(reply, 400, 422)
        return
    token = reply.json()
    assert token["immutable_params"]["x"] == int(literal)
    assert signed_by(ca_key, token_preimage(token), token["token_signature"])


@pytest.mark.parametrize(
    ("literal", "canonical"),
    [("-0", "0"), ("1E2", "100.0"), ("1.50", "1.5"), ("1e16", "1e+16"), ("123456789012345680000.0", "1.2345678901234568e+20"),
     ("0.1e1", "1.0"), ("-0.0", "-0.0"), ("1e-400", "0.0")],
)  # fmt: skip
def test_number_spellings(kernel: httpx.Client, agent: Agent, ca_key: str, literal: str, canonical: str) -> None:
    body = json.dumps(mint_body(agent, immutable_params={"x": "@"})).replace('"@"', literal)
    token = ok(kernel.post("/token/mint", content=body, headers={"Content-Type": "application/json"}))
    assert json.dumps(token["immutable_params"]["x"]) == canonical  # type: ignore[index]
    assert signed_by(ca_key, token_preimage(token), token["token_signature"])  # type: ignore[arg-type,index]


def test_mint_needs_an_active_agent(kernel: httpx.Client, agent: Agent) -> None:
    assert_error(kernel.post("/token/mint", json=mint_body(UNKNOWN_AGENT)), 404)
    ok(kernel.post(f"/identity/{agent.id}/suspend"))
    assert_error(kernel.post("/token/mint", json=mint_body(agent)), 409, 400, 403)
    ok(kernel.post(f"/identity/{agent.id}/reactivate"))
    mint(kernel, agent)
    ok(kernel.post(f"/identity/{agent.id}/revoke", json={"revoked_by": "x", "reason": "y"}))
    assert_error(kernel.post("/token/mint", json=mint_body(agent)), 409, 400, 403)


def test_get_unknown(kernel: httpx.Client) -> None:
    assert_error(kernel.get(f"/token/{UNKNOWN_TOKEN}"), 404)
    assert_error(kernel.post(f"/token/{UNKNOWN_TOKEN}/use"), 404)
    assert_error(kernel.post(f"/token/{UNKNOWN_TOKEN}/invalidate", params={"reason": "x"}), 404)


def test_use(kernel: httpx.Client, agent: Agent) -> None:
    token = mint(kernel, agent)
    used = ok(kernel.post(f"/token/{token['token_id']}/use"))
    assert used == token | {"used": True, "is_valid": False}
    again = kernel.post(f"/token/{token['token_id']}/use")
    if again.status_code != 200:
        assert_error(again, 400, 409)
    assert get(kernel, token["token_id"]) == used
    assert check(kernel, token["token_id"]) == ["token_invalid_or_expired"]


def test_invalidate(kernel: httpx.Client, agent: Agent) -> None:
    token = mint(kernel, agent)
    assert_error(kernel.post(f"/token/{token['token_id']}/invalidate"), 422)
    reason = "mission cancelled by operator — ✋"
    ended = ok(kernel.post(f"/token/{token['token_id']}/invalidate", params={"reason": reason}))
    assert ended["invalidation_reason"] == reason and ended["is_valid"] is False and ended["used"] is False  # type: ignore[index]
    assert parse_time(ended["invalidated_at"]) >= parse_time(token["issued_at"])  # type: ignore[index]
    assert get(kernel, token["token_id"]) == ended
    assert check(kernel, token["token_id"]) == ["token_invalid_or_expired"]
    kernel.post(f"/token/{token['token_id']}/use")
    assert get(kernel, token["token_id"])["is_valid"] is False, "nothing revives it"


def test_expiry(kernel: httpx.Client, agent: Agent) -> None:
    mission = fresh("msn_expiry")
    token = mint(kernel, agent, mission_id=mission, expires_at=later(1.5))
    assert token["is_valid"] is True
    expires = parse_time(token["expires_at"]).timestamp()
    while time.time() <= expires:
        time.sleep(0.05)
    expired = get(kernel, token["token_id"])
    assert expired == token | {"is_valid": False}
    assert check(kernel, token["token_id"]) == ["token_invalid_or_expired"]
    assert ok(kernel.get(f"/token/mission/{mission}/active")) is None
    assert ok(kernel.get(f"/token/mission/{mission}")) == [expired]
    assert_error(kernel.post("/token/mint", json=mint_body(agent, expires_at=datetime.now(timezone.utc).isoformat())), 422)


def test_a_check_that_passes_and_what_it_changes(kernel: httpx.Client, agent: Agent) -> None:
    token = mint(kernel, agent)
    for _ in range(3):
        assert check(kernel, token["token_id"], params={"invoice_id": "INV-4521"}) == []
    assert check(kernel, token["token_id"], agent_id=agent.id) == []
    assert get(kernel, token["token_id"]) == token, "a check consumes nothing"


def test_unknown_tokens_are_denied_and_no_error(kernel: httpx.Client) -> None:
    for token_id in (UNKNOWN_TOKEN, "tok_000000000000", "nonsense-token"):
        assert check(kernel, token_id) == ["token_invalid_or_expired"]


@pytest.mark.parametrize("operation", ["suspend", "revoke"])
def test_the_agent_must_be_active(kernel: httpx.Client, agent: Agent, operation: str) -> None:
    token = mint(kernel, agent, immutable_params={"a": 1})
    ok(kernel.post(f"/identity/{agent.id}/{operation}", json={"revoked_by": "x", "reason": "y"}))
    found = check(kernel, token["token_id"], "not_in_scope", {"a": 2})
    # Revocation of an agent may end its tokens too.
    assert found in (["agent_not_active"], ["token_invalid_or_expired"])
    if operation == "suspend":
        assert found == ["agent_not_active"]
        ok(kernel.post(f"/identity/{agent.id}/reactivate"))
        assert check(kernel, token["token_id"], params={"a": 1}) == []


def test_the_caller_must_be_the_tokens_agent(kernel: httpx.Client, agent: Agent) -> None:
    token = mint(kernel, agent)
    for other in (issue(kernel).id, UNKNOWN_AGENT, "x"):
        assert check(kernel, token["token_id"], "not_in_scope", agent_id=other)[0] == "agent_mismatch"


TOOL, IMMUTABLE, BOUNDED = "tool_not_in_scope", "immutable_param_mismatch", "bounded_param_violation"


@pytest.mark.parametrize(
    ("tool", "params", "violations"),
    [
        ("read_invoice", {"currency": "USD"}, []),
        ("write_draft", {"currency": "USD", "extra": [1, 2]}, []),
        ("read", {"currency": "USD"}, [TOOL]),
        ("Read_invoice", {"currency": "USD"}, [TOOL]),
        ("read_invoice ", {"currency": "USD"}, [TOOL]),
        ("read_invoice", {}, [IMMUTABLE]),
        ("read_invoice", ..., [IMMUTABLE]),
        ("read_invoice", {"currency": "EUR"}, [IMMUTABLE]),
        ("read_invoice", {"currency": None}, [IMMUTABLE]),
        ("read_invoice", {"currency": ["USD"]}, [IMMUTABLE]),
        ("read_invoice", {"currency": "USD", "nothing": None}, []),
        ("read_invoice", {"currency": "USD", "nothing": 0}, [IMMUTABLE]),
        ("read_invoice", {"currency": "USD", "nothing": False}, [IMMUTABLE]),
        ("read_invoice", {"currency": "USD", "amount": 0}, []),
        ("read_invoice", {"currency": "USD", "amount": 100}, []),
        ("read_invoice", {"currency": "USD", "amount": 100.0}, []),
        ("read_invoice", {"currency": "USD", "amount": 100.00000000000001}, [BOUNDED]),
        ("read_invoice", {"currency": "USD", "amount": -0.0}, []),
        ("read_invoice", {"currency": "USD", "amount": -1e-300}, [BOUNDED]),
        ("read_invoice", {"currency": "USD", "amount": 10**18}, [BOUNDED]),
        ("read_invoice", {"currency": "USD", "amount": None}, []),
        ("read_invoice", {"currency": "USD", "amount": "much"}, [BOUNDED]),
        ("read_invoice", {"currency": "USD", "amount": [5]}, [BOUNDED]),
        ("read_invoice", {"currency": "USD", "amount": {"value": 5}}, [BOUNDED]),
        ("read_invoice", {"currency": "USD", "from_five": 5}, []),
        ("read_invoice", {"currency": "USD", "from_five": 4.999}, [BOUNDED]),
        ("read_invoice", {"currency": "USD", "from_five": 1e300}, []),
        ("drop_table", {"currency": "EUR", "amount": 101, "from_five": 0}, [TOOL, IMMUTABLE, BOUNDED, BOUNDED]),
    ],
    ids=repr,
)
def test_scope_checks(kernel: httpx.Client, checked_token: str, tool: str, params: object, violations: list[str]) -> None:
    assert check(kernel, checked_token, tool, params) == violations


@pytest.fixture(scope="module")
def checked_token(kernel: httpx.Client) -> str:
    token = mint(
        kernel,
        issue(kernel),
        execution_scope=["read_invoice", "write_draft"],
        immutable_params={"currency": "USD", "nothing": None},
        bounded_params=[
            {"param_name": "amount", "lower_bound": 0, "upper_bound": 100},
            {"param_name": "from_five", "lower_bound": 5},
        ],
        expires_at=later(100_000),
    )
    return token["token_id"]


@pytest.mark.parametrize(
    ("held", "given", "passes"),
    [(1, 1.0, True), (1.0, 1, True), (1, True, False), (0, False, False), ([1, {"a": 2.0}], [1.0, {"a": 2}], True),
     ({"a": 1, "b": 2}, {"b": 2, "a": 1}, True), ({"a": 1}, {"a": 1, "b": None}, False), ([1, 2], [2, 1], False),
     ("1", 1, False), (None, None, True), (2**53 + 1, 2**53, False), (2**64 - 1, 2**64 - 1, True)],
    ids=repr,
)  # fmt: skip
def test_immutable_values_compare_as_json(kernel: httpx.Client, agent: Agent, held: object, given: object, passes: bool) -> None:
    token = mint(kernel, agent, immutable_params={"x": held})
    assert check(kernel, token["token_id"], params={"x": given}) == ([] if passes else [IMMUTABLE])


@pytest.mark.parametrize(
    "body",
    [{}, {"token_id": UNKNOWN_TOKEN}, {"tool_name": "x"}, {"token_id": "short", "tool_name": "x"},
     {"token_id": "t" * 33, "tool_name": "x"}, {"token_id": UNKNOWN_TOKEN, "tool_name": ""},
     {"token_id": UNKNOWN_TOKEN, "tool_name": "x" * 65}, {"token_id": UNKNOWN_TOKEN, "tool_name": "x", "params": []},
     {"token_id": UNKNOWN_TOKEN, "tool_name": "x", "agent_id": 5}],
)  # fmt: skip
def test_checks_have_a_shape(kernel: httpx.Client, body: dict) -> None:
    assert_error(kernel.post("/token/scope/check", json=body), 422)


def test_lists_and_the_active_token(kernel: httpx.Client, agent: Agent) -> None:
    mission = fresh("msn_lists")
    assert ok(kernel.get(f"/token/mission/{mission}/active")) is None
    assert ok(kernel.get(f"/token/mission/{mission}")) == []
    first = mint(kernel, agent, mission_id=mission)
    second = mint(kernel, issue(kernel), mission_id=mission)
    third = mint(kernel, agent, mission_id=fresh("msn_lists"))
    assert ok(kernel.get(f"/token/mission/{mission}")) == [second, first]
    assert ok(kernel.get(f"/token/agent/{agent.id}")) == [third, first]
    assert ok(kernel.get(f"/token/mission/{mission}/active")) == second
    ok(kernel.post(f"/token/{second['token_id']}/invalidate", params={"reason": "x"}))
    assert ok(kernel.get(f"/token/mission/{mission}/active")) == first
    ok(kernel.post(f"/token/{first['token_id']}/use"))
    assert ok(kernel.get(f"/token/mission/{mission}/active")) is None
    assert len(ok(kernel.get(f"/token/mission/{mission}"))) == 2, "ended tokens stay listed"  # type: ignore[arg-type]
    assert ok(kernel.get(f"/token/agent/{UNKNOWN_AGENT}")) == []


def test_expiry_is_signed_in_utc(kernel: httpx.Client, agent: Agent, ca_key: str) -> None:
    token = mint(kernel, agent, expires_at="2099-01-01T01:00:00.000001+01:00")
    assert parse_time(token["expires_at"]) == datetime(2099, 1, 1, 0, 0, 0, 1, timezone.utc)
    assert signed_by(ca_key, token_preimage(token), token["token_signature"])
    assert parse_time(token["issued_at"]) + timedelta(days=1) > datetime.now(timezone.utc)
