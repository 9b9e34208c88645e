"""Witnesses: a checkpoint counts as published when enough of them cosigned it; here they are programs of another make, and
daemons. The other way round too: a daemon cosigns what other logs publish, and never two that contradict each other."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import chancery_verify as cv
import httpx
import pytest
import witness_log
from daemon import Daemon, chancery
from native import get, pages, register, submit
from witness import Witness

ORIGIN = "log.example/ours"
PATIENCE_SECS = 60


def verifier_key(daemon: Daemon) -> str:
    with daemon.admin() as client:
        ledger = get(client, "/v1/identity/ledger")
    return cv.verifier_key(ledger["origin"], bytes.fromhex(ledger["sealing_key"]["public"]))


def policy(file: Path, witnesses: list[Witness], quorum: str) -> Path:
    lines = [f"witness w{at} {witness.key} {witness.url}" for at, witness in enumerate(witnesses)]
    if quorum != "none":
        lines.append(f"group g {quorum} " + " ".join(f"w{at}" for at in range(len(witnesses))))
    file.write_text("\n".join([*lines, f"quorum {'none' if quorum == 'none' else 'g'}"]) + "\n")
    return file


def eventually(what: Callable[[], object]) -> object:
    """The first result that is not false."""
    deadline = time.monotonic() + PATIENCE_SECS
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.05)
    return found


def size_of(note: str) -> int:
    return int(note.splitlines()[1])


def names(note: str) -> list[str]:
    """Who signed, in order."""
    return [line.split(" ")[1] for line in note.split("\n\n")[1].splitlines()]


def checkpoint(client: httpx.Client) -> str | None:
    reply = client.get("/checkpoint")
    return reply.text if reply.status_code == 200 else None


class Watched:
    """A daemon whose checkpoints are cosigned by witnesses of another make."""

    def __init__(self, new_daemon: Callable[..., Daemon], home: Path, stack: ExitStack, count: int, quorum: str):
        made = [Witness(home / f"w{at}", f"witness.example/{at}") for at in range(count)]
        self.witnesses = [stack.enter_context(witness) for witness in made]
        self.policy = policy(home / "policy", self.witnesses, quorum)
        self.daemon = new_daemon(
            "--origin", ORIGIN, "--witness-policy", str(self.policy), "--publish-interval-secs", "1",
            "--allow-private-targets",
        ).start()  # fmt: skip
        self.key = verifier_key(self.daemon)
        for witness in self.witnesses:
            witness.knows(ORIGIN, self.key)

    def published(self, least: int = 1) -> str:
        """The newest published checkpoint, once it signs so many events."""
        with self.daemon.admin() as client:
            found = eventually(lambda: (note := checkpoint(client)) and size_of(note) >= least and note)
        return str(found)

    def size(self) -> int:
        return self.newest()[0]["seq"] + 1

    def news(self) -> int:
        """The size of the log up to the newest event that says more than that earlier ones were cosigned."""
        return next(event["seq"] + 1 for event in self.newest() if event["kind"] not in ("CheckpointCosigned", "ViewRootsPublished"))

    def newest(self) -> list[dict]:
        with self.daemon.admin() as client:
            return get(client, "/v1/events", limit=20, order="descending")["items"]


@pytest.fixture
def watch(new_daemon: Callable[..., Daemon], tmp_path: Path) -> Iterator[Callable[[int, str], Watched]]:
    with ExitStack() as stack:
        yield lambda count, quorum: Watched(new_daemon, tmp_path, stack, count, quorum)


def test_checkpoints_are_published_when_enough_witnesses_cosigned_them(watch: Callable[[int, str], Watched], tmp_path: Path) -> None:
    w = watch(2, "all")
    with w.daemon.admin() as client:
        register(client)
        size = w.news()
    note = w.published(size)
    assert names(note)[0] == ORIGIN and sorted(names(note)[1:]) == ["witness.example/0", "witness.example/1"]
    # Every line is checked by a reading of the specification that is not ours to begin with: its own words.
    text = note.split("\n\n")[0] + "\n"
    for witness in w.witnesses:
        name, _, public = witness.key.split("+", 2)
        raw = next(cv.from_base64(line.split(" ")[2]) for line in note.splitlines() if line.startswith(f"\u2014 {name} "))
        secs = int.from_bytes(raw[4:12], "big")
        assert abs(secs - time.time()) < 3600
        assert cv.strictly_signed(cv.from_base64(public)[1:], f"cosignature/v1\ntime {secs}\n{text}".encode(), raw[12:])
    with w.daemon.admin() as client:
        at = size_of(note)
        assert client.get(f"/v1/ledger/checkpoints/{at}").text == note
        # The cosignatures are events, and a proof against the published checkpoint carries them.
        told = [event for event in pages(client, "/v1/events", kind="CheckpointCosigned") if event["body"]["size"] == at]
        assert sorted(event["body"]["witness"] for event in told) == sorted(witness.key for witness in w.witnesses)
        proof = client.get("/v1/events/1/proof", params={"published": "true", "header": "true"}).text
        assert names(proof.split("\n\n", 1)[1]) and size_of(proof.split("\n\n", 1)[1]) >= at
        assert len(names(proof.split("\n\n", 1)[1])) == 3
        assert client.get("/v1/events/1/proof", params={"published": "true", "size": at}).status_code == 400
        # Cosignatures alone are nothing to publish: when all have said what they have to say, it is over.
        eventually(lambda: w.size() == size_of(w.published()) + 2)
        quiet = w.size()
        asked = [len(witness.asked) for witness in w.witnesses]
        time.sleep(3)
        assert w.size() == quiet and [len(witness.asked) for witness in w.witnesses] == asked
        submit(client, "OpenMission", {"intent": "something new"})
        newer = w.published(quiet + 1)
        assert size_of(newer) > at


def test_auditors_ask_for_witnesses_offline(watch: Callable[[int, str], Watched], tmp_path: Path) -> None:
    w = watch(3, "2")
    w.witnesses[2].trouble = [503] * 1_000
    with w.daemon.admin() as client:
        register(client)
    note = w.published(w.news())
    at = size_of(note)
    proof = tmp_path / "proof"
    here = ("--url", w.daemon.url, "--api-key", w.daemon.credentials["admin_key"])
    chancery("prove", "inclusion", "1", "--published", "--out", str(proof), *here, check=True)
    w.daemon.stop()
    export = tmp_path / "log.export"
    chancery("export", "--data-dir", str(w.daemon.data_dir), "--out", str(export), check=True)

    keys = [witness.key for witness in w.witnesses]
    given = [word for key in keys for word in ("--witness", key)]
    run = chancery("verify", "--export", str(export), "--key", w.key, *given, "--json")
    assert run.returncode == 0, run.stdout + run.stderr
    verdict = json.loads(run.stdout)
    assert verdict["witnesses"] == "2 of 3" and verdict["witnessed_size"] >= at
    assert [by["size"] is None for by in verdict["cosigned_by"]] == [False, False, True]
    # The verifier that shares no code says the same, to the letter.
    trusted = cv.parse_verifier_key(w.key)
    witnesses = [cv.Witness(*cv.parse_verifier_key(key, cv.OF_WITNESS)) for key in keys]
    with export.open("rb") as source:
        assert cv.verify(source, trusted, witnesses=witnesses) == verdict

    # By the policy that the daemon has too; and by one that asks for more.
    by_policy = chancery("verify", "--export", str(export), "--key", w.key, "--policy", str(w.policy))
    assert by_policy.returncode == 0 and "2 of 3, up to" in by_policy.stdout, by_policy.stdout
    stricter = policy(tmp_path / "stricter", w.witnesses, "all")
    refused = chancery("verify", "--export", str(export), "--key", w.key, "--policy", str(stricter))
    assert refused.returncode == 1 and "unwitnessed" in refused.stdout, refused.stdout
    for file, code, said in ((w.policy, 0, "2 of 3 witnesses cosigned"), (stricter, 1, "DOES NOT HOLD")):
        run = chancery("verify", "--proof", str(proof), "--key", w.key, "--policy", str(file))
        assert run.returncode == code and said in run.stdout, run.stdout + run.stderr

    # Lines of a checkpoint that was kept elsewhere count too.
    head = tmp_path / "head"
    head.write_text(note)
    run = chancery("verify", "--export", str(export), "--key", w.key, "--head", str(head), "--witness", keys[0])
    assert run.returncode == 0 and "1 of 1, up to" in run.stdout, run.stdout
    other = note.splitlines()
    at_line = next(n for n, line in enumerate(other) if "witness.example/0" in line)
    raw = bytearray(cv.from_base64(other[at_line].split(" ")[2]))
    raw[11] ^= 1  # Another second.
    other[at_line] = f"\u2014 witness.example/0 {base64.b64encode(bytes(raw)).decode()}"
    head.write_text("\n".join(other) + "\n")
    run = chancery("verify", "--export", str(export), "--key", w.key, "--head", str(head), "--witness", keys[0])
    assert run.returncode == 1 and "cosignature: the head given" in run.stdout, run.stdout


def test_what_too_few_cosigned_is_not_published(watch: Callable[[int, str], Watched]) -> None:
    w = watch(2, "all")
    w.witnesses[1].trouble = [503] * 1_000
    eventually(lambda: w.witnesses[1].asked)
    with w.daemon.admin() as client:
        eventually(lambda: list(pages(client, "/v1/events", kind="CheckpointCosigned")))
        reply = client.get("/checkpoint")
        assert reply.status_code == 404 and reply.json()["code"] == "not_found"
        assert client.get("/v1/events/1/proof", params={"published": "true"}).status_code == 404
        # A checkpoint by its size is there all the same, with whom it has.
        size = next(pages(client, "/v1/events", kind="CheckpointCosigned"))["body"]["size"]
        assert names(client.get(f"/v1/ledger/checkpoints/{size}").text) == [ORIGIN, "witness.example/0"]
        metrics = client.get("/metrics").text
        assert 'chancery_cosignatures_total{outcome="failed"} 0' not in metrics
    # It comes back, and is asked again.
    w.witnesses[1].trouble = []
    assert len(names(w.published())) == 3


def test_one_of_two_is_enough_where_the_policy_says_so_and_what_both_said_outlives_a_restart(watch: Callable[[int, str], Watched]) -> None:
    w = watch(2, "any")
    w.witnesses[0].trouble = [500] * 1_000
    before = w.published(w.news())
    assert names(before)[1:] == ["witness.example/1"]
    w.daemon.kill()
    w.daemon.start()
    with w.daemon.admin() as client:
        again = checkpoint(client)
        assert again is not None and size_of(again) >= size_of(before), "what was published stays so"
    # After the restart the witness is asked from where the log says it is, or says itself where it is.
    with w.daemon.admin() as client:
        submit(client, "OpenMission", {"intent": "after the restart"})
        size = w.news()
    w.published(size)
    assert all(body.startswith("old ") for body in w.witnesses[1].asked)


def test_a_witness_that_knows_more_than_the_log_cosigns_nothing(watch: Callable[[int, str], Watched]) -> None:
    """The data directory is put back to what it was: the witness remembers what came after."""
    w = watch(1, "all")
    w.published()
    w.daemon.stop()
    kept = w.daemon.home / "kept"
    shutil.copytree(w.daemon.data_dir, kept)
    w.daemon.start()
    with w.daemon.admin() as client:
        for at in range(20):
            submit(client, "OpenMission", {"intent": f"lost {at}"})
        size = w.news()
    w.published(size)
    w.daemon.stop()
    shutil.rmtree(w.daemon.data_dir)
    kept.rename(w.daemon.data_dir)
    w.daemon.start()
    with w.daemon.admin() as client:
        submit(client, "OpenMission", {"intent": "another story"})
    eventually(lambda: "a witness knows another log of this name" in w.daemon.log())
    with w.daemon.admin() as client:
        assert size_of(checkpoint(client) or "") < size


def test_anybody_reads_the_tree_where_the_operator_lets_them(new_daemon: Callable[..., Daemon]) -> None:
    daemon = new_daemon("--public-tree").start()
    with daemon.client() as anybody:
        assert anybody.get("/checkpoint").text.startswith("chancery.invalid/")
        tile = anybody.get(f"/tile/0/000.p/{size_of(anybody.get('/checkpoint').text)}")
        assert tile.status_code == 200 and len(tile.content) % 32 == 0
        assert anybody.get("/tile/entries/000.p/1").status_code == 401
        assert anybody.get("/v1/events").status_code == 401
        assert anybody.get("/v1/ledger/checkpoints/1").status_code == 401
    with daemon.client("wrong") as wrong:
        assert wrong.get("/checkpoint").status_code == 401
    with daemon.admin() as client:
        assert client.get("/checkpoint").status_code == 200


# --- Being a witness ---------------------------------------------------------------------------------------------------


class Known:
    """A log of another make that a daemon witnesses, and what it sends."""

    def __init__(self, new_daemon: Callable[..., Daemon], home: Path):
        self.log = witness_log.WitnessLog.generate()
        self.log.append_intent(b"first")
        self.origin = self.log.canonical_origin()
        self.file = home / "logs"
        self.file.write_text(f"log {self.log.c2sp_vkey(self.origin)}\nquorum none\n")
        self.daemon = new_daemon("--witness-policy", str(self.file)).start()

    def send(self, body: str) -> httpx.Response:
        with self.daemon.client() as anybody:
            return anybody.post("/witness/add-checkpoint", content=body.encode())

    def monitor(self) -> httpx.Response:
        with self.daemon.client() as anybody:
            return anybody.get(f"/witness/{hashlib.sha256(self.origin.encode()).hexdigest()}/checkpoint")


@pytest.fixture
def known(new_daemon: Callable[..., Daemon], tmp_path: Path) -> Known:
    return Known(new_daemon, tmp_path)


def test_a_daemon_witnesses_a_log_of_another_make(known: Known) -> None:
    assert known.monitor().status_code == 404
    first = known.send(known.log.add_checkpoint_body(0))
    assert first.status_code == 200, first.text
    with known.daemon.client() as anybody:
        key = anybody.get("/witness/key").text.strip()
    name, _, public = key.split("+", 2)
    assert cv.from_base64(public)[0] == 4 and first.text.startswith(f"\u2014 {name} ")
    # The log of another make finds the cosignature good.
    dossier, cosignatures = known.log.dossier_from_responses([(cv.from_base64(public)[1:].hex(), first.text)])
    assert cosignatures == 1, dossier
    noted = known.monitor().text
    assert names(noted) == [known.origin, name] and size_of(noted) == 1
    for _ in range(3):
        known.log.append_result(b"more")
    grown = known.send(known.log.add_checkpoint_body(1))
    assert grown.status_code == 200 and size_of(known.monitor().text) == 4
    with known.daemon.admin() as client:
        events = list(pages(client, "/v1/events", kind="WitnessedCheckpoint", order="ascending"))
    assert [event["body"]["size"] for event in events] == [1, 4]
    assert {event["body"]["log"] for event in events} == {known.origin}


def test_a_daemon_never_cosigns_two_that_contradict_each_other(known: Known) -> None:
    forked = witness_log.WitnessLog.resume(known.log.identity_bytes(), 1)
    forked.append_intent(b"another first")
    for _ in range(2):
        known.log.append_result(b"more")
        forked.append_result(b"other")
    assert known.send(known.log.add_checkpoint_body(0)).status_code == 200
    # Another tree of the same size, and one of a greater size, both signed by the log.
    other = forked.add_checkpoint_body(0).replace("old 0", "old 3", 1)
    assert known.send(other).status_code == 422
    forked.append_result(b"other")
    grown = known.send(forked.add_checkpoint_body(3))
    assert grown.status_code == 422, grown.text
    # Nor after a restart.
    known.daemon.kill()
    known.daemon.start()
    assert known.send(other).status_code == 422
    stale = known.send(forked.add_checkpoint_body(0))
    assert (stale.status_code, stale.text) == (409, "3\n")
    assert stale.headers["content-type"] == "text/x.tlog.size"
    assert size_of(known.monitor().text) == 3


def test_asked_twice_a_daemon_says_the_same_and_makes_no_event(known: Known) -> None:
    first = known.send(known.log.add_checkpoint_body(0))
    assert first.status_code == 200
    with known.daemon.admin() as client:
        before = get(client, "/v1/events", limit=1, order="descending")["items"][0]["seq"]
        again = known.send(known.log.add_checkpoint_body(0).replace("old 0", "old 1", 1))
        assert (again.status_code, again.text) == (200, first.text)
        assert get(client, "/v1/events", limit=1, order="descending")["items"][0]["seq"] == before


def test_what_is_wrong_with_a_request_is_told_by_its_status(known: Known) -> None:
    good = known.log.add_checkpoint_body(0)
    note = good.split("\n\n", 1)[1]
    text, line = note.split("\n\n")
    signature = line.split(" ")[2].strip()
    spoilt = signature[:20] + ("A" if signature[20] != "A" else "B") + signature[21:]
    cases = {
        "": 400,
        "old 0\n": 400,
        "old -1\n\n" + note: 400,
        "old 00\n\n" + note: 400,
        "old 2\n\n" + note: 400,
        "old 0\nnot a hash\n\n" + note: 400,
        "old 0\n\nnot a note\n": 400,
        good.replace(known.origin, "nobody.example/x"): 404,
        good.replace(signature, spoilt): 403,
        good.replace(f"{text}\n", f"{text}\nextended\n"): 403,
        good.replace(f" {known.origin} {signature}", f" somebody.else {signature}"): 403,
        good.replace("old 0\n", "old 0\n" + "A" * 43 + "=\n"): 422,
        good.replace("old 0\n", "old 1\n"): 409,
    }
    for body, status in cases.items():
        reply = known.send(body)
        assert reply.status_code == status, f"{body!r}: {reply.status_code}: {reply.text}"
    assert known.send("old 0\n" + "A" * 100_000).status_code == 413
    assert known.monitor().status_code == 404, "none of that was cosigned"
    assert known.send(good).status_code == 200


def test_a_daemon_without_logs_to_witness_witnesses_none(daemon: Daemon) -> None:
    log = witness_log.WitnessLog.generate()
    log.append_intent(b"x")
    with daemon.client() as anybody:
        assert anybody.post("/witness/add-checkpoint", content=log.add_checkpoint_body(0).encode()).status_code == 404
        assert anybody.get("/witness/key").status_code == 404
        assert anybody.get(f"/witness/{'0' * 64}/checkpoint").status_code == 404


def test_daemons_witness_each_other(new_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    """The witness is known to the log, and the log to the witness, each by what its operator wrote into a policy."""
    watched = new_daemon("--origin", ORIGIN).start()
    key = verifier_key(watched)
    watched.stop()
    logs = tmp_path / "logs"
    logs.write_text(f"log {key}\nquorum none\n")
    witness = new_daemon("--origin", "witness.example/daemon", "--witness-policy", str(logs)).start()
    with witness.client() as anybody:
        cosigner = anybody.get("/witness/key").text.strip()
    witnesses = tmp_path / "witnesses"
    witnesses.write_text(f"witness w {cosigner} {witness.url}/witness\nquorum w\n")
    watched.options = (
        "--origin", ORIGIN, "--witness-policy", str(witnesses), "--publish-interval-secs", "1", "--allow-private-targets",
    )  # fmt: skip
    watched.start()
    with watched.admin() as client:
        register(client)
        size = get(client, "/v1/events", limit=1, order="descending")["items"][0]["seq"] + 1
        note = str(eventually(lambda: (found := checkpoint(client)) and size_of(found) >= size and found))
        assert names(note) == [ORIGIN, "witness.example/daemon"]
    with witness.client() as anybody:
        origin_hash = hashlib.sha256(ORIGIN.encode()).hexdigest()
        assert size_of(anybody.get(f"/witness/{origin_hash}/checkpoint").text) >= size


def test_a_policy_that_is_none_is_refused_at_the_start(new_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("witness w nobody\nquorum w\n")
    daemon = new_daemon("--witness-policy", str(wrong))
    daemon.spawn()
    assert daemon.process is not None and daemon.process.wait(60) == 1
    assert "line 1 of the witness policy" in daemon.log()


