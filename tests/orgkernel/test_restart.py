"""What OrgKernel keeps in memory and the daemon keeps for good: everything is as it was after a restart."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from daemon import Daemon
from orgkernel.canonical import certificate_preimage, chain_is_whole, signed_by, token_preimage
from orgkernel.contract import append_body, fresh, issue, mint, ok, open_chain
from orgkernel.test_challenge import answer, request, verify


def everything(kernel: httpx.Client, agents: list[str], tokens: list[str], chains: list[str]) -> dict:
    """All that can be read of these, by path."""
    paths = ["/ca", "/identity/org/contract-corp", "/identity/org/contract-corp/page?page_size=2"]
    for agent in agents:
        paths += [f"/identity/{agent}", f"/identity/{agent}/certificate", f"/token/agent/{agent}", f"/audit/agent/{agent}/page"]
    paths += [f"/token/{token}" for token in tokens]
    for chain in chains:
        paths += [f"/audit/{chain}", f"/audit/{chain}/verify"]
    return {path: ok(kernel.get(path)) for path in paths}


def test_everything_is_as_it_was(new_daemon: Callable[..., Daemon]) -> None:
    daemon = new_daemon().start()
    with daemon.orgkernel() as kernel:
        agents = [issue(kernel) for _ in range(4)]
        ok(kernel.post(f"/identity/{agents[1].id}/suspend"))
        ok(kernel.post(f"/identity/{agents[2].id}/revoke", json={"revoked_by": "ops", "reason": "lost"}))
        mission = fresh("msn_restart")
        tokens = [mint(kernel, agents[0], mission_id=mission, immutable_params={"f": 1.0, "n": 1}) for _ in range(3)]
        ok(kernel.post(f"/token/{tokens[1]['token_id']}/use"))
        ok(kernel.post(f"/token/{tokens[2]['token_id']}/invalidate", params={"reason": "over"}))
        chain_id, _ = open_chain(kernel, agents[0].id, mission)
        ok(kernel.post(f"/audit/{chain_id}/append", json=append_body(mission, data={"x": [1.0, -0.0, 2**64 - 1]})))
        waiting = request(kernel, agents[0].id, ttl_seconds=3600)
        answered = request(kernel, agents[0].id, ttl_seconds=3600)
        assert verify(kernel, answer(agents[0], answered)) == (True, True, True)
        ids = [agent.id for agent in agents], [token["token_id"] for token in tokens], [chain_id]
        before = everything(kernel, *ids)
    daemon.stop()
    daemon.start()
    with daemon.orgkernel() as kernel:
        assert everything(kernel, *ids) == before
        ca_key = ok(kernel.get("/ca"))["public_key"]  # type: ignore[index]
        certificate = agents[3].issued["certificate"]
        assert signed_by(ca_key, certificate_preimage(certificate), certificate["ca_signature"])
        assert signed_by(ca_key, token_preimage(tokens[0]), tokens[0]["token_signature"])
        # What was going on goes on: the chain from its head, the challenge once, the name still taken.
        appended = ok(kernel.post(f"/audit/{chain_id}/append", json=append_body(mission)))
        assert appended["sequence"] == 2  # type: ignore[index]
        assert chain_is_whole(ok(kernel.get(f"/audit/{chain_id}")))  # type: ignore[arg-type]
        assert verify(kernel, answer(agents[0], answered)) == (False, False, False)
        assert verify(kernel, answer(agents[0], waiting)) == (True, True, True)
        taken = kernel.post("/identity/issue", json=dict(
            agent_name=agents[0].issued["identity"]["agent_name"], org_id="contract-corp", requested_ou="x", public_key="A" * 43, purpose="y",
        ))  # fmt: skip
        assert taken.status_code == 409
        new = mint(kernel, agents[0], mission_id=mission)
        assert signed_by(ca_key, token_preimage(new), new["token_signature"]), "the same Org CA signs on"
    daemon.stop()
