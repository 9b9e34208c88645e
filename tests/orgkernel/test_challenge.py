"""Contract, section 5: proving possession of a key."""

from __future__ import annotations

import time
from datetime import timedelta

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from orgkernel.canonical import b64u, from_b64u, parse_time
from orgkernel.contract import (
    CHALLENGE_FIELDS,
    CHALLENGE_RESULT_FIELDS,
    UNKNOWN_AGENT,
    Agent,
    assert_error,
    issue,
    ok,
)


@pytest.fixture
def agent(kernel: httpx.Client) -> Agent:
    return issue(kernel)


def request(kernel: httpx.Client, agent_id: str, **query: object) -> dict:
    query = {"agent_id": agent_id, "issued_by": "platform-gateway"} | query
    return ok(kernel.post("/identity/challenge/request", params=query))  # type: ignore[return-value,arg-type]


def answer(agent: Agent, challenge: dict, **changes: object) -> dict:
    nonce = changes.get("nonce", challenge["nonce"])
    good = {
        "challenge_id": challenge["challenge_id"],
        "agent_id": agent.id,
        "certificate_id": agent.id,
        "public_key": agent.public_key,
        "nonce": nonce,
        "signature": b64u(agent.private_key.sign(str(nonce).encode("ascii"))),
    }
    return {name: value for name, value in (good | changes).items() if value is not ...}


def verify(kernel: httpx.Client, body: dict) -> tuple[bool, bool, bool]:
    result = ok(kernel.post("/identity/challenge/verify", json=body))
    assert set(result) == CHALLENGE_RESULT_FIELDS  # type: ignore[call-overload]
    assert result["challenge_id"] == body["challenge_id"] and result["agent_id"] == body["agent_id"]  # type: ignore[index]
    assert isinstance(result["message"], str)  # type: ignore[index]
    verdict = result["challenge_passed"], result["certificate_valid"], result["overall_valid"]  # type: ignore[index]
    assert verdict[2] is (verdict[0] and verdict[1])
    return verdict


def test_request(kernel: httpx.Client, agent: Agent) -> None:
    challenge = request(kernel, agent.id)
    assert set(challenge) == CHALLENGE_FIELDS
    assert challenge["agent_id"] == agent.id and challenge["issued_by"] == "platform-gateway"
    assert challenge["challenge_id"].startswith("chal_")
    assert len(challenge["nonce"]) == 43 and len(from_b64u(challenge["nonce"])) == 32
    life = parse_time(challenge["expires_at"]) - parse_time(challenge["created_at"])
    assert life == timedelta(seconds=300)
    assert request(kernel, agent.id)["nonce"] != challenge["nonce"]
    for ttl in (1, 3600):
        challenge = request(kernel, agent.id, ttl_seconds=ttl)
        assert parse_time(challenge["expires_at"]) - parse_time(challenge["created_at"]) == timedelta(seconds=ttl)


@pytest.mark.parametrize("nonce", ["a" * 16, "Z9_=-" * 12 + "abcd"])
def test_a_caller_may_bring_the_nonce(kernel: httpx.Client, agent: Agent, nonce: str) -> None:
    challenge = request(kernel, agent.id, nonce=nonce)
    assert challenge["nonce"] == nonce
    assert verify(kernel, answer(agent, challenge)) == (True, True, True)


@pytest.mark.parametrize(
    "query",
    [{"agent_id": None}, {"issued_by": None}, {"issued_by": ""}, {"issued_by": "x" * 65}, {"ttl_seconds": 0},
     {"ttl_seconds": 3601}, {"ttl_seconds": "x"}, {"ttl_seconds": 1.5}, {"nonce": "a" * 15}, {"nonce": "a" * 65},
     {"nonce": "a" * 16 + "+"}, {"nonce": "ä" * 16}],
)  # fmt: skip
def test_requests_have_bounds(kernel: httpx.Client, agent: Agent, query: dict) -> None:
    asked = {"agent_id": agent.id, "issued_by": "gateway"} | query
    reply = kernel.post("/identity/challenge/request", params={name: value for name, value in asked.items() if value is not None})
    assert_error(reply, 422)
    assert reply.json()["detail"][0]["loc"][0] == "query"


def test_an_unknown_agent_cannot_be_challenged(kernel: httpx.Client) -> None:
    reply = kernel.post("/identity/challenge/request", params={"agent_id": UNKNOWN_AGENT, "issued_by": "gateway"})
    assert_error(reply, 404)


def test_the_right_answer(kernel: httpx.Client, agent: Agent) -> None:
    assert verify(kernel, answer(agent, request(kernel, agent.id))) == (True, True, True)
    assert verify(kernel, answer(agent, request(kernel, agent.id), issued_at="2026-01-02T03:04:05Z")) == (True, True, True)


def test_the_text_is_signed_and_not_the_bytes_behind_it(kernel: httpx.Client, agent: Agent) -> None:
    challenge = request(kernel, agent.id)
    decoded = b64u(agent.private_key.sign(from_b64u(challenge["nonce"])))
    assert verify(kernel, answer(agent, challenge, signature=decoded)) == (False, False, False)


# One row of the contract's table each: what is changed in a right answer, what is known of the verdict.
def wrong_agent(kernel: httpx.Client, agent: Agent) -> dict:
    return {"agent_id": issue(kernel).id}


def unknown_agent(kernel: httpx.Client, agent: Agent) -> dict:
    return {"agent_id": UNKNOWN_AGENT}


def wrong_nonce(kernel: httpx.Client, agent: Agent) -> dict:
    return {"nonce": b64u(bytes(32))}


def wrong_signature(kernel: httpx.Client, agent: Agent) -> dict:
    return {"signature": b64u(agent.private_key.sign(b"another text"))}


def no_signature(kernel: httpx.Client, agent: Agent) -> dict:
    return {"signature": "A" * 86}


def wrong_key(kernel: httpx.Client, agent: Agent) -> dict:
    return {"public_key": issue(kernel).public_key}


@pytest.mark.parametrize("change", [wrong_agent, unknown_agent, wrong_nonce, wrong_signature, no_signature, wrong_key])
def test_a_wrong_answer_fails_and_uses_the_challenge_up(kernel: httpx.Client, agent: Agent, change: object) -> None:
    challenge = request(kernel, agent.id)
    body = answer(agent, challenge) | change(kernel, agent)  # type: ignore[operator]
    assert verify(kernel, body) == (False, False, False)
    assert verify(kernel, answer(agent, challenge)) == (False, False, False), "the right answer comes too late"


def test_an_unknown_challenge(kernel: httpx.Client, agent: Agent) -> None:
    challenge = request(kernel, agent.id)
    for unknown in ("chal_000000000000", "nonsense", ""):
        assert verify(kernel, answer(agent, challenge, challenge_id=unknown)) == (False, False, False)
    assert verify(kernel, answer(agent, challenge)) == (True, True, True), "nothing of it was used up"


def test_a_challenge_is_answered_once(kernel: httpx.Client, agent: Agent) -> None:
    challenge = request(kernel, agent.id)
    assert verify(kernel, answer(agent, challenge)) == (True, True, True)
    assert verify(kernel, answer(agent, challenge)) == (False, False, False)


def test_an_old_signature_answers_no_new_challenge(kernel: httpx.Client, agent: Agent) -> None:
    old = request(kernel, agent.id)
    signed = answer(agent, old)
    assert verify(kernel, signed) == (True, True, True)
    new = request(kernel, agent.id)
    assert verify(kernel, signed | {"challenge_id": new["challenge_id"]}) == (False, False, False)


def test_another_agent_cannot_answer_with_its_own_certificate(kernel: httpx.Client, agent: Agent) -> None:
    other = issue(kernel)
    challenge = request(kernel, agent.id)
    body = answer(other, challenge) | {"agent_id": agent.id, "certificate_id": other.id}
    _, certificate_valid, overall = verify(kernel, body)
    assert (certificate_valid, overall) == (False, False)


def test_the_certificate_must_be_the_agents(kernel: httpx.Client, agent: Agent) -> None:
    for certificate_id in (issue(kernel).id, UNKNOWN_AGENT, "x"):
        body = answer(agent, request(kernel, agent.id), certificate_id=certificate_id)
        _, certificate_valid, overall = verify(kernel, body)
        assert (certificate_valid, overall) == (False, False)


def test_a_key_that_verifies_but_is_not_the_identitys(kernel: httpx.Client, agent: Agent) -> None:
    stranger = Ed25519PrivateKey.generate()
    challenge = request(kernel, agent.id)
    body = answer(
        agent,
        challenge,
        public_key=b64u(stranger.public_key().public_bytes_raw()),
        signature=b64u(stranger.sign(challenge["nonce"].encode())),
    )
    _, certificate_valid, overall = verify(kernel, body)
    assert (certificate_valid, overall) == (False, False)


@pytest.mark.parametrize("operation", ["suspend", "revoke"])
def test_an_agent_that_is_not_active_can_be_challenged_but_not_pass(kernel: httpx.Client, agent: Agent, operation: str) -> None:
    before = request(kernel, agent.id)
    ok(kernel.post(f"/identity/{agent.id}/{operation}", json={"revoked_by": "x", "reason": "y"}))
    assert verify(kernel, answer(agent, before)) == (True, False, False)
    assert verify(kernel, answer(agent, request(kernel, agent.id))) == (True, False, False)


def test_an_agent_reactivated_passes_again(kernel: httpx.Client, agent: Agent) -> None:
    ok(kernel.post(f"/identity/{agent.id}/suspend"))
    challenge = request(kernel, agent.id)
    ok(kernel.post(f"/identity/{agent.id}/reactivate"))
    assert verify(kernel, answer(agent, challenge)) == (True, True, True)


def test_an_expired_challenge(kernel: httpx.Client, agent: Agent) -> None:
    challenge = request(kernel, agent.id, ttl_seconds=1)
    expires = parse_time(challenge["expires_at"]).timestamp()
    # The clock is the machine's own, so this waits for the instant itself, not for a while.
    while time.time() <= expires:
        time.sleep(0.05)
    assert verify(kernel, answer(agent, challenge)) == (False, False, False)


@pytest.mark.parametrize("name", ["challenge_id", "agent_id", "certificate_id", "public_key", "nonce", "signature"])
@pytest.mark.parametrize("value", [..., None, 5])
def test_every_field_is_required(kernel: httpx.Client, agent: Agent, name: str, value: object) -> None:
    challenge = request(kernel, agent.id)
    body = answer(agent, challenge) | {name: value}
    body = {key: each for key, each in body.items() if each is not ...}
    assert_error(kernel.post("/identity/challenge/verify", json=body), 422)
    assert verify(kernel, answer(agent, challenge)) == (True, True, True), "a malformed answer uses nothing up"


@pytest.mark.parametrize("signature", ["A" * 85, "A" * 89, "A" * 85 + "=", "A" * 85 + "+", ""])
def test_signatures_have_a_shape(kernel: httpx.Client, agent: Agent, signature: str) -> None:
    challenge = request(kernel, agent.id)
    assert_error(kernel.post("/identity/challenge/verify", json=answer(agent, challenge, signature=signature)), 422)
