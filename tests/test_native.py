"""The native API from outside: commands and receipts, batches, idempotency, versions, moments, events, keys, tenants."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from itertools import islice

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from daemon import Daemon
from native import batch, fresh, get, pages, refused, register, send, submit

NOBODY = "01932c07-209c-7c3a-9f1e-5b6d7e8f9a0b"


def last_seq(client: httpx.Client) -> int:
    """The newest event's position."""
    return get(client, "/v1/events", order="descending", limit=1)["items"][0]["seq"]


# --- Commands and receipts


def test_a_receipt_names_its_events(admin: httpx.Client) -> None:
    answer = register(admin, profile={"purpose": "testing"})
    events = answer["receipt"]["events"]
    assert [event["kind"] for event in events][:1] == ["AgentRegistered"]
    seqs = [event["seq"] for event in events]
    assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))
    assert answer["receipt"]["size"] > seqs[-1] and answer["receipt"]["replayed"] is False
    for event in events:
        shown = get(admin, f"/v1/events/{event['seq']}")
        assert {name: shown[name] for name in event} == event
    agent = get(admin, f"/v1/identity/agents/{answer['result']['agent']['id']}")
    assert agent["name"] == answer["result"]["agent"]["name"]


def test_a_read_reflects_what_its_caller_was_told(daemon: Daemon, admin: httpx.Client) -> None:
    """Read-your-writes, for clients that know nothing of sequence numbers."""

    def work(_: int) -> None:
        with daemon.admin() as client:
            for _ in range(10):
                agent = register(client)["result"]["agent"]["id"]
                assert get(client, f"/v1/identity/agents/{agent}")["status"] == "active"
                submit(client, "SuspendAgent", {"agent": agent})
                assert get(client, f"/v1/identity/agents/{agent}")["status"] == "suspended"

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))


def test_what_is_already_so_adds_no_event(admin: httpx.Client) -> None:
    agent = register(admin)["result"]["agent"]["id"]
    assert len(submit(admin, "SuspendAgent", {"agent": agent})["receipt"]["events"]) == 1
    again = submit(admin, "SuspendAgent", {"agent": agent})
    assert again["receipt"]["events"] == [] and again["result"]["agent"]["status"] == "suspended"


def test_secrets_are_shown_once(admin: httpx.Client) -> None:
    key = fresh("once-")
    answer = register_with_key(admin, key)
    assert "BEGIN PRIVATE KEY" in answer["result"]["shown_once"]["private_key_pem"]
    again = register_with_key(admin, key, name=answer["result"]["agent"]["name"])
    assert again["receipt"]["replayed"] is True
    assert not again["result"].get("shown_once", {}).get("private_key_pem")
    assert again["receipt"]["events"] == answer["receipt"]["events"]
    agent = answer["result"]["agent"]["id"]
    for path in (f"/v1/identity/agents/{agent}", "/v1/events?limit=500", f"/v1/identity/agents/{agent}/certificate"):
        assert "PRIVATE" not in admin.get(path).text


def register_with_key(client: httpx.Client, key: str, name: str | None = None) -> dict:
    return submit(client, "RegisterAgent", {"name": name or f"agent of {key}", "key": "make"}, Idempotency_Key=key)


@pytest.mark.parametrize(
    ("body", "code", "status"),
    [
        (b"", "malformed", 400),
        (b"{", "malformed", 400),
        (b"[]", "malformed", 400),
        (b"null", "malformed", 400),
        (b"{}", "malformed", 400),
        (b'{"command":"Nothing","params":{}}', "malformed", 400),
        (b'{"command":"NoteAuthentication","params":{"mount":"x","why":"y","count":1}}', None, None),
        (b'{"command":"SuspendAgent","params":{}}', "malformed", 400),
        (b'{"command":"SuspendAgent","params":{"agent":"x"}}', "malformed", 400),
        (b'{"command":"SuspendAgent","params":{"agent":"' + NOBODY.encode() + b'","x":1}}', "malformed", 400),
        (b'{"command":"SuspendAgent","params":{"agent":"' + NOBODY.encode() + b'"}}', "not_found", 404),
        (b'{"command":"OpenMission","params":{"intent":"\xff"}}', "malformed", 400),
        (b'{"command":"OpenMission","params":' + b"[" * 5000, "malformed", 400),
    ],
    ids=range(13),
)
def test_malformed_commands(admin: httpx.Client, body: bytes, code: str | None, status: int | None) -> None:
    before = last_seq(admin)
    reply = admin.post("/v1/commands", content=body, headers={"Content-Type": "application/json"})
    if code is None:
        assert 400 <= reply.status_code < 500, "what only the daemon sends is nobody else's"
    else:
        refused(reply, status, code)  # type: ignore[arg-type]
    assert last_seq(admin) == before


def test_other_types_of_body_are_refused(admin: httpx.Client) -> None:
    reply = admin.post("/v1/commands", content=b"command=OpenMission", headers={"Content-Type": "application/x-www-form-urlencoded"})
    refused(reply, 415, "media_type_unsupported")


# --- Batches


def test_a_batch_is_answered_line_by_line_in_order(admin: httpx.Client) -> None:
    lines: list[dict | str] = []
    for number in range(300):
        if number % 50 == 7:
            lines.append("{not json")
        elif number % 50 == 13:
            lines.append({"command": "SuspendAgent", "params": {"agent": NOBODY}})
        else:
            lines.append({"command": "OpenMission", "params": {"intent": f"work {number}"}})
    answers = batch(admin, lines)
    assert [answer["index"] for answer in answers] == list(range(300))
    seqs = []
    for number, answer in enumerate(answers):
        if number % 50 == 7:
            assert (answer["status"], answer["problem"]["code"]) == (400, "malformed")
        elif number % 50 == 13:
            assert (answer["status"], answer["problem"]["code"]) == (404, "not_found")
        else:
            assert answer["status"] == 200 and answer["result"]["mission"]["intent"] == f"work {number}"
            seqs += [event["seq"] for event in answer["receipt"]["events"]]
    assert seqs == sorted(seqs) and len(seqs) == 288


def test_a_batch_can_be_sent_again(admin: httpx.Client) -> None:
    key = fresh("batch-")
    lines = [{"command": "OpenMission", "params": {"intent": f"once {number}"}} for number in range(20)]
    first = batch(admin, lines, Idempotency_Key=key)
    before = last_seq(admin)
    again = batch(admin, lines, Idempotency_Key=key)
    assert [answer["receipt"]["events"] for answer in again] == [answer["receipt"]["events"] for answer in first]
    assert all(answer["receipt"]["replayed"] for answer in again)
    assert last_seq(admin) == before


def test_an_empty_batch_is_answered_with_nothing(admin: httpx.Client) -> None:
    assert batch(admin, []) == []
    assert batch(admin, ["", "  ", ""]) == []


def test_a_line_too_long_ends_the_batch_and_nothing_before_it(admin: httpx.Client) -> None:
    good = {"command": "OpenMission", "params": {"intent": fresh("before ")}}
    answers = batch(admin, [good, json.dumps({"command": "OpenMission", "params": {"intent": "x" * 300_000}}), good])
    assert answers[0]["status"] == 200
    assert answers[-1]["status"] == 413 and answers[-1]["problem"]["code"] == "body_too_large"
    assert len(answers) == 2


# --- Idempotency


# Set by the test: a state machine is made without arguments.
make_daemon: list[Callable[..., Daemon]] = []


class Idempotent(RuleBasedStateMachine):
    """Whatever is sent, again or not, in one life of the daemon or the next: a key's command happens once."""

    def __init__(self) -> None:
        super().__init__()
        self.daemon = make_daemon[0]().start()
        self.client = self.daemon.admin()
        self.done: dict[str, tuple[str, list]] = {}
        self.missions = 0

    @initialize()
    def count(self) -> None:
        self.missions = self.counted()

    def counted(self) -> int:
        return sum(1 for _ in pages(self.client, "/v1/execution/missions", limit=500))

    @rule(key=st.sampled_from("abcde"), intent=st.sampled_from(["one", "two"]))
    def send(self, key: str, intent: str) -> None:
        reply = send(self.client, "OpenMission", {"intent": intent}, Idempotency_Key=key)
        if key not in self.done:
            assert reply.status_code == 200, reply.text
            assert reply.json()["receipt"]["replayed"] is False
            self.done[key] = (intent, reply.json()["receipt"]["events"])
            self.missions += 1
        elif self.done[key][0] == intent:
            assert reply.status_code == 200, reply.text
            assert reply.json()["receipt"]["replayed"] is True
            assert reply.json()["receipt"]["events"] == self.done[key][1]
        else:
            problem = refused(reply, 422, "idempotency_conflict")
            assert problem["original"] == self.done[key][1][0]["seq"]

    @rule(key=st.sampled_from("fgh"))
    def send_many_at_once(self, key: str) -> None:
        def one(_: int) -> dict:
            with self.daemon.admin() as client:
                return submit(client, "OpenMission", {"intent": "race"}, Idempotency_Key=key)["receipt"]

        with ThreadPoolExecutor(4) as pool:
            receipts = list(pool.map(one, range(4)))
        assert len({json.dumps(receipt["events"]) for receipt in receipts}) == 1
        fresh_ones = [receipt for receipt in receipts if not receipt["replayed"]]
        assert len(fresh_ones) == (0 if key in self.done else 1)
        if key not in self.done:
            self.missions += 1
        self.done[key] = ("race", receipts[0]["events"])

    @rule(kill=st.booleans())
    def restart(self, kill: bool) -> None:
        self.client.close()
        if kill:
            self.daemon.kill()
        else:
            self.daemon.stop()
        self.daemon.start()
        self.client = self.daemon.admin()

    def teardown(self) -> None:
        assert self.counted() == self.missions
        self.client.close()
        self.daemon.stop()


def test_a_keys_command_happens_once(new_daemon: Callable[..., Daemon]) -> None:
    make_daemon[:] = [new_daemon]
    run_state_machine_as_test(
        Idempotent,
        settings=settings(max_examples=6, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)),
    )


def test_keys_of_idempotency_have_bounds(admin: httpx.Client) -> None:
    assert send(admin, "OpenMission", {}, Idempotency_Key="x" * 255).status_code == 200
    for bad in ("x" * 256, ""):
        reply = send(admin, "OpenMission", {}, Idempotency_Key=bad)
        assert reply.status_code == 400, reply.text


# --- Optimistic concurrency


def test_if_match(admin: httpx.Client) -> None:
    agent = register(admin)["result"]["agent"]["id"]
    tag = admin.get(f"/v1/identity/agents/{agent}").headers["etag"]
    submit(admin, "SuspendAgent", {"agent": agent}, If_Match=tag)
    problem = refused(send(admin, "ResumeAgent", {"agent": agent}, If_Match=tag), 412, "conflict")
    assert f'"{problem["expected"]}"' == tag
    newer = admin.get(f"/v1/identity/agents/{agent}").headers["etag"]
    assert newer == f'"{problem["actual"]}"'
    submit(admin, "ResumeAgent", {"agent": agent}, If_Match=newer)
    assert send(admin, "ResumeAgent", {"agent": agent}, If_Match="nonsense").status_code == 400


def test_of_many_who_saw_the_same_version_one_wins(daemon: Daemon, admin: httpx.Client) -> None:
    agent = register(admin)["result"]["agent"]["id"]
    tag = admin.get(f"/v1/identity/agents/{agent}").headers["etag"]

    def work(number: int) -> int:
        with daemon.admin() as client:
            return send(client, "UpdateAgent", {"agent": agent, "semver": str(number)}, If_Match=tag).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = sorted(pool.map(work, range(8)))
    assert statuses == [200] + [412] * 7


# --- Moments


def test_as_of(admin: httpx.Client) -> None:
    registered = register(admin)
    agent = registered["result"]["agent"]["id"]
    born = registered["receipt"]["events"][0]
    suspended = submit(admin, "SuspendAgent", {"agent": agent})["receipt"]["events"][0]
    resumed = submit(admin, "ResumeAgent", {"agent": agent})["receipt"]["events"][0]
    path = f"/v1/identity/agents/{agent}"
    assert get(admin, path)["status"] == "active"
    assert get(admin, path, as_of=suspended["seq"])["status"] == "suspended"
    assert get(admin, path, as_of=resumed["seq"])["status"] == "active"
    assert get(admin, path, as_of=registered["receipt"]["events"][-1]["seq"])["status"] == "active"
    refused(admin.get(path, params={"as_of": born["seq"] - 1}), 404, "not_found")
    if suspended["time"] < resumed["time"]:
        assert get(admin, path, as_of=suspended["time"])["status"] == "suspended"
    listed = pages(admin, "/v1/identity/agents", as_of=born["seq"] - 1, limit=100)
    assert agent not in [each["id"] for each in listed]
    refused(admin.get(path, params={"as_of": last_seq(admin) + 1_000_000}), 400, "as_of_future")
    for bad in ("-1", "1.5", "yesterday", "2099-01-01T00:00:00Z", "2026-01-01"):
        assert admin.get(path, params={"as_of": bad}).status_code == 400


# --- Lists


def test_lists_page_with_cursors(admin: httpx.Client) -> None:
    organisation = submit(admin, "CreateOrganisation", {"slug": fresh("paged-"), "name": "Paged"})["result"]["organisation"]["id"]
    made = [register(admin, organisation={"id": organisation})["result"]["agent"]["id"] for _ in range(7)]
    for order, expected in (("ascending", made), ("descending", made[::-1])):
        listed = list(pages(admin, "/v1/identity/agents", organisation=organisation, limit=3, order=order))
        assert [agent["id"] for agent in listed] == expected
    submit(admin, "SuspendAgent", {"agent": made[2]})
    suspended = list(pages(admin, "/v1/identity/agents", organisation=organisation, status="suspended"))
    assert [agent["id"] for agent in suspended] == [made[2]]
    for bad in ({"limit": 0}, {"limit": 100_000}, {"order": "sideways"}, {"cursor": "nonsense"}, {"unknown": 1}, {"status": "x"}):
        refused(admin.get("/v1/identity/agents", params=bad), 400, "parameter_invalid")  # type: ignore[arg-type]


# --- Events


def test_events_by_range_kind_subject_and_time(admin: httpx.Client) -> None:
    first = register(admin)
    agent = first["result"]["agent"]["id"]
    suspended = submit(admin, "SuspendAgent", {"agent": agent})["receipt"]["events"][0]
    last = submit(admin, "ResumeAgent", {"agent": agent})["receipt"]["events"][0]
    begin = first["receipt"]["events"][0]
    of_agent = list(pages(admin, "/v1/events", subject=f"agent:{agent}", limit=2))
    assert {event["seq"] for event in of_agent} >= {begin["seq"], suspended["seq"], last["seq"]}
    assert [event["seq"] for event in of_agent] == sorted(event["seq"] for event in of_agent)
    for event in of_agent:
        assert {"kind": "agent", "id": agent} in event["subjects"]
    between = list(pages(admin, "/v1/events", **{"from": begin["seq"], "to": last["seq"], "limit": 3}))
    assert [event["seq"] for event in between] == list(range(begin["seq"], last["seq"] + 1))
    backwards = list(pages(admin, "/v1/events", **{"from": begin["seq"], "to": last["seq"], "limit": 3, "order": "descending"}))
    assert backwards == between[::-1]
    of_kind = list(pages(admin, "/v1/events", kind="AgentSuspended", **{"from": begin["seq"], "to": last["seq"]}))
    assert [event["seq"] for event in of_kind if event["subjects"][0]["id"] == agent] == [suspended["seq"]]
    in_time = list(
        pages(admin, "/v1/events", subject=f"agent:{agent}", from_time=suspended["time"], to_time=suspended["time"])
    )
    assert suspended["seq"] in [event["seq"] for event in in_time]
    refused(admin.get("/v1/events/9007199254740000"), 404, "not_found")


def test_events_are_linked(admin: httpx.Client) -> None:
    events = list(islice(pages(admin, "/v1/events", limit=100), 300))
    assert [event["seq"] for event in events] == list(range(len(events)))
    assert events[0]["kind"] == "LedgerCreated" and events[0]["prev"] == "0" * 64
    for before, event in zip(events, events[1:], strict=False):
        assert event["prev"] == before["hash"] and event["time"] >= before["time"]


def stream(client: httpx.Client, **how: object) -> Iterator[tuple[int, str, dict]]:
    """The events of a live stream: id, kind, data."""
    query, headers = how.get("query", {}), how.get("headers", {})
    with client.stream("GET", "/v1/events/stream", params=query, headers=headers) as reply:  # type: ignore[arg-type]
        assert reply.status_code == 200
        assert reply.headers["content-type"].startswith("text/event-stream")
        fields: dict[str, str] = {}
        for line in reply.iter_lines():
            if line:
                name, _, value = line.partition(":")
                fields[name] = value.removeprefix(" ")
            elif "data" in fields:
                yield int(fields["id"]), fields["event"], json.loads(fields["data"])
                fields = {}
            else:
                fields = {}


def test_a_stream_resumes_without_gap_or_repeat(daemon: Daemon, admin: httpx.Client) -> None:
    begin = last_seq(admin) + 1
    total = 200

    def write() -> None:
        with daemon.admin() as client:
            for number in range(total // 20):
                batch(client, [{"command": "OpenMission", "params": {"intent": f"stream {number}"}} for _ in range(20)])

    writer = threading.Thread(target=write)
    writer.start()
    seen: list[int] = []
    with daemon.admin() as client:
        while len(seen) < total:
            where = {"headers": {"Last-Event-ID": str(seen[-1])}} if seen else {"query": {"from": begin}}
            # Breaks off in mid-stream, again and again.
            for seq, kind, event in islice(stream(client, **where), min(17, total - len(seen))):
                assert event["seq"] == seq and event["kind"] == kind
                seen.append(seq)
    writer.join()
    assert seen == list(range(begin, begin + len(seen)))
    assert [event["seq"] for event in islice(pages(admin, "/v1/events", **{"from": begin, "limit": 100}), len(seen))] == seen


def test_a_stream_can_be_filtered(daemon: Daemon, admin: httpx.Client) -> None:
    agent = register(admin)["result"]["agent"]["id"]
    begin = last_seq(admin) + 1
    submit(admin, "OpenMission", {"intent": "noise"})
    suspended = submit(admin, "SuspendAgent", {"agent": agent})["receipt"]["events"][0]["seq"]
    submit(admin, "OpenMission", {"intent": "noise"})
    resumed = submit(admin, "ResumeAgent", {"agent": agent})["receipt"]["events"][0]["seq"]
    with daemon.admin() as client:
        found = list(islice(stream(client, query={"from": begin, "subject": f"agent:{agent}"}), 2))
    assert [seq for seq, _, _ in found] == [suspended, resumed]


def test_a_stream_from_the_future_is_refused(admin: httpx.Client) -> None:
    reply = admin.get("/v1/events/stream", headers={"Last-Event-ID": "9007199254740000"})
    assert reply.status_code == 400
    assert admin.get("/v1/events/stream", headers={"Last-Event-ID": "x"}).status_code == 400


# --- Keys


def test_an_api_key_allows_what_it_says(daemon: Daemon, admin: httpx.Client) -> None:
    made = submit(admin, "CreateApiKey", {"name": "reader", "scopes": ["agents:read", "agents:list"]})
    secret, credential = made["result"]["shown_once"]["api_key"], made["result"]["credential"]["id"]
    assert secret.startswith("chy_") and len(secret) == 56
    agent = register(admin)["result"]["agent"]["id"]
    with daemon.client(secret) as reader:
        assert get(reader, f"/v1/identity/agents/{agent}")["id"] == agent
        problem = refused(send(reader, "SuspendAgent", {"agent": agent}), 403, "scope_missing")
        assert problem["scope"] == "agents:suspend"
        refused(reader.get("/v1/identity/credentials"), 403, "scope_missing")
        refused(reader.get("/metrics"), 403, "scope_missing")
        # A key makes no key that can do more than itself.
        refused(send(reader, "CreateApiKey", {"name": "x", "scopes": ["agents:read"]}), 403, "scope_missing")
        listed = admin.get("/v1/identity/credentials", params={"limit": 500})
        assert credential in listed.text and secret not in listed.text
        # It opens its own mount and no other.
        with daemon.client(secret, "/orgkernel") as other:
            assert other.get("/ca").status_code == 401
        submit(admin, "RevokeApiKey", {"credential": credential})
        refused(reader.get(f"/v1/identity/agents/{agent}"), 401, "unauthenticated")
    with daemon.client(daemon.credentials["orgkernel"]["token"]) as other:
        refused(other.get("/v1/identity/agents"), 401, "unauthenticated")


def test_a_key_can_only_give_what_it_holds(daemon: Daemon, admin: httpx.Client) -> None:
    made = submit(admin, "CreateApiKey", {"name": "maker", "scopes": ["api_keys:create", "agents:read"]})
    with daemon.client(made["result"]["shown_once"]["api_key"]) as maker:
        submit(maker, "CreateApiKey", {"name": "same", "scopes": ["agents:read"]})
        refused(send(maker, "CreateApiKey", {"name": "more", "scopes": ["agents:read", "agents:suspend"]}), 403, "scope_not_held")
        refused(send(maker, "CreateApiKey", {"name": "none", "scopes": ["agents:fly"]}), 422, "scope_unknown")


def test_a_key_lapses(daemon: Daemon, admin: httpx.Client) -> None:
    lapses = time.time() + 2
    expires = datetime.fromtimestamp(lapses, timezone.utc).isoformat()
    made = submit(admin, "CreateApiKey", {"name": "short", "scopes": ["agents:list"], "expires": expires})
    with daemon.client(made["result"]["shown_once"]["api_key"]) as short:
        assert get(short, "/v1/identity/agents")["items"] is not None
        while time.time() <= lapses:
            time.sleep(0.05)
        refused(short.get("/v1/identity/agents"), 401, "unauthenticated")


def test_nothing_but_health_and_a_witness_without_a_key(daemon: Daemon, admin: httpx.Client) -> None:
    document = admin.get("/openapi.json").json()
    with daemon.client() as nobody:
        for path, operations in document["paths"].items():
            concrete = path.replace("{seq}", "0").replace("{view}", "identity")
            while "{" in concrete:
                concrete = concrete[: concrete.index("{")] + NOBODY + concrete[concrete.index("}") + 1 :]
            for method in operations:
                if method not in ("get", "post", "put", "delete", "patch"):
                    continue
                reply = nobody.request(method.upper(), concrete)
                if path in ("/livez", "/readyz"):
                    assert reply.status_code == 200
                elif path.startswith("/witness/"):
                    # Who asks a witness has no credential: what is sent is signed by a log, and none is known here.
                    assert reply.status_code in (400, 404)
                else:
                    refused(reply, 401, "unauthenticated")
                    assert reply.headers["www-authenticate"].startswith("Bearer")
        for secret in ("x", "chy_" + "0" * 52, daemon.credentials["admin_key"][:-1], daemon.credentials["admin_key"].upper(), "x" * 5000):
            refused(nobody.get("/v1/identity/agents", headers={"Authorization": f"Bearer {secret}"}), 401, "unauthenticated")


# --- Tenants


def test_tenants_see_nothing_of_each_other(daemon: Daemon, admin: httpx.Client) -> None:
    slug = fresh("other-")
    made = submit(admin, "CreateTenant", {"slug": slug, "name": "Other"})
    key = made["result"]["shown_once"]["api_key"]
    agent = register(admin, key="make")["result"]["agent"]["id"]
    mission = submit(admin, "OpenMission", {"intent": "secret plan"})["result"]["mission"]["id"]
    expires = datetime.fromtimestamp(time.time() + 3600, timezone.utc).isoformat()
    token = submit(admin, "IssueToken", {"agent": agent, "mission": {"id": mission}, "scopes": ["read"], "expires": expires})["result"]["token"]["id"]
    chain = submit(admin, "OpenAuditChain", {"mission": {"id": mission}, "agent_text": "a", "mission_text": "m"})["result"]["audit_chain"]["id"]
    ours = last_seq(admin)
    with daemon.client(key) as other:
        for path, thing in (
            ("/v1/identity/agents/{}", agent),
            ("/v1/identity/agents/{}/certificate", agent),
            ("/v1/execution/missions/{}", mission),
            ("/v1/token/tokens/{}", token),
            ("/v1/execution/audit-chains/{}", chain),
            ("/v1/execution/audit-chains/{}/entries", chain),
        ):
            theirs, nothing = other.get(path.format(thing)), other.get(path.format(NOBODY))
            assert bare(theirs) == bare(nothing), path
            assert theirs.status_code == 404 or theirs.json()["items"] == []
        for command, params, thing in (
            ("SuspendAgent", {"agent": agent}, "agent"),
            ("DecommissionAgent", {"agent": agent}, "agent"),
            ("UseToken", {"token": token}, "token"),
            ("RevokeToken", {"token": token}, "token"),
            ("CompleteMission", {"mission": mission}, "mission"),
            ("CloseAuditChain", {"chain": chain}, "chain"),
        ):
            refusals = [send(other, command, {**params, thing: each}) for each in (params[thing], NOBODY)]
            assert bare(refusals[0]) == bare(refusals[1]), command
            refused(refusals[0], 404, "not_found")
        denied = submit(other, "CheckScope", {"token": token, "tool": "read"})
        assert denied["result"]["scope_check"]["passed"] is False
        refused(other.get(f"/v1/events/{ours}"), 404, "not_found")
        mine = register(other)["result"]["agent"]["id"]
        tenant = get(other, f"/v1/events/{submit(other, 'SuspendAgent', {'agent': mine})['receipt']['events'][0]['seq']}")["tenant"]
        assert {event["tenant"] for event in pages(other, "/v1/events")} == {tenant}
        assert [each["id"] for each in pages(other, "/v1/identity/agents")] == [mine]
        assert list(pages(other, "/v1/execution/missions")) == []
        # What administers the ledger or other tenants is the root tenant's alone.
        for path in ("/v1/identity/tenants", "/metrics", "/checkpoint"):
            reply = other.get(path)
            assert reply.status_code in (200, 403), path
        assert send(other, "CreateTenant", {"slug": fresh("x-"), "name": "X"}).status_code == 403
        assert send(other, "RotateSigningKey").status_code == 403
        assert other.get("/v1/identity/agents", headers={"chancery-tenant": "root"}).status_code in (403, 404)
    refused(admin.get(f"/v1/identity/agents/{mine}"), 404, "not_found")
    # The root tenant may enter another, and says so.
    entered = admin.get(f"/v1/identity/agents/{mine}", headers={"chancery-tenant": slug})
    assert entered.status_code == 200


def bare(reply: httpx.Response) -> tuple[int, dict]:
    """An answer without what differs in every answer."""
    return reply.status_code, {name: value for name, value in reply.json().items() if name != "request_id"}


def test_a_suspended_tenant_is_refused_everything(daemon: Daemon, admin: httpx.Client) -> None:
    made = submit(admin, "CreateTenant", {"slug": fresh("sleepy-"), "name": "Sleepy"})
    tenant, key = made["result"]["tenant"]["id"], made["result"]["shown_once"]["api_key"]
    with daemon.client(key) as client:
        register(client)
        submit(admin, "SuspendTenant", {"tenant": tenant})
        for reply in (client.get("/v1/identity/agents"), send(client, "OpenMission")):
            assert reply.status_code in (401, 403), reply.text
        submit(admin, "ResumeTenant", {"tenant": tenant})
        register(client)
    refused(send(admin, "CreateTenant", {"slug": made["result"]["tenant"]["slug"], "name": "Again"}), 409, "slug_taken")


# --- Health


def test_health_and_metrics(daemon: Daemon, admin: httpx.Client) -> None:
    from prometheus_client.openmetrics.parser import text_string_to_metric_families

    for path in ("/livez", "/readyz"):
        assert admin.get(path).status_code == 200
    reply = admin.get("/metrics")
    assert reply.status_code == 200
    families = {family.name: family for family in text_string_to_metric_families(reply.text)}
    assert all(name.startswith("chancery_") for name in families)
    (events,) = families["chancery_log_events"].samples
    assert events.value == last_seq(admin) + 1
    assert any(sample.value > 0 for sample in families["chancery_commands"].samples)
    # Clients cannot make up labels.
    for odd in ("/nothing/at/all", "/v1/identity/agents/" + "x" * 50, "/orgkernel/nothing"):
        admin.get(odd)
    admin.request("BREW", "/livez")
    text = admin.get("/metrics").text
    assert "nothing" not in text and "xxxx" not in text and "BREW" not in text


def test_unknown_paths_and_methods(admin: httpx.Client) -> None:
    refused(admin.get("/nothing"), 404, "no_route")
    refused(admin.get("/v1"), 404, "no_route")
    reply = admin.delete("/v1/commands")
    refused(reply, 405, "method_not_allowed")
    assert "POST" in reply.headers["allow"]


def test_each_answer_names_its_request(admin: httpx.Client) -> None:
    reply = admin.get("/livez", headers={"X-Request-Id": "mine-42"})
    assert reply.headers["x-request-id"] == "mine-42"
    assert admin.get("/livez").headers["x-request-id"] != admin.get("/livez").headers["x-request-id"]
    assert admin.get("/livez", headers={"X-Request-Id": "no good\x00".replace("\x00", "!") + "x" * 200}).headers["x-request-id"] != "no good"
