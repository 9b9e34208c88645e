"""View receipts: what a view said of a thing, or that it knew no such thing, checked with no daemon by two programs."""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import chancery_verify as cv
import httpx
import pytest
from daemon import Daemon, chancery
from native import fresh, get, pages, refused, register, send, submit

PATIENCE_SECS = 60


def a_uuid() -> str:
    """The id of a thing that is nowhere: a UUID of version 7."""
    drawn = uuid.uuid4()
    return str(uuid.UUID(int=drawn.int & ~(0xF << 76) | 0x7 << 76))


def trusted_key(client: httpx.Client) -> str:
    ledger = get(client, "/v1/identity/ledger")
    return cv.verifier_key(ledger["origin"], bytes.fromhex(ledger["sealing_key"]["public"]))


def publish(client: httpx.Client) -> dict:
    reply = client.post("/v1/views/roots")
    assert reply.status_code == 200, reply.text
    return reply.json()


def things(client: httpx.Client) -> dict[str, str]:
    """One of every sort that has receipts, by the sort's name: its id."""
    made: dict[str, str] = {}
    organisation = submit(client, "CreateOrganisation", {"slug": fresh("acme-"), "name": "Acme"})
    made["organisation"] = organisation["result"]["organisation"]["id"]
    agent = register(client, key="make", actions=["pay"], limit={"amount": "10", "currency": "USD"})["result"]["agent"]["id"]
    made["agent"] = made["grants"] = made["trust"] = agent
    submit(client, "GrantScopes", {"agent": agent, "scopes": ["admin:orgs"], "administrator": True})
    secret = submit(client, "CreateCredential", {"agent": agent})
    made["credential"] = secret["result"]["credential"]["id"]
    made["challenge"] = submit(client, "IssueChallenge", {"agent": agent, "issued_by": "gate"})["result"]["challenge"]["id"]
    issuer = {"name": "Partner", "iss": f"https://{fresh('issuer-')}.example", "jwks_uri": "https://issuer.example/jwks"}
    made["issuer"] = submit(client, "TrustIssuer", issuer)["result"]["issuer"]["id"]
    rule = {"provider": "github", "repository": f"acme/{fresh('repository-')}", "branch": "main", "agent": agent}
    made["issuer_rule"] = submit(client, "AddIssuerRule", rule)["result"]["issuer_rule"]["id"]
    mission = {"key": {"namespace": "native", "text": fresh("mission-")}}
    expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    token = {"agent": agent, "mission": mission, "scopes": ["sweep"], "expires": expires}
    made["token"] = submit(client, "IssueToken", token)["result"]["token"]["id"]
    made["mission"] = submit(client, "OpenMission", {"agent": agent, "intent": "sweep", "limits": {"calls": 3}})["result"]["mission"]["id"]
    chain = {"mission": mission, "agent_text": "ada", "mission_text": "sweep"}
    made["audit_chain"] = submit(client, "OpenAuditChain", chain)["result"]["audit_chain"]["id"]
    paid = {"agent": agent, "counterparty": {"external": "shop"}, "amount": "1.50", "action": "pay", "notes": "dust"}
    made["transaction"] = submit(client, "ExecuteTransaction", paid)["result"]["transaction"]["id"]
    submit(client, "ReverseTransaction", {"transaction": made["transaction"], "reason": "no dust"})
    dispute = submit(client, "FileDispute", {"agent": agent, "reason": "it lied"})["result"]["dispute"]["id"]
    submit(client, "ResolveDispute", {"dispute": dispute, "outcome": "dismissed"})
    made["dispute"] = dispute
    destination = submit(client, "AddDestination", {"url": "https://hooks.example/", "confirm": True})
    made["destination"] = destination["result"]["destination"]["id"]
    submit(client, "RotateDestinationSecret", {"destination": made["destination"]})
    told = {"url": "https://hooks.example/", "events": ["AgentRegistered"]}
    made["subscription"] = submit(client, "Subscribe", told)["result"]["subscription"]["id"]
    made["tenant"] = get(client, "/v1/identity/tenants")["items"][-1]["id"]
    made["member"] = next(pages(client, "/v1/identity/members"))["id"]
    return made


def both(file: Path, key: str) -> tuple[bool, dict | str]:
    """What both verifiers say of a receipt, which must be the same."""
    run = chancery("verify", "--receipt", str(file), "--key", key, "--json")
    assert run.returncode in (0, 1), run.stderr
    ours = json.loads(run.stdout)
    try:
        theirs = cv.verify_receipt(file.read_bytes(), cv.parse_verifier_key(key))
    except cv.Malformed as why:
        assert not ours["holds"], f"{ours} but {why}"
        return False, ours["why"]
    assert ours["holds"], f"{ours} but {theirs}"
    proven = ours["proven"]
    assert (proven["thing"], proven["view"], proven["size"], proven["published"]) == tuple(
        theirs[name] for name in ("thing", "view", "size", "published")
    )
    if theirs["row"] is None:
        assert proven["row"] is None
    else:
        written, row = proven["row"]
        assert written == theirs["written"]
        same(row, theirs["row"], theirs["thing"])
    return True, proven


def same(ours: object, theirs: object, at: str) -> None:
    """A row as the Rust program decodes it, and as the page's table does: the same members, and the same in them."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        assert set(ours) == set(theirs), f"{at}: {list(ours)} is not {list(theirs)}"
        for name, value in theirs.items():
            same(ours[name], value, f"{at}.{name}")
    elif isinstance(theirs, list) and isinstance(ours, list):
        assert len(ours) == len(theirs), at
        for n, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
            same(mine, other, f"{at}[{n}]")
    elif isinstance(theirs, bytes) and isinstance(ours, str):
        assert ours.replace("-", "") == theirs.hex(), at
    elif isinstance(theirs, (bool, str)) or theirs is None:
        assert ours == theirs, at
    elif isinstance(theirs, int) and isinstance(ours, int):
        assert ours == theirs, at


@pytest.fixture
def keep(tmp_path: Path) -> Callable[[httpx.Client, str], Path]:
    """Fetches a receipt into a file."""

    def fetch(client: httpx.Client, thing: str) -> Path:
        reply = client.get(f"/v1/receipts/{thing}")
        assert reply.status_code == 200, f"{thing}: {reply.text}"
        file = tmp_path / f"{thing.replace(':', '-')}-{fresh('')}.receipt"
        file.write_bytes(reply.content)
        return file

    return fetch


def test_everything_that_has_receipts_is_proven(new_daemon: Callable[..., Daemon], keep: Callable) -> None:
    daemon = new_daemon().start()
    with daemon.admin() as client:
        refused(client.get(f"/v1/receipts/token:{a_uuid()}"), 404, "not_found")
        made = things(client)
        published = publish(client)
        assert [root["view"] for root in published["roots"]] == ["identity", "token", "trust", "execution"]
        assert get(client, "/v1/views/roots") == published == publish(client), "nothing happened, so nothing is published"
        key = trusted_key(client)
        assert set(made) == set(cv.SORTS)
        for sort, ident in made.items():
            holds, proven = both(keep(client, f"{sort}:{ident}"), key)
            assert holds and isinstance(proven, dict) and proven["row"] is not None, (sort, proven)
            assert (proven["size"], proven["published"]) == (published["size"], published["event"])
            holds, proven = both(keep(client, f"{sort}:{a_uuid()}"), key)
            assert holds and isinstance(proven, dict) and proven["row"] is None, (sort, proven)
        refused(client.get(f"/v1/receipts/robot:{a_uuid()}"), 404, "not_found")
        assert get(client, "/v1/views/roots", as_of=published["event"]) == published
        refused(client.get("/v1/views/roots", params={"as_of": published["event"] - 1}), 404, "not_found")


def test_a_revoked_token_is_revoked_in_later_receipts_alone(new_daemon: Callable[..., Daemon], keep: Callable) -> None:
    daemon = new_daemon().start()
    with daemon.admin() as client:
        made = things(client)
        key, token, other = trusted_key(client), f"token:{made['token']}", register(client)["result"]["agent"]["id"]
        publish(client)
        before, granted = both(keep(client, token), key)[1], both(keep(client, f"grants:{other}"), key)[1]
        assert isinstance(before, dict) and before["row"][1]["revoked"] is None
        assert isinstance(granted, dict) and granted["row"] is None, "it was never granted anything"
        submit(client, "RevokeToken", {"token": made["token"]})
        assert both(keep(client, token), key)[1] == before, "what was published is what was published"
        publish(client)
        after = both(keep(client, token), key)[1]
        assert isinstance(after, dict) and after["row"][1]["revoked"]["at"]


def test_receipts_know_tenants_and_scopes(new_daemon: Callable[..., Daemon], keep: Callable) -> None:
    daemon = new_daemon().start()
    with daemon.admin() as client:
        made = things(client)
        other = submit(client, "CreateTenant", {"slug": fresh("other-"), "name": "Other"})["result"]
        prover = submit(
            client, "CreateApiKey", {"name": "prover", "scopes": ["ledger:prove", "agents:read"], "audience": ["native"]}
        )
        publish(client)
        key = trusted_key(client)
        with daemon.client(other["shown_once"]["api_key"]) as stranger:
            holds, proven = both(keep(stranger, f"agent:{made['agent']}"), key)
            assert holds and isinstance(proven, dict)
            assert (proven["row"], proven["tenant"]) == (None, other["tenant"]["id"]), "as one that does not exist"
            assert stranger.post("/v1/views/roots").status_code == 403
        with daemon.client(prover["result"]["shown_once"]["api_key"]) as prover_client:
            assert both(keep(prover_client, f"agent:{made['agent']}"), key)[0]
            assert prover_client.get(f"/v1/receipts/token:{made['token']}").status_code == 403
            assert prover_client.post("/v1/views/roots").status_code == 403


def test_a_forged_receipt_is_refused_by_both(new_daemon: Callable[..., Daemon], keep: Callable, tmp_path: Path) -> None:
    daemon = new_daemon().start()
    with daemon.admin() as client:
        made = things(client)
        publish(client)
        key = trusted_key(client)
        present = json.loads(keep(client, f"token:{made['token']}").read_text())
        absent = json.loads(keep(client, f"agent:{a_uuid()}").read_text())
        whose = get(client, "/v1/identity/tenants")["items"][0]["id"]
    forged = tmp_path / "forged"

    def fails(genuine: dict, /, **changes: object) -> None:
        forged.write_text(json.dumps(genuine | changes))
        assert both(forged, key)[0] is False, changes

    assert len(present["leaves"]) == 1 and len(absent["leaves"]) in (1, 2)
    fails(present, row=None)
    fails(present, row=present["row"][:-4])
    fails(present, thing=f"token:{a_uuid()}")
    fails(present, thing=present["thing"].replace("token", "agent"))
    fails(present, leaves=[])
    fails(present, leaves=present["leaves"] * 2)
    fails(present, leaves=[present["leaves"][0] | {"seq": present["leaves"][0]["seq"] + 1}])
    fails(present, leaves=[present["leaves"][0] | {"index": present["leaves"][0]["index"] + 1}])
    fails(present, leaves=[present["leaves"][0] | {"path": present["leaves"][0]["path"][:-1]}])
    fails(present, body=absent["body"][:-4] + "AAAA")
    fails(present, receipt="chancery view receipt 2")
    fails(present, more=1)
    fails(absent, row=present["row"])
    fails(absent, leaves=absent["leaves"][:-1])
    fails(absent, leaves=present["leaves"])
    fails(absent, thing=f"tenant:{whose}", tenant=whose)
    other = cv.verifier_key(cv.parse_verifier_key(key)[0], bytes.fromhex("58" + "66" * 31))
    forged.write_text(json.dumps(present))
    assert both(forged, key)[0] is True
    assert both(forged, other)[0] is False
    assert "give --key" in chancery("verify", "--receipt", str(forged)).stderr


def test_trees_come_back_and_replay_knows_every_root(
    new_daemon: Callable[..., Daemon], keep: Callable, tmp_path: Path
) -> None:
    daemon = new_daemon().start()
    with daemon.admin() as client:
        made = things(client)
        publish(client)
        thing = f"agent:{made['agent']}"
        first = keep(client, thing).read_bytes()
        submit(client, "SuspendAgent", {"agent": made["agent"]})
        rebuilt = client.post("/v1/views/identity/rebuild", timeout=300).json()
        assert rebuilt["equal"] and keep(client, thing).read_bytes() == first
    daemon.stop()
    shutil.rmtree(daemon.data_dir / "receipts")
    daemon.start()
    with daemon.admin() as client:
        deadline = time.monotonic() + PATIENCE_SECS
        while (reply := client.get(f"/v1/receipts/{thing}")).status_code == 503:
            assert reply.json()["code"] == "unreadable" and time.monotonic() < deadline, reply.text
            time.sleep(0.05)
        assert reply.content == first
        publish(client)
    daemon.stop()
    run = chancery("replay", "roots", "--data-dir", str(daemon.data_dir))
    assert run.returncode == 0, run.stderr
    compared = [json.loads(line) for line in run.stdout.splitlines()]
    assert [roots["equal"] for roots in compared] == [True, True] and "all roots of 2 publications" in run.stderr
    later = chancery("replay", "roots", "--from", str(compared[1]["event"]), "--data-dir", str(daemon.data_dir))
    assert [json.loads(line) for line in later.stdout.splitlines()] == compared[1:]


def test_roots_are_published_by_themselves_while_something_happens(new_daemon: Callable[..., Daemon]) -> None:
    daemon = new_daemon("--view-roots-secs", "1").start()
    with daemon.admin() as client:
        seen = None
        for _ in range(2):
            register(client)
            deadline = time.monotonic() + PATIENCE_SECS
            while (reply := client.get("/v1/views/roots")).status_code == 404 or reply.json() == seen:
                assert time.monotonic() < deadline, reply.text
                time.sleep(0.05)
            seen = reply.json()
        refused(send(client, "PublishViewRoots", {"size": 1, "roots": []}), 400, "malformed")
        kinds = [event["kind"] for event in pages(client, "/v1/events", limit=1000)]
    assert "ViewRootsPublished" in kinds
    for before, after in zip(kinds, kinds[1:], strict=False):
        assert (before, after) != ("ViewRootsPublished", "ViewRootsPublished"), "nothing happened between the two"
