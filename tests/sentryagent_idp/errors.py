"""The one exception."""

from __future__ import annotations


class AgentIdPError(Exception):
    """A refusal, or no answer at all. Its text is for people; `code` is for programs."""

    def __init__(self, code: str, message: str, http_status: int, details: dict[str, object] | None = None):
        super().__init__(message)
        self.code = code
        self.http_status = http_status
        self.details = details

    @classmethod
    def from_reply(cls, status: int, body: object) -> AgentIdPError:
        """From a refusal in either shape: AgentIdP's own, or OAuth 2.0's (RFC 6749 section 5.2)."""
        if isinstance(body, dict) and isinstance(body.get("code"), str):
            return cls(body["code"], str(body.get("message", "")), status, body.get("details"))
        if isinstance(body, dict) and isinstance(body.get("error"), str):
            return cls(body["error"], str(body.get("error_description", body["error"])), status)
        return cls("UNKNOWN_ERROR", f"the server answered {status} in no known shape", status)

    @classmethod
    def network_error(cls, cause: Exception) -> AgentIdPError:
        """No answer came."""
        return cls("NETWORK_ERROR", str(cause) or type(cause).__name__, 0)
