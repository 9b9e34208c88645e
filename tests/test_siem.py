"""Events for security tools: CloudEvents read with the project's own SDK, OCSF held against the published schema, pulled by
cursor, and pushed to files and HTTP sinks that fail, move and come back."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

from daemon import Daemon
from native import get, refused, register, submit

PATIENCE_SECS = 60


def pull(client: httpx.Client, words: str, /, **query: object) -> tuple[list[dict], str | None]:
    reply = client.get("/v1/events", params={"format": words, **query})
    assert reply.status_code == 200, reply.text
    assert reply.headers["content-type"] == "application/x-ndjson"
    assert reply.text == "" or reply.text.endswith("\n")
    # By line feeds alone: a text may hold the other characters at which Python splits a `str`.
    return [json.loads(line) for line in reply.content.splitlines()], reply.headers.get("chancery-next")


@pytest.fixture(scope="module")
def admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Of a daemon that has little to tell, so that all of it is read at once."""
    running = Daemon(tmp_path_factory.mktemp("siem")).start()
    with running.admin() as client:
        yield client
    running.stop()


@pytest.fixture(scope="module")
def records(admin: httpx.Client) -> dict[str, list[dict]]:
    """What the daemon has to tell, after something of several kinds happened, in both formats."""
    agent = register(admin, actions=["pay"], limit={"amount": "1", "currency": "USD"})["result"]["agent"]["id"]
    pay = {"agent": agent, "counterparty": {"external": "shop"}, "amount": "2", "action": "pay", "currency": "USD"}
    assert admin.post("/v1/commands", json={"command": "ExecuteTransaction", "params": pay}).status_code == 403
    submit(admin, "SuspendAgent", {"agent": agent, "reason": "overreach"})
    submit(admin, "DecommissionAgent", {"agent": agent})
    return {kind: pull(admin, kind, limit=1000)[0] for kind in ("cloudevents", "ocsf")}


def test_cloudevents_are_read_by_their_own_sdk(admin: httpx.Client, records: dict[str, list[dict]]) -> None:
    for seq, record in enumerate(records["cloudevents"]):
        event = JSONFormat().read(CloudEvent, json.dumps(record))
        native = get(admin, f"/v1/events/{seq}")
        assert event.get_specversion() == "1.0" and event.get_id() == str(seq)
        assert event.get_type() == f"org.chancery.{native['kind']}"
        assert event.get_datacontenttype() == "application/json"
        assert event.get_time().timestamp() == pytest.approx(datetime.fromisoformat(native["time"]).timestamp(), abs=1e-6)
        assert event.get_data() == native
        # Not every event is about something: what was introspected may be no token.
        first = next((f"{subject['kind']}:{subject['id']}" for subject in native["subjects"]), None)
        assert event.get_subject() == first
    assert len({record["source"] for record in records["cloudevents"]}) == 1
    sequences = [record["sequence"] for record in records["cloudevents"]]
    assert sequences == sorted(sequences)


def test_ocsf_records_are_of_the_published_schema(admin: httpx.Client, records: dict[str, list[dict]]) -> None:
    published = OcsfJsonSchemaEmbedded(get_ocsf_schema("1.5.0")).get_class_schema("api_activity")
    published.pop("$schema", None)
    validator = Draft202012Validator(published)
    for record in records["ocsf"]:
        assert not [f"{list(error.path)}: {error.message}" for error in validator.iter_errors(record)]
    broken = dict(records["ocsf"][0])
    del broken["actor"]
    assert list(validator.iter_errors(broken)), "the schema would find what is missing"
    for seq, record in enumerate(records["ocsf"]):
        native = get(admin, f"/v1/events/{seq}")
        assert record["metadata"]["sequence"] == seq and record["metadata"]["uid"] == native["hash"]
        assert record["type_uid"] == record["class_uid"] * 100 + record["activity_id"]
        assert record["unmapped"] == native
    by_kind = {record["api"]["operation"]: record for record in records["ocsf"]}
    told = {kind: (by_kind[kind]["activity_name"], by_kind[kind]["status"]) for kind in by_kind}
    assert told["AgentRegistered"] == ("Create", "Success")
    assert told["AgentSuspended"] == ("Update", "Success")
    assert told["AgentDecommissioned"] == ("Delete", "Success")
    assert told["TransactionFailed"] == ("Other", "Failure")


def test_lines_are_pulled_by_cursor_and_later_from_where_they_ended(admin: httpx.Client, records: dict[str, list[dict]]) -> None:
    found, cursor = [], "0"
    while len(found) < len(records["ocsf"]):
        page, following = pull(admin, "ocsf", cursor=cursor, limit=7)
        assert page and following is not None
        found, cursor = found + page, following
    assert found[: len(records["ocsf"])] == records["ocsf"]
    nothing, cursor = pull(admin, "cloudevents", cursor=cursor, to=int(cursor))
    agent = register(admin)["receipt"]["events"][0]["seq"]
    later, _ = pull(admin, "cloudevents", cursor=agent, kind="AgentRegistered")
    assert [each["id"] for each in later] == [str(agent)]
    newest, before = pull(admin, "cloudevents", order="descending", limit=2)
    assert int(newest[0]["id"]) == int(newest[1]["id"]) + 1 == int(before or 0) + 2
    refused(admin.get("/v1/events", params={"format": "xml"}), 400, "parameter_invalid")


class Receiver:
    """A sink that answers as it is told to, and keeps what it took."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.posts: list[tuple[dict, bytes, int]] = []
        self.arrived = threading.Condition()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                with outer.arrived:
                    status = outer.answers.pop(0) if outer.answers else 204
                    outer.posts.append((dict(self.headers), body, status))
                    outer.arrived.notify_all()
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/events"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def taken(self) -> list[int]:
        """The positions of what it took, in the order that it came."""
        with self.arrived:
            posts = [body for _, body, status in self.posts if 200 <= status < 300]
        return [json.loads(line)["metadata"]["sequence"] for body in posts for line in body.splitlines()]

    def wait_for(self, seq: int) -> None:
        until(lambda: seq in self.taken())

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECS
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    running = Receiver()
    yield running
    running.close()


def newest(client: httpx.Client) -> int:
    return get(client, "/v1/events", order="descending", limit=1)["items"][0]["seq"]


def test_an_http_sink_has_every_event_in_order_whatever_it_answered(new_daemon: Callable[..., Daemon], receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("let-me-in\n")
    sinks = tmp_path / "sinks.toml"
    sinks.write_text(f'[[sink]]\nname = "siem"\nformat = "ocsf"\nurl = "{receiver.url}"\ntoken_file = "{tmp_path}/token"\n')
    receiver.answers = [500, 302]
    daemon = new_daemon("--sinks", str(sinks), "--allow-private-targets").start()
    with daemon.admin() as admin:
        first = register(admin, profile={"purpose": "a person's own"})["receipt"]["events"][0]["seq"]
        receiver.wait_for(first)
        last = newest(admin)
        receiver.wait_for(last)
        until(lambda: f'chancery_sink_next_event{{sink="siem"}} {last + 1}\n' in admin.get("/metrics").text)
        assert 'chancery_sink_failed{sink="siem"} 0\n' in admin.get("/metrics").text
    assert receiver.taken() == list(range(last + 1))
    headers, body, _ = receiver.posts[-1]
    fields = {name.lower(): value for name, value in headers.items()}
    assert fields["authorization"] == "Bearer let-me-in" and fields["content-type"] == "application/x-ndjson"
    assert int(fields["chancery-last"]) == json.loads(body.splitlines()[-1])["metadata"]["sequence"]
    assert [status for *_, status in receiver.posts[:2]] == [500, 302]
    assert receiver.posts[1][1].startswith(receiver.posts[0][1]), "what was not taken comes again"
    assert b"a person's own" not in b"".join(body for _, body, _ in receiver.posts), "encrypted fields stay"

    # Killed before it could note what the sink took last, or after: at the next start nothing is left out.
    daemon.kill()
    daemon.start()
    with daemon.admin() as admin:
        again = register(admin)["receipt"]["events"][-1]["seq"]
        receiver.wait_for(again)
    daemon.stop()
    before = receiver.taken()
    assert sorted(set(before)) == list(range(max(before) + 1))
    # After a stop in order it goes on where it was, and nothing is told twice.
    daemon.start()
    with daemon.admin() as admin:
        receiver.wait_for(register(admin)["receipt"]["events"][-1]["seq"])
    daemon.stop()
    later = receiver.taken()[len(before) :]
    assert later == list(range(max(before) + 1, max(later) + 1))


def test_a_file_sink_goes_on_after_rotation_and_a_torn_line(new_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    events = tmp_path / "events.ndjson"
    sinks = tmp_path / "sinks.toml"
    sinks.write_text(f'[[sink]]\nname = "disk"\nformat = "cloudevents"\nfile = "{events}"\npersonal = true\n')
    daemon = new_daemon("--sinks", str(sinks)).start()

    def ids(path: Path) -> list[int]:
        lines = path.read_text().splitlines() if path.exists() else []
        return [int(json.loads(line)["id"]) for line in lines if line.endswith("}")]

    with daemon.admin() as admin:
        seq = register(admin, profile={"purpose": "kept in clear"})["receipt"]["events"][-1]["seq"]
        until(lambda: newest(admin) in ids(events))
        assert ids(events) == list(range(len(ids(events)))) and seq in ids(events)
        assert "kept in clear" in events.read_text() and events.stat().st_mode & 0o777 == 0o600
        rotated = events.rename(tmp_path / "events.1")
        until(lambda: register(admin)["receipt"]["size"] > 0 and events.exists())
        until(lambda: newest(admin) in ids(events))
    daemon.stop()
    assert (ids(rotated) + ids(events)) == list(range(max(ids(events)) + 1))
    # A crash tore the last line; its event was not yet noted as told.
    whole = events.read_text()
    events.write_text(whole + '{"specversion":"1.0","id":"99')
    daemon.start()
    with daemon.admin() as admin:
        register(admin)
        until(lambda: newest(admin) in ids(events))
    daemon.stop()
    assert events.read_text().startswith(whole) and sum(not line.endswith("}") for line in events.read_text().splitlines()) == 1

    # A cursor that the log does not bear out: everything again, rather than something not at all.
    (daemon.data_dir / "sinks" / "disk.cursor").write_text(f"3 {'0' * 64}\n")
    events.unlink()
    daemon.start()
    until(lambda: 0 in ids(events))
    daemon.stop()


def test_sinks_that_make_no_sense_are_told_at_the_start(new_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    sinks = tmp_path / "sinks.toml"
    sinks.write_text('[[sink]]\nname = "x"\nformat = "ocsf"\n')
    daemon = new_daemon("--sinks", str(sinks))
    daemon.spawn()
    assert daemon.process is not None and daemon.process.wait(60) == 1
    assert "sink `x` needs either a `file` or a `url`" in daemon.log()
    daemon.process = None
