"""The three services of the reference page over REST. `db` stands where the page has it, and is not looked at: the daemon
keeps the chains."""

from __future__ import annotations

import httpx

from orgkernel.schemas import (
    AgentIdentityCSR,
    AgentIdentityRevoke,
    AgentIdentityVerify,
    AuditLayer,
    ChallengeResponse,
    ExecutionTokenCreate,
    Received,
    ScopeCheckRequest,
    to_wire,
)


class OrgKernelError(Exception):
    """A refusal: its status and the reply's `detail`."""

    def __init__(self, status: int, detail: object):
        super().__init__(f"{status}: {detail}")
        self.status = status
        self.detail = detail


class OrgKernel:
    """A connection, with a service for each part of the page."""

    def __init__(self, base_url: str, token: str):
        self._http = httpx.AsyncClient(base_url=base_url, headers={"Authorization": f"Bearer {token}"}, timeout=30)
        self.identity = IdentityService(self)
        self.token = TokenService(self)
        self.audit = AuditService(self)

    async def __aenter__(self) -> OrgKernel:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self._http.aclose()

    async def call(self, method: str, path: str, *, body: dict | None = None, query: dict | None = None) -> object:
        """One exchange; the reply's JSON, or OrgKernelError."""
        query = {name: value for name, value in (query or {}).items() if value is not None}
        reply = await self._http.request(method, path, json=body, params=query)
        if reply.status_code != 200:
            raise OrgKernelError(reply.status_code, reply.json().get("detail"))
        return reply.json()

    async def one(self, method: str, path: str, **how: dict | None) -> Received:
        """An exchange that answers with an object."""
        return Received(await self.call(method, path, **how))  # type: ignore[arg-type]

    async def many(self, path: str, **how: dict | None) -> list[Received]:
        """An exchange that answers with an array."""
        return [Received(each) for each in await self.call("GET", path, **how)]  # type: ignore[attr-defined]

    async def page(self, path: str, **query: object) -> dict:
        """An exchange that answers with a page, whose items are typed."""
        page = dict(await self.call("GET", path, query=query))  # type: ignore[call-overload]
        page["items"] = [Received(each) for each in page["items"]]
        return page

    async def ca(self) -> Received:
        """The Org CA's public key."""
        return await self.one("GET", "/ca")


class IdentityService:
    """`identity.*`"""

    def __init__(self, kernel: OrgKernel):
        self._kernel = kernel

    async def issue_from_csr(self, csr: AgentIdentityCSR) -> Received:
        return await self._kernel.one("POST", "/identity/issue", body=csr.to_json())

    async def list_by_org(self, org_id: str, status: str | None = None) -> list[Received]:
        return await self._kernel.many(f"/identity/org/{org_id}", query={"status": status})

    async def verify(self, data: AgentIdentityVerify) -> Received:
        return await self._kernel.one("POST", "/identity/verify", body=data.to_json())

    async def request_challenge(
        self, agent_id: str, issued_by: str, ttl_seconds: int | None = None, nonce: str | None = None
    ) -> Received:
        query = {"agent_id": agent_id, "issued_by": issued_by, "ttl_seconds": ttl_seconds, "nonce": nonce}
        return await self._kernel.one("POST", "/identity/challenge/request", query=query)

    async def verify_challenge(self, response: ChallengeResponse) -> Received:
        return await self._kernel.one("POST", "/identity/challenge/verify", body=response.to_json())

    async def suspend(self, agent_id: str) -> Received:
        return await self._kernel.one("POST", f"/identity/{agent_id}/suspend")

    async def reactivate(self, agent_id: str) -> Received:
        return await self._kernel.one("POST", f"/identity/{agent_id}/reactivate")

    async def revoke(self, agent_id: str, data: AgentIdentityRevoke) -> Received:
        return await self._kernel.one("POST", f"/identity/{agent_id}/revoke", body=data.to_json())


class TokenService:
    """`token.*`"""

    def __init__(self, kernel: OrgKernel):
        self._kernel = kernel

    async def mint(self, create: ExecutionTokenCreate) -> Received:
        return await self._kernel.one("POST", "/token/mint", body=create.to_json())

    async def check_scope(self, request: ScopeCheckRequest) -> Received:
        return await self._kernel.one("POST", "/token/scope/check", body=request.to_json())

    async def mark_used(self, token_id: str) -> Received:
        return await self._kernel.one("POST", f"/token/{token_id}/use")

    async def invalidate(self, token_id: str, reason: str) -> Received:
        return await self._kernel.one("POST", f"/token/{token_id}/invalidate", query={"reason": reason})

    async def list_by_mission(self, mission_id: str) -> list[Received]:
        return await self._kernel.many(f"/token/mission/{mission_id}")

    async def list_by_agent(self, agent_id: str) -> list[Received]:
        return await self._kernel.many(f"/token/agent/{agent_id}")

    async def page_by_mission(self, mission_id: str, page_no: int = 1, page_size: int = 20) -> dict:
        return await self._kernel.page(f"/token/mission/{mission_id}/page", page_no=page_no, page_size=page_size)

    async def page_by_agent(self, agent_id: str, page_no: int = 1, page_size: int = 20) -> dict:
        return await self._kernel.page(f"/token/agent/{agent_id}/page", page_no=page_no, page_size=page_size)


class AuditService:
    """`audit.*`"""

    def __init__(self, kernel: OrgKernel):
        self._kernel = kernel

    async def initialize(self, db: object, mission_id: str, agent_id: str) -> str:
        body = {"mission_id": mission_id, "agent_id": agent_id}
        opened = await self._kernel.one("POST", "/audit/initialize", body=body)
        return opened.chain_id

    async def append(
        self,
        db: object,
        chain_id: str,
        layer: AuditLayer,
        event: str,
        agent_id: str,
        mission_id: str,
        data: dict | None = None,
        token_id: str | None = None,
    ) -> Received:
        body = {
            "layer": to_wire(layer),
            "event": event,
            "agent_id": agent_id,
            "mission_id": mission_id,
            "data": data,
            "token_id": token_id,
        }
        return await self._kernel.one("POST", f"/audit/{chain_id}/append", body=body)

    async def close(self, db: object, chain_id: str) -> Received:
        return await self._kernel.one("POST", f"/audit/{chain_id}/close")

    async def get_by_chain_id(self, db: object, chain_id: str) -> Received:
        return await self._kernel.one("GET", f"/audit/{chain_id}")

    async def get_by_mission(self, db: object, mission_id: str) -> Received:
        return await self._kernel.one("GET", f"/audit/mission/{mission_id}")

    async def verify_integrity(self, db: object, chain_id: str) -> bool:
        verified = await self._kernel.one("GET", f"/audit/{chain_id}/verify")
        return verified.valid
