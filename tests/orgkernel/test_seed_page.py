"""The vendor's reference page, operation by operation and in its order, as its reader would type it."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from daemon import Daemon
from orgkernel.canonical import (
    b64u,
    certificate_preimage,
    chain_is_whole,
    fingerprint,
    from_b64u,
    signed_by,
    token_preimage,
)
from orgkernel.client import OrgKernel, OrgKernelError
from orgkernel.schemas import (
    AgentIdentityCSR,
    AgentIdentityRevoke,
    AgentIdentityVerify,
    AuditLayer,
    ChallengeResponse,
    ExecutionTokenCreate,
    ScopeCheckRequest,
)


@pytest.mark.anyio
async def test_the_whole_page(daemon: Daemon) -> None:
    async with OrgKernel(daemon.url + "/orgkernel", daemon.credentials["orgkernel"]["token"]) as kernel:
        identity_svc, token_svc, audit_svc, db = kernel.identity, kernel.token, kernel.audit, None
        ca = await kernel.ca()
        assert ca.algorithm == "Ed25519"
        assert ca.ca_fingerprint == fingerprint(ca.public_key)

        # identity.issue()
        csr = AgentIdentityCSR(
            agent_name="invoice-processor",
            org_id="acme-corp",
            requested_ou="finance_team",
            public_key=b64u(bytes(range(32))),
            purpose="automated-invoice-processing",
        )
        result = await identity_svc.issue_from_csr(csr)
        agent_id = result.identity.agent_id
        assert agent_id.startswith("aid_")
        assert "BEGIN PRIVATE KEY" in result.agent_private_key_pem
        assert result.ca_fingerprint == ca.ca_fingerprint
        assert result.certificate.certificate_id == agent_id
        private_key = load_pem_private_key(result.agent_private_key_pem.encode(), None)
        public_key = b64u(private_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
        assert result.identity.public_key == public_key, "the private key handed out is the identity's own"
        certificate = result.certificate.raw
        assert signed_by(ca.public_key, certificate_preimage(certificate), certificate["ca_signature"])

        # identity.list()
        identities = await identity_svc.list_by_org(org_id="acme-corp")
        shown = [f"{identity.agent_id}: {identity.agent_name} ({identity.status})" for identity in identities]
        assert f"{agent_id}: invoice-processor (ACTIVE)" in shown

        # identity.verify()
        result = await identity_svc.verify(AgentIdentityVerify(agent_id=agent_id))
        assert result.is_active is True
        assert isinstance(result.message, str) and result.message

        # identity.challenge.request()
        challenge = await identity_svc.request_challenge(
            agent_id=agent_id,
            issued_by="platform-gateway",
            ttl_seconds=300,
        )
        nonce = challenge.nonce
        assert len(from_b64u(nonce)) == 32

        # identity.challenge.verify()
        answer = ChallengeResponse(
            challenge_id=challenge.challenge_id,
            agent_id=agent_id,
            certificate_id=agent_id,
            public_key=public_key,
            nonce=nonce,
            signature=b64u(private_key.sign(nonce.encode("ascii"))),
        )
        result = await identity_svc.verify_challenge(answer)
        assert result.overall_valid is True
        assert (await identity_svc.verify_challenge(answer)).overall_valid is False, "a challenge is answered once"

        # identity.suspend()
        identity = await identity_svc.suspend(agent_id=agent_id)
        assert str(identity.status) == "SUSPENDED"

        # identity.reactivate()
        identity = await identity_svc.reactivate(agent_id=agent_id)
        assert str(identity.status) == "ACTIVE"

        # identity.revoke(), of a second agent: the first still has work to do further down the page.
        csr.agent_name = "compromised-agent"
        compromised = (await identity_svc.issue_from_csr(csr)).identity.agent_id
        identity = await identity_svc.revoke(
            agent_id=compromised,
            data=AgentIdentityRevoke(
                revoked_by="aid_admin01",
                reason="agent compromised — key rotation required",
            ),
        )
        assert str(identity.status) == "REVOKED"
        assert identity.revocation_reason == "agent compromised — key rotation required"
        with pytest.raises(OrgKernelError) as refused:
            await identity_svc.reactivate(agent_id=compromised)
        assert refused.value.status == 400

        # token.mint()
        token = await token_svc.mint(
            ExecutionTokenCreate(
                agent_id=agent_id,
                mission_id="msn_invoice01",
                execution_scope=["read_invoice", "write_payment_draft"],
                expires_at=datetime.now(timezone.utc) + timedelta(hours=4),
            )
        )
        token_id = token.token_id
        assert token_id.startswith("tok_")
        assert signed_by(ca.public_key, token_preimage(token.raw), token.token_signature)

        # token.scope_check()
        result = await token_svc.check_scope(
            ScopeCheckRequest(
                token_id=token_id,
                tool_name="read_invoice",
                params={"invoice_id": "INV-4521"},
            )
        )
        assert result.passed is True
        result = await token_svc.check_scope(ScopeCheckRequest(token_id=token_id, tool_name="delete_invoice"))
        assert result.passed is False and result.blocked is True

        # token.use()
        token = await token_svc.mark_used(token_id=token_id)
        assert token.used is True

        # token.invalidate(), of a second token.
        second = await token_svc.mint(
            ExecutionTokenCreate(
                agent_id=agent_id,
                mission_id="msn_invoice01",
                execution_scope=["read_invoice"],
                expires_at=datetime.now(timezone.utc) + timedelta(hours=4),
            )
        )
        token = await token_svc.invalidate(
            token_id=second.token_id,
            reason="mission cancelled by operator",
        )
        assert token.invalidation_reason == "mission cancelled by operator"

        # token.list()
        tokens = await token_svc.list_by_mission(mission_id="msn_invoice01")
        assert [each.token_id for each in tokens] == [second.token_id, token_id]
        result = await token_svc.page_by_mission(
            mission_id="msn_invoice01",
            page_no=1,
            page_size=20,
        )
        shown = [f"{t.token_id}: used={t.used}, valid={t.is_valid}" for t in result["items"]]
        assert shown == [f"{second.token_id}: used=False, valid=False", f"{token_id}: used=True, valid=False"]
        assert [each.raw for each in await token_svc.list_by_agent(agent_id)] == [each.raw for each in tokens]
        assert (await token_svc.page_by_agent(agent_id))["total"] == 2

        # audit.initialize()
        chain_id = await audit_svc.initialize(
            db,
            mission_id="msn_invoice01",
            agent_id=agent_id,
        )
        assert chain_id.startswith("ac_")

        # audit.append()
        entry = await audit_svc.append(
            db,
            chain_id=chain_id,
            layer=AuditLayer.EXECUTION,
            event="EXECUTION_tool_call",
            agent_id=agent_id,
            mission_id="msn_invoice01",
            data={"tool": "read_invoice", "invoice_id": "INV-4521", "result": "success"},
            token_id=token_id,
        )
        assert entry.sequence == 1
        assert len(entry.entry_hash) == 64

        # audit.close()
        chain = await audit_svc.close(db, chain_id=chain_id)
        closed_head = chain.head_hash
        assert chain.closed_at is not None
        with pytest.raises(OrgKernelError) as refused:
            await audit_svc.append(db, chain_id, AuditLayer.EXECUTION, "EXECUTION_late", agent_id, "msn_invoice01")
        assert refused.value.status == 400

        # audit.get_chain()
        chain = await audit_svc.get_by_chain_id(db, chain_id)
        assert (await audit_svc.get_by_mission(db, mission_id="msn_invoice01")).raw == chain.raw
        shown = [f"  [{entry.layer}] {entry.event}" for entry in chain.entries]
        assert shown == [
            "  [IDENTITY] IDENTITY_chain_initialized",
            "  [EXECUTION] EXECUTION_tool_call",
            "  [EXECUTION] EXECUTION_chain_closed",
        ]
        assert chain.entries[1].data == {"tool": "read_invoice", "invoice_id": "INV-4521", "result": "success"}
        assert chain.entries[1].entry_hash == entry.entry_hash
        assert chain.head_hash == closed_head
        assert chain_is_whole(chain.raw)

        # audit.verify()
        valid = await audit_svc.verify_integrity(db, chain_id)
        assert valid is True
