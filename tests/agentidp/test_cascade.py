"""What decommissioning an agent ends, in one commit. Contract section 6."""

from __future__ import annotations


from agentidp.idp import Agent, Caller, Idp, gone, ok
from native import get


def test_the_cascade_is_one_commit(idp: Idp, admin: Caller, agent: Agent) -> None:
    ok(admin.post(f"/agents/{agent.id}/credentials", {}), 201)
    gone(admin.delete(f"/agents/{agent.id}"))
    with idp.daemon.admin() as native:
        events = get(native, "/v1/events", subject=f"agent:{agent.id}", limit=100)["items"]
    kinds = [event["kind"] for event in events]
    assert kinds[-3:] == ["CredentialRevoked", "CredentialRevoked", "AgentDecommissioned"], kinds
    assert len({event["correlation"] for event in events[-3:]}) == 1
    first = events[-3]["seq"]
    assert [event["seq"] for event in events[-3:]] == [first, first + 1, first + 2]
