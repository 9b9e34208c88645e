"""The shapes of the contract, and what holds for every reply."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from uuid import UUID

import httpx

AGENT_TYPES = ["screener", "classifier", "orchestrator", "extractor", "summarizer", "router", "monitor", "custom"]
ENVIRONMENTS = ["development", "staging", "production"]
AGENT_FIELDS = {
    "agentId", "email", "agentType", "version", "capabilities", "owner", "deploymentEnv", "status", "createdAt",
    "updatedAt", "organizationId", "did", "isPublic",
}  # fmt: skip
CREDENTIAL_FIELDS = {"credentialId", "clientId", "status", "createdAt", "expiresAt", "revokedAt"}
EVENT_FIELDS = {"eventId", "agentId", "action", "outcome", "ipAddress", "userAgent", "metadata", "timestamp"}
ACTIONS = [
    "agent.created", "agent.updated", "agent.suspended", "agent.reactivated", "agent.decommissioned",
    "credential.generated", "credential.rotated", "credential.revoked",
    "token.issued", "token.introspected", "token.revoked", "auth.failed",
    "org.created", "org.updated", "org.deleted", "org.member_added",
]  # fmt: skip

# Well-formed and of nothing.
NOBODY = "01890a5d-ac96-774b-bcce-b302099a8057"
# What stands in a path and is no UUID.
NOT_IDS = ["non-existent-id", "a1b2c3d4-...", "0", "%00", "x" * 300, NOBODY[:-1], NOBODY + "0", "null"]

SECRET = re.compile(r"sk_live_[0-9a-f]{64}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def assert_error(reply: httpx.Response, status: int | tuple[int, ...], *codes: str, field: str | None = None) -> dict:
    """A refusal in AgentIdP's shape; one of a field names it."""
    statuses = (status,) if isinstance(status, int) else status
    assert reply.status_code in statuses, f"{reply.request.method} {reply.request.url}: {reply.status_code}: {reply.text}"
    assert reply.headers["content-type"].startswith("application/json")
    body = reply.json()
    assert set(body) <= {"code", "message", "details"} and body["code"] in codes, body
    assert isinstance(body["message"], str) and body["message"]
    if (reply.status_code, body["code"]) == (400, "VALIDATION_ERROR"):
        assert set(body["details"]) >= {"field", "reason"}, body
    if field is not None:
        assert body["details"]["field"] == field, body
    return body


def assert_oauth_error(reply: httpx.Response, status: int, *errors: str) -> dict:
    """A refusal in the shape of RFC 6749 section 5.2."""
    assert reply.status_code == status, f"{reply.status_code}: {reply.text}"
    assert reply.headers["content-type"].startswith("application/json")
    body = reply.json()
    assert set(body) <= {"error", "error_description", "error_uri"} and body["error"] in errors, body
    assert body["error_description"]
    return body


def assert_page(page: dict, number: int = 1, limit: int = 20) -> list[dict]:
    """A page's shape; gives its rows."""
    assert set(page) == {"data", "total", "page", "limit"}
    assert (page["page"], page["limit"]) == (number, limit)
    assert isinstance(page["total"], int) and page["total"] >= len(page["data"]) <= limit
    return page["data"]


def assert_id(text: object) -> None:
    """A UUID in its plain spelling."""
    assert isinstance(text, str) and str(UUID(text)) == text


def parse_time(text: object) -> datetime:
    """A time of the contract: UTC, milliseconds, `Z`."""
    assert isinstance(text, str) and _TIME.fullmatch(text), text
    return datetime.fromisoformat(text)


def later(seconds: float) -> str:
    """A moment from now, as a client writes it."""
    moment = datetime.now(timezone.utc) + timedelta(seconds=seconds)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def pass_by(moment: str) -> None:
    """Returns once the clock shows a later millisecond than that."""
    end = parse_time(moment).timestamp() + 0.001
    while time.time() < end:
        time.sleep(0.001)


def until(what: Callable[[], object], seconds: float = 30) -> object:
    """Asks again and again until the answer is true; gives it."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        found = what()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s: {what}")
