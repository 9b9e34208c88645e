"""Standing at a past moment: every read of a view answers as it did then, and what changed since has its events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import httpx
import pytest

from daemon import Daemon, chancery
from native import get, refused, send, submit

VIEWS = ("/v1/identity/", "/v1/token/", "/v1/trust/", "/v1/execution/")


class World:
    """A daemon with one of everything that views show, a moment, and then another of everything, and each changed."""

    def __init__(self, daemon: Daemon):
        self.daemon = daemon
        self.admin = daemon.admin()
        self.then: dict[str, tuple[int, object]] = {}
        self.first = self._make("one")
        document = get(self.admin, "/openapi.json")
        self.paths = [path for path, item in document["paths"].items() if "get" in item]
        self.takes = {
            path for path in self.paths
            if any(each["name"] == "as_of" for each in document["paths"][path]["get"]["parameters"])
        }  # fmt: skip
        self.moment = self._newest()
        for path in self.views():
            for asked in self.filled(path):
                reply = self.admin.get(asked, params={"as_of": self.moment["seq"]})
                assert reply.status_code == 200, f"{asked}: {reply.text}"
                self.then[asked] = (self.moment["seq"], reply.text)
        self.second = self._make("two")
        self._change()

    def _newest(self) -> dict:
        return get(self.admin, "/v1/events", order="descending", limit=1)["items"][0]

    def views(self) -> Iterator[str]:
        """The paths of the views' reads."""
        return (path for path in self.paths if path.startswith(VIEWS))

    def filled(self, path: str) -> list[str]:
        """A path with the ids of the first things, and with the parameters that bring in more than the default."""
        kinds = ("scoring", "spending") if "{kind}" in path else ("",)
        more = {
            "/v1/identity/keys": ["", "?of=ledger"],
            "/v1/trust/agents/{agent}": ["?explain=true"],
            "/v1/trust/disputes": ["", f"?agent={self.first['agent']}"],
            "/v1/identity/agents": ["", "?status=active", f"?organisation={self.first['organisation']}&order=ascending"],
            "/v1/identity/credentials": ["?live=true", "?live=false"],
            "/v1/identity/issuer-rules": ["", f"?agent={self.first['agent']}"],
            "/v1/token/tokens": ["", "?live=true", f"?agent={self.first['agent']}", f"?mission={self.first['mission']}"],
            "/v1/execution/missions": ["", "?state=open", "?state=completed"],
            "/v1/execution/audit-chains": ["", "?open=true", f"?mission={self.first['mission']}"],
            "/v1/execution/audit-log/agentidp": ["", f"?agent={self.first['agent']}"],
            "/v1/execution/transactions": ["", "?status=completed", "?status=reversed", "?action=pay&least=1"],
            "/v1/execution/transactions/export": ["?format=csv", "?format=json"],
            "/v1/execution/subscriptions": ["", "?rendering=native"],
            # Attempts change a delivery while others read: alsorn_sdk/test_webhooks.py asks for one at past moments.
            "/v1/execution/subscriptions/{subscription}/deliveries/{delivery}": [],
            "/v1/trust/policies/scope/dry-run": ["?all=true"],
        }.get(path, [""])
        asked = [path.replace("{kind}", kind) + query for kind in kinds for query in more]
        return [self._with_ids(each) for each in asked]

    def _with_ids(self, path: str) -> str:
        while "{" in path:
            start, end = path.index("{"), path.index("}")
            path = path[:start] + str(self.first[path[start + 1 : end]]) + path[end + 1 :]
        return path

    def _make(self, name: str) -> dict[str, str]:
        def made(command: str, **params: object) -> dict:
            return submit(self.admin, command, params)["result"]

        organisation = made("CreateOrganisation", slug=f"org-{name}", name=name)["organisation"]["id"]
        agent = made(
            "RegisterAgent", name=name, key="make", organisation={"id": organisation}, actions=["pay"],
            limit={"amount": "100", "currency": "USD"}, profile={"purpose": f"to try {name}"},
        )["agent"]["id"]  # fmt: skip
        other = made("RegisterAgent", name=f"{name}, too")["agent"]["id"]
        made("AddOrganisationMember", organisation=organisation, agent=other)
        credential = made("CreateApiKey", name=name, scopes=["agents:read"])["credential"]["id"]
        made("CreateCredential", agent=agent)
        challenge = made("IssueChallenge", agent=agent, issued_by="a test")["challenge"]["id"]
        issuer = made("TrustIssuer", name=name * 2, iss=f"https://{name}.example", jwks_uri=f"https://{name}.example/keys")
        rule = made("AddIssuerRule", provider="github", repository=f"acme/{name}", agent=agent)
        mission = made("OpenMission", intent=name, key={"namespace": "native", "text": name})["mission"]["id"]
        expires = (datetime.now(timezone.utc) + timedelta(hours=1)).isoformat()
        token = made(
            "IssueToken", agent=agent, mission={"id": mission}, scopes=["read"], expires=expires,
            bounds=[{"name": "amount", "upper": 10.0}],
        )["token"]["id"]  # fmt: skip
        made("CheckScope", token=token, tool="read", params={"amount": 5})
        chain = made("OpenAuditChain", mission={"id": mission}, agent_text=name, mission_text=name)["audit_chain"]["id"]
        self._entry(chain, name)
        paid = made("ExecuteTransaction", agent=agent, counterparty={"external": "shop"}, amount="12.50", action="pay", currency="USD")
        dispute = made("FileDispute", agent=agent, transaction=paid["transaction"]["id"], reason=name)["dispute"]["id"]
        window = {"hours": 24, "amount": "1000", "currency": "USD"}
        made("SetPolicy", kind="spending", document={"windows": [window] * (1 if name == "one" else 2)})
        rate = {"one": 200, "two": 210}[name]
        weights = {"completion_rate": rate, "dispute_rate": 700 - rate, "tenure": 150, "operator_verified": 150}
        made("SetPolicy", kind="scoring", document={"weights": weights})
        destination = made("AddDestination", url=f"https://{name}.example/hook")["destination"]["id"]
        subscription = made("Subscribe", destinations=[destination], events=["AgentSuspended"])["subscription"]["id"]
        tenant = made("CreateTenant", slug=f"tenant-{name}", name=name)["tenant"]["id"]
        return {
            "organisation": organisation, "agent": agent, "credential": credential, "challenge": challenge,
            "issuer": issuer["issuer"]["id"], "rule": rule["issuer_rule"]["id"], "mission": mission, "token": token,
            "chain": chain, "transaction": paid["transaction"]["id"], "dispute": dispute, "destination": destination,
            "subscription": subscription, "tenant": tenant,
        }  # fmt: skip

    def _entry(self, chain: str, text: str) -> None:
        params = {"chain": chain, "layer": "EXECUTION", "event": "tried", "agent_text": text, "mission_text": text}
        submit(self.admin, "AppendAuditEntry", params)

    def _change(self) -> None:
        first = self.first

        def change(command: str, **params: object) -> None:
            submit(self.admin, command, params)

        change("UpdateOrganisation", organisation=first["organisation"], name="another name")
        change("AddOrganisationMember", organisation=first["organisation"], agent=self.second["agent"])
        change("RevokeApiKey", credential=first["credential"])
        change("CreateCredential", agent=first["agent"])
        # A wrong answer uses it up too.
        wrong = {"public_key": "0" * 64, "nonce": "another nonce than was asked", "signature": "0" * 128}
        send(self.admin, "AnswerChallenge", {"challenge": first["challenge"], "agent": first["agent"], **wrong})
        change("UpdateIssuer", issuer=first["issuer"], suspended=True)
        change("RemoveIssuerRule", rule=first["rule"])
        change("UseToken", token=first["token"])
        self._entry(first["chain"], "one")
        change("CloseAuditChain", chain=first["chain"])
        change("ReverseTransaction", transaction=first["transaction"], reason="a mistake")
        change("ResolveDispute", dispute=first["dispute"], outcome="dismissed")
        change("SuspendAgent", agent=first["agent"])
        change("CompleteMission", mission=first["mission"], output="done")
        change("ChangeSubscription", subscription=first["subscription"], name="another", active=False)
        change("RotateDestinationSecret", destination=first["destination"])
        change("UpdateTenant", tenant=first["tenant"], name="another name")
        change("RotateSigningKey")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    running = Daemon(tmp_path_factory.mktemp("as-of")).start()
    made = World(running)
    yield made
    made.admin.close()
    running.stop()


def test_every_read_of_a_view_takes_a_moment(world: World) -> None:
    views = list(world.views())
    assert len(views) > 40
    assert not [path for path in views if path not in world.takes]
    assert {"/v1/events", "/v1/events/{seq}"} <= world.takes


def test_every_read_answers_as_it_did_at_that_moment(world: World) -> None:
    for asked, (seq, then) in world.then.items():
        again = world.admin.get(asked, params={"as_of": seq})
        assert (again.status_code, again.text) == (200, then), asked
        # By its time too: nothing else happened at that microsecond.
        by_time = world.admin.get(asked, params={"as_of": world.moment["time"]})
        assert by_time.text == then, asked


def test_what_was_changed_since_reads_otherwise_now(world: World) -> None:
    """Else the test before would show nothing."""
    same = [asked for asked, (_, then) in world.then.items() if world.admin.get(asked).text == then]
    # Of these nothing changes: a certificate, a tenant's own keys, members.
    unchanged = {"/v1/identity/keys", "/v1/identity/members", f"/v1/identity/agents/{world.first['agent']}/certificate"}
    assert {asked.partition("?")[0] for asked in same} <= unchanged, same


def test_events_end_at_the_moment(world: World) -> None:
    seq = world.moment["seq"]
    newest = get(world.admin, "/v1/events", order="descending", limit=3, as_of=seq)["items"]
    assert [each["seq"] for each in newest] == [seq, seq - 1, seq - 2]
    about = get(world.admin, "/v1/events", subject=f"agent:{world.first['agent']}", as_of=seq)["items"]
    assert about and all(each["seq"] <= seq and each["kind"] != "AgentSuspended" for each in about)
    assert world.admin.get(f"/v1/events/{seq}", params={"as_of": seq}).status_code == 200
    refused(world.admin.get(f"/v1/events/{seq + 1}", params={"as_of": seq}), 404, "not_found")


# --- The difference between two moments


def difference(client: httpx.Client, **query: object) -> list[dict]:
    """All of it, page by page."""
    items, cursor = [], None
    while True:
        page = get(client, "/v1/diff", cursor=cursor, **query)
        items += page["items"]
        if (cursor := page["next"]) is None:
            return items


def test_a_difference_names_what_changed_and_by_which_events(world: World) -> None:
    changes = difference(world.admin, **{"from": world.moment["seq"]})
    by_id = {each["subject"]["id"]: each for each in changes}
    assert len(by_id) == len(changes), "each thing once"
    firsts = [each["events"][0] for each in changes]
    assert firsts == sorted(firsts) and firsts[0] > world.moment["seq"]
    for name in ("organisation", "agent", "credential", "issuer", "rule", "mission", "token", "chain", "transaction",
                 "dispute", "subscription", "tenant"):  # fmt: skip
        change = by_id[world.first[name]]
        assert change["before"] and change["after"] and change["fields"], name
        for field in change["fields"]:
            assert change["before"].get(field) != change["after"].get(field), (name, field)
        for seq in change["events"]:
            event = get(world.admin, f"/v1/events/{seq}")
            assert change["subject"] in event["subjects"], name
        assert by_id[world.second[name]]["before"] is None, name
    agent = by_id[world.first["agent"]]
    assert {"status", "usable", "trust"} <= set(agent["fields"])
    assert agent["before"]["trust"]["score"] != agent["after"]["trust"]["score"]
    assert {each["subject"]["kind"] for each in changes} >= {"policy", "destination", "challenge"}


def test_a_difference_pages_and_narrows(world: World) -> None:
    moment = {"from": world.moment["seq"]}
    whole = difference(world.admin, **moment)
    assert difference(world.admin, limit=1, **moment) == whole
    subject = f"agent:{world.first['agent']}"
    alone = get(world.admin, "/v1/diff", subject=subject, **moment)["items"]
    assert alone == [each for each in whole if each["subject"]["id"] == world.first["agent"]]
    assert get(world.admin, "/v1/diff", subject=subject, to=world.moment["time"], **moment)["items"] == []
    nobody = "agent:01932c07-209c-7c3a-9f1e-5b6d7e8f9a0b"
    refused(world.admin.get("/v1/diff", params={"subject": nobody}), 404, "not_found")
    refused(world.admin.get("/v1/diff", params={"from": 3, "to": 2}), 400, "parameter_invalid")
    refused(world.admin.get("/v1/diff", params={"from": 10**9}), 400, "as_of_future")


def test_a_tenant_sees_its_own_difference_alone(world: World) -> None:
    made = submit(world.admin, "CreateTenant", {"slug": "diff-other", "name": "Other"})["result"]
    with world.daemon.client(made["shown_once"]["api_key"]) as other:
        agent = submit(other, "RegisterAgent", {"name": "theirs"})["result"]["agent"]["id"]
        start = world.moment["seq"]
        seen = {each["subject"]["id"] for each in difference(other, **{"from": start})}
        assert agent in seen and not seen & set(world.first.values()) and not seen & set(world.second.values())
        ours = {"from": start, "subject": f"agent:{world.first['agent']}"}
        refused(other.get("/v1/diff", params=ours), 404, "not_found")
    assert agent in {each["subject"]["id"] for each in difference(world.admin, **{"from": start})}


def test_the_same_difference_is_found_offline(new_daemon, unique) -> None:  # noqa: ANN001
    daemon = new_daemon().start()
    with daemon.admin() as admin:
        agent = submit(admin, "RegisterAgent", {"name": unique("agent")})
        seq = agent["receipt"]["events"][-1]["seq"]
        submit(admin, "SuspendAgent", {"agent": agent["result"]["agent"]["id"]})
        submit(admin, "OpenMission", {"intent": "to compare"})
        asked = {"from": seq, "to": get(admin, "/v1/views")["events"] - 1}
        online = difference(admin, **asked)
    daemon.stop()
    arguments = ["replay", "--data-dir", str(daemon.data_dir), "diff", "--from", str(seq), "--to", str(asked["to"])]
    lines = chancery(*arguments, check=True).stdout.splitlines()
    assert [json.loads(line) for line in lines] == online and len(online) >= 2
