"""What the contract's tests share: bodies that are good, ways to issue and mint, and the shapes of replies."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from orgkernel.canonical import b64u, parse_time

IDENTITY_FIELDS = {
    "agent_id", "agent_name", "org_id", "issued_by", "public_key", "org_ca_fingerprint", "issued_at", "valid_until",
    "status", "revoked_at", "revoked_by", "revocation_reason", "metadata",
}  # fmt: skip
IDENTITY_OUT_FIELDS = IDENTITY_FIELDS | {"is_active"}
CERTIFICATE_FIELDS = {
    "certificate_id", "agent_id", "agent_name", "org_id", "issued_by", "public_key", "ca_fingerprint", "ca_signature",
    "issued_at", "valid_until", "status",
}  # fmt: skip
ISSUE_RESULT_FIELDS = {"identity", "certificate", "ca_fingerprint", "agent_private_key_pem", "private_key_pem"}
VERIFY_RESULT_FIELDS = {"agent_id", "is_active", "is_valid", "verified_at", "message"}
CHALLENGE_FIELDS = {"agent_id", "challenge_id", "nonce", "issued_by", "created_at", "expires_at"}
CHALLENGE_RESULT_FIELDS = {
    "challenge_id", "agent_id", "challenge_passed", "certificate_valid", "overall_valid", "message", "verified_at",
}  # fmt: skip
TOKEN_FIELDS = {
    "token_id", "agent_id", "mission_id", "execution_scope", "immutable_params", "bounded_params", "issued_at",
    "expires_at", "boundary_snapshot_id", "token_signature", "used", "is_valid", "invalidated_at", "invalidation_reason",
}  # fmt: skip
SCOPE_RESULT_FIELDS = {"token_id", "tool_name", "passed", "blocked", "violations"}
CHAIN_FIELDS = {
    "chain_id", "mission_id", "agent_id", "initialized_at", "closed_at", "head_hash", "entry_count", "entries",
}  # fmt: skip
CHAIN_HEADER_FIELDS = {"chain_id", "mission_id", "agent_id", "initialized_at", "closed_at", "head_hash"}
ENTRY_FIELDS = {
    "entry_id", "chain_id", "sequence", "layer", "event", "agent_id", "mission_id", "token_id", "timestamp", "data",
    "prev_hash", "entry_hash",
}  # fmt: skip
PAGE_FIELDS = {"page_no", "page_size", "total", "has_next", "items"}

# Well-formed and of nothing.
UNKNOWN_AGENT = "aid_0000000000000000000000zzzz"
UNKNOWN_TOKEN = "tok_0000000000000000000000zzzz"
UNKNOWN_CHAIN = "ac_0000000000000000000000zzzz"
ANY_KEY = b64u(bytes(range(32)))

_numbers = itertools.count(1)


def fresh(stem: str) -> str:
    """A name that no other test of the run has."""
    return f"{stem}{next(_numbers)}"


def csr(**changes: object) -> dict:
    """A CSR that is accepted."""
    good = {
        "agent_name": fresh("invoice-processor-"),
        "org_id": "contract-corp",
        "requested_ou": "finance_team",
        "public_key": ANY_KEY,
        "purpose": "automated-invoice-processing",
    }
    return {name: value for name, value in (good | changes).items() if value is not ...}


@dataclass
class Agent:
    """An agent that was issued, and its key."""

    id: str
    public_key: str
    private_key: Ed25519PrivateKey
    issued: dict


def issue(kernel: httpx.Client, **changes: object) -> Agent:
    """Issues an identity."""
    reply = kernel.post("/identity/issue", json=csr(**changes))
    assert reply.status_code == 200, reply.text
    issued = reply.json()
    private_key = load_pem_private_key(issued["agent_private_key_pem"].encode(), None)
    assert isinstance(private_key, Ed25519PrivateKey)
    return Agent(issued["identity"]["agent_id"], issued["identity"]["public_key"], private_key, issued)


def later(seconds: float = 3600) -> str:
    """An instant from now on, as a client writes it."""
    return (datetime.now(timezone.utc) + timedelta(seconds=seconds)).isoformat()


def mint_body(agent: Agent | str, **changes: object) -> dict:
    """A mint request that is accepted."""
    good = {
        "agent_id": agent if isinstance(agent, str) else agent.id,
        "mission_id": fresh("msn_contract"),
        "execution_scope": ["read_invoice"],
        "expires_at": later(),
    }
    return {name: value for name, value in (good | changes).items() if value is not ...}


def mint(kernel: httpx.Client, agent: Agent, **changes: object) -> dict:
    """Mints a token."""
    reply = kernel.post("/token/mint", json=mint_body(agent, **changes))
    assert reply.status_code == 200, reply.text
    return reply.json()


def open_chain(kernel: httpx.Client, agent_id: str = UNKNOWN_AGENT, mission_id: str | None = None) -> tuple[str, str]:
    """Opens a chain of a mission of its own: chain and mission."""
    mission_id = mission_id or fresh("msn_audit")
    reply = kernel.post("/audit/initialize", json={"mission_id": mission_id, "agent_id": agent_id})
    assert reply.status_code == 200, reply.text
    return reply.json()["chain_id"], mission_id


def append_body(mission_id: str, /, **changes: object) -> dict:
    """An entry that is accepted."""
    good = {
        "layer": "EXECUTION",
        "event": "EXECUTION_tool_call",
        "agent_id": UNKNOWN_AGENT,
        "mission_id": mission_id,
        "data": {"tool": "read_invoice"},
    }
    return {name: value for name, value in (good | changes).items() if value is not ...}


def assert_error(reply: httpx.Response, *statuses: int) -> None:
    """A refusal in OrgKernel's shape."""
    assert reply.status_code in statuses, f"{reply.status_code}: {reply.text}"
    assert reply.headers["content-type"].startswith("application/json")
    detail = reply.json()["detail"]
    if reply.status_code != 422:
        assert isinstance(detail, str) and detail
        return
    assert isinstance(detail, list) and detail
    for each in detail:
        assert isinstance(each["type"], str)
        assert isinstance(each["msg"], str)
        assert each["loc"] and all(isinstance(step, str | int) for step in each["loc"])
        assert each["loc"][0] in ("body", "query", "path")


def assert_times(value: object) -> None:
    """Every timestamp has an offset and microseconds, and no fraction when they are zero."""
    names = {
        "issued_at", "valid_until", "revoked_at", "verified_at", "created_at", "expires_at", "invalidated_at",
        "initialized_at", "closed_at", "timestamp", "submitted_at",
    }  # fmt: skip
    if isinstance(value, dict):
        for name, inner in value.items():
            if name in names and inner is not None:
                instant = parse_time(inner)
                without = inner.removesuffix("Z").removesuffix("+00:00")
                assert without != inner, f"{name} is not in UTC: {inner}"
                if instant.microsecond:
                    assert len(without) == len("2026-01-02T03:04:05.678901"), inner
                else:
                    assert len(without) == len("2026-01-02T03:04:05"), inner
            elif name not in ("data", "immutable_params", "metadata"):
                assert_times(inner)
    elif isinstance(value, list):
        for inner in value:
            assert_times(inner)


def ok(reply: httpx.Response) -> object:
    """A success's JSON."""
    assert reply.status_code == 200, f"{reply.status_code}: {reply.text}"
    assert reply.headers["content-type"].startswith("application/json")
    value = reply.json()
    assert_times(value)
    return value
