"""A second tenant, whose agents come from native commands."""

from __future__ import annotations

from dataclasses import dataclass

from agentidp.idp import EVERYTHING, Caller, Idp, fresh
from native import submit


@dataclass
class Tenant:
    """Another tenant, with an agent of its own that may do everything there."""

    agent: str
    secret: str
    key: str
    caller: Caller


def another(idp: Idp, **more: object) -> Tenant:
    """Makes one; of the tier that nothing limits, if nobody says otherwise."""
    with idp.daemon.admin() as native:
        made = submit(native, "CreateTenant", {"slug": fresh("tenant-"), "name": "Another", "tier": "enterprise"} | more)
    key = made["result"]["shown_once"]["api_key"]
    with idp.daemon.client(key) as native:
        agent = submit(native, "RegisterAgent", {"name": "theirs"})["result"]["agent"]["id"]
        scopes = EVERYTHING.removesuffix(" openid").split(" ")
        submit(native, "GrantScopes", {"agent": agent, "scopes": scopes, "administrator": True})
        secret = submit(native, "CreateCredential", {"agent": agent})["result"]["shown_once"]["client_secret"]
    return Tenant(agent, secret, key, idp.login(agent, secret, EVERYTHING))
