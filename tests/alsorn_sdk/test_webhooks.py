"""Webhooks through the SDK, and what reaches them: contracts/alsorn.md section 11."""

from __future__ import annotations

import hashlib
import hmac
import itertools
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator

import httpx
import pytest
from alsorn import AlsornClient
from alsorn.exceptions import AlsornForbiddenError, AlsornNotFoundError, AlsornValidationError
from alsorn.models import Agent, Webhook

from daemon import Daemon

from .conftest import sdk
from .receiver import Post, Receiver, babble, break_off, hang, status

PATIENCE_SECS = 60
EVENTS = [
    "agent.registered", "agent.suspended", "agent.reactivated", "agent.deleted",
    "transaction.completed", "transaction.failed", "transaction.reversed",
    "trust.score_changed", "trust.dispute_filed",
]  # fmt: skip
NOWHERE = "https://hooks.example/alsorn"
# The first attempt, and a day's and two days' more.
ATTEMPTS = 19


@pytest.fixture(scope="module")
def hooked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """A daemon that may call the loopback address, and tries again at once."""
    home = tmp_path_factory.mktemp("hooked")
    running = Daemon(home, "--allow-private-targets", "--webhook-retry-secs", "0").start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def alsorn(hooked: Daemon) -> AlsornClient:
    return sdk(hooked, hooked.credentials["alsorn"]["api_key"])


@pytest.fixture(scope="module")
def native(hooked: Daemon) -> Iterator[httpx.Client]:
    with hooked.admin() as client:
        yield client


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with Receiver() as running:
        yield running


@pytest.fixture(scope="module")
def path() -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"/hook/{next(numbers)}"


def until(happened: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_SECS
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def new_agent(client: AlsornClient, **how: object) -> Agent:
    fields = {"name": "ada", "authorized_actions": ["read_data"], "spending_limit": 100.0} | how
    return client.agents.register(**fields)


def pay(client: AlsornClient, agent: Agent, **how: object):
    fields = {"agent_id": agent.id, "counterparty_id": "shop", "amount": 1, "action_type": "read_data"} | how
    return client.transactions.execute(**fields)


def told(post: Post, secret: str | None) -> dict:
    """The event that a post tells, once everything about the post is as it must be."""
    signature = "sha256=" + hmac.new(str(secret).encode(), post.body, hashlib.sha256).hexdigest()
    assert post.headers["x-alsorn-signature"] == signature
    assert post.headers["content-type"] == "application/json"
    assert abs(int(post.headers["x-alsorn-timestamp"]) - time.time()) < PATIENCE_SECS
    assert str(uuid.UUID(post.headers["x-alsorn-delivery"])) == post.headers["x-alsorn-delivery"]
    event = json.loads(post.body)
    assert set(event) == {"id", "event", "created", "api_version", "data"}
    assert event["id"].startswith("evt_") and event["created"].endswith("Z") and event["api_version"] == "2026-01"
    assert post.headers["x-alsorn-event"] == event["event"]
    return event


def deliveries(native: httpx.Client, hook: Webhook, **query: str) -> list[dict]:
    """The delivery log, which all renderings share, oldest first."""
    where = f"/v1/execution/subscriptions/{hook.id}/deliveries"
    return native.get(where, params={"order": "ascending", **query}).raise_for_status().json()["items"]


def test_register_get_list_update_delete(alsorn: AlsornClient, hooked: Daemon) -> None:
    made = alsorn.webhooks.register(url=NOWHERE, events=EVENTS)
    assert made.id.startswith("wh_") and made.secret.startswith("whsec_") and len(made.secret) > 40
    assert (made.url, made.events, made.active, made.consecutive_failures) == (NOWHERE, EVENTS, True, 0)
    assert made.created_at.endswith("Z") and made.org_id == new_agent(alsorn).org_id
    read = alsorn.webhooks.get(made.id)
    assert (read.id, read.url, read.events, read.secret) == (made.id, NOWHERE, EVENTS, None)
    other = alsorn.webhooks.register(url=NOWHERE + "/b", events=["*"])
    assert other.events == ["*"] and other.secret != made.secret
    listed = alsorn.webhooks.list()
    assert [hook.id for hook in listed if hook.id in (made.id, other.id)] == [other.id, made.id]
    assert all(hook.secret is None for hook in listed)

    changed = alsorn.webhooks.update(made.id, events=["agent.registered", "agent.registered"])
    assert (changed.events, changed.url, changed.secret) == (["agent.registered"], NOWHERE, None)
    assert alsorn.webhooks.update(made.id, url=NOWHERE + "/c").events == ["agent.registered"]
    assert alsorn.webhooks.update(made.id, active=False).active is False
    assert alsorn.webhooks.update(made.id).url == NOWHERE + "/c"
    for wrong in ({"secret": "x"}, {"url": None}, {"events": []}, {"events": ["agent.danced"]}, {"active": "yes"}):
        with pytest.raises(AlsornValidationError) as error:
            alsorn.webhooks.update(made.id, **wrong)
        assert set(error.value.field_errors) == set(wrong)

    assert alsorn.webhooks.delete(made.id) is None
    for gone in (made.id, "wh_00000000000000000000000000", "none"):
        for call in (alsorn.webhooks.get, alsorn.webhooks.update, alsorn.webhooks.delete, alsorn.webhooks.test):
            with pytest.raises(AlsornNotFoundError):
                call(gone)
    alsorn.webhooks.delete(other.id)
    assert made.secret not in hooked.log()


@pytest.mark.parametrize(
    ("field", "value"),
    [("url", url) for url in ("", "x", "ftp://hooks.example/", "https://a:b@hooks.example/", "file:///etc/passwd", 5, None)]
    + [("events", events) for events in ([], ["agent.danced"], "agent.registered", [7], None)],
)
def test_what_cannot_be_registered(alsorn: AlsornClient, field: str, value: object) -> None:
    with pytest.raises(AlsornValidationError) as error:
        alsorn.webhooks.register(**{"url": NOWHERE, "events": ["*"], field: value})
    assert set(error.value.field_errors) == {field}


def test_only_an_admin_key_sees_webhooks_and_only_those_of_its_organisation(hooked: Daemon, alsorn: AlsornClient) -> None:
    made = alsorn.webhooks.register(url=NOWHERE, events=["*"])
    keys = hooked.credentials["alsorn"]
    stranger, reader = sdk(hooked, keys["other_tenant_key"]), sdk(hooked, keys["read_key"])
    assert stranger.webhooks.list() == []
    with pytest.raises(AlsornNotFoundError):
        stranger.webhooks.get(made.id)
    with pytest.raises(AlsornForbiddenError):
        reader.webhooks.register(url=NOWHERE, events=["*"])
    alsorn.webhooks.delete(made.id)


def test_inside_is_not_called_unless_that_is_allowed(client: AlsornClient) -> None:
    """The session's daemon was not told to allow it."""
    for url in ("http://hooks.example/", "https://127.0.0.1/", "https://[::1]/", "https://169.254.169.254/", "https://10.0.0.1/"):
        with pytest.raises(AlsornValidationError) as error:
            client.webhooks.register(url=url, events=["*"])
        assert set(error.value.field_errors) == {"url"}
    made = client.webhooks.register(url="https://localhost:9/", events=["*"])
    tested = client.webhooks.test(made.id)
    assert (tested.status, tested.http_status, tested.response_body) == ("failed", None, None)
    client.webhooks.delete(made.id)


def test_link_local_addresses_are_never_called(alsorn: AlsornClient) -> None:
    for url in ("http://169.254.169.254/latest/meta-data/", "http://[fe80::1]/"):
        with pytest.raises(AlsornValidationError) as error:
            alsorn.webhooks.register(url=url, events=["*"])
        assert set(error.value.field_errors) == {"url"}


def test_every_event_is_told_as_it_was(alsorn: AlsornClient, receiver: Receiver, path: Callable[[], str]) -> None:
    where = path()
    before = new_agent(alsorn)
    hook = alsorn.webhooks.register(url=receiver.url + where, events=EVENTS)
    agent = new_agent(alsorn, name="told")
    alsorn.agents.suspend(agent.id)
    http = httpx.Client(base_url=alsorn._base_url, headers={"Authorization": f"Bearer {alsorn._api_key}"})
    http.post(f"/agents/{agent.id}/reactivate").raise_for_status()
    done = pay(alsorn, agent)
    with pytest.raises(AlsornForbiddenError):
        pay(alsorn, agent, amount=1000)
    alsorn.transactions.reverse(done.id)
    dispute = alsorn.trust.report(agent_id=agent.id, reason="it lied", evidence="a log")
    http.delete(f"/agents/{agent.id}").raise_for_status()
    until(lambda: len(receiver.at(where)) >= 12)
    events = [told(post, hook.secret) for post in receiver.at(where)]
    by_name = {event["event"]: event for event in events}
    assert [event["event"] for event in events] == [
        "agent.registered", "agent.suspended", "agent.reactivated",
        "transaction.completed", "trust.score_changed", "transaction.failed", "trust.score_changed",
        "transaction.reversed", "trust.score_changed", "trust.dispute_filed", "trust.score_changed", "agent.deleted",
    ]  # fmt: skip
    assert len({event["id"] for event in events}) == len(events)
    assert before.id not in "".join(post.body.decode() for post in receiver.at(where)), "nothing from before"
    # Each tells things as they were right after it.
    assert by_name["agent.registered"]["data"]["status"] == "active"
    assert by_name["agent.suspended"]["data"]["status"] == "suspended"
    assert by_name["agent.deleted"]["data"]["status"] == "deleted"
    assert by_name["transaction.completed"]["data"]["status"] == "completed"
    shown, data = http.get(f"/transactions/{done.id}").json(), by_name["transaction.reversed"]["data"]
    assert data == {name: shown[name] for name in data}
    assert by_name["transaction.failed"]["data"]["failure_code"] == "spending_limit_exceeded"
    assert by_name["trust.dispute_filed"]["data"]["id"] == dispute.id
    moves = [event["data"] for event in events if event["event"] == "trust.score_changed"]
    assert set(moves[0]) == {"agent_id", "previous_score", "score", "assessment", "reason"}
    assert (moves[0]["previous_score"], moves[0]["score"], moves[0]["agent_id"]) == (500, 520, agent.id)
    assert all(one["score"] == other["previous_score"] for one, other in itertools.pairwise(moves))
    alsorn.webhooks.delete(hook.id)


def test_only_what_is_subscribed_is_told(alsorn: AlsornClient, receiver: Receiver, path: Callable[[], str]) -> None:
    some, all_of_it = path(), path()
    hooks = [
        alsorn.webhooks.register(url=receiver.url + where, events=events)
        for where, events in ((some, ["transaction.completed"]), (all_of_it, ["*"]))
    ]
    agent = new_agent(alsorn)
    pay(alsorn, agent)
    alsorn.agents.suspend(agent.id)
    until(lambda: len(receiver.at(all_of_it)) >= 4)
    until(lambda: receiver.at(some))
    assert [told(post, hooks[0].secret)["event"] for post in receiver.at(some)] == ["transaction.completed"]
    # Inactive, it is told nothing; what happened meanwhile is not told later either.
    alsorn.webhooks.update(hooks[1].id, active=False)
    missed = new_agent(alsorn, name="missed")
    alsorn.webhooks.update(hooks[1].id, active=True)
    later = new_agent(alsorn, name="later")
    until(lambda: any(later.id.encode() in post.body for post in receiver.at(all_of_it)))
    assert not any(missed.id.encode() in post.body for post in receiver.at(all_of_it))
    for hook in hooks:
        alsorn.webhooks.delete(hook.id)


def test_a_test_event_is_posted_once_and_signed(alsorn: AlsornClient, receiver: Receiver, path: Callable[[], str]) -> None:
    where = path()
    hook = alsorn.webhooks.register(url=receiver.url + where, events=["agent.registered"])
    receiver.answers[where] = [status(200, b"x" * 3000), status(503, b"later"), status(302, Location=receiver.url + "/trap"), babble]
    taken = alsorn.webhooks.test(hook.id)
    assert (taken.status, taken.http_status, taken.attempts, taken.webhook_id) == ("delivered", 200, 1, hook.id)
    assert taken.event_type == "webhook.test" and taken.response_body == "x" * 1024 and taken.duration_ms >= 0
    [post] = receiver.at(where)
    assert told(post, hook.secret) == taken.payload and taken.id == post.headers["x-alsorn-delivery"]
    refused = alsorn.webhooks.test(hook.id)
    assert (refused.status, refused.http_status, refused.response_body) == ("failed", 503, "later")
    redirected = alsorn.webhooks.test(hook.id)
    assert (redirected.status, redirected.http_status) == ("failed", 302)
    babbled = alsorn.webhooks.test(hook.id)
    assert (babbled.status, babbled.http_status, babbled.response_body) == ("failed", None, None)
    assert not receiver.at("/trap"), "no redirect is followed"
    # Tests count for nothing, and an inactive webhook can be tested.
    assert alsorn.webhooks.get(hook.id).consecutive_failures == 0
    alsorn.webhooks.update(hook.id, active=False)
    assert alsorn.webhooks.test(hook.id).status == "delivered"
    alsorn.webhooks.delete(hook.id)


def test_what_fails_redirects_and_lies_is_posted_again(
    alsorn: AlsornClient, native: httpx.Client, receiver: Receiver, path: Callable[[], str]
) -> None:
    where = path()
    hook = alsorn.webhooks.register(url=receiver.url + where, events=["agent.registered"])
    receiver.answers[where] = [
        status(500, b"no,\nnot now"), status(302, Location=receiver.url + "/trap"), status(404), babble, break_off,
    ]  # fmt: skip
    first, second = new_agent(alsorn), new_agent(alsorn)
    until(lambda: len(receiver.at(where)) >= 7)
    posts = receiver.at(where)
    events = [told(post, hook.secret) for post in posts]
    assert [event["data"]["id"] for event in events] == [first.id] * 6 + [second.id], "in order, each until it is taken"
    assert len({post.body for post in posts[:6]}) == 1, "the same bytes each time"
    assert len({post.headers["x-alsorn-delivery"] for post in posts}) == 7, "each attempt has an id of its own"
    assert not receiver.at("/trap")
    until(lambda: all(item["state"] == "delivered" for item in deliveries(native, hook)))
    assert alsorn.webhooks.get(hook.id).consecutive_failures == 0

    # The log has the request, and every attempt with its answer.
    item = deliveries(native, hook)[0]
    assert (item["word"], item["attempts"], item["status"]) == ("agent.registered", 6, 204)
    log = native.get(f"/v1/execution/subscriptions/{hook.id}/deliveries/{item['id']}").raise_for_status().json()
    assert log["request"]["body"].encode() == posts[0].body
    assert log["request"]["headers"]["x-alsorn-event"] == "agent.registered"
    assert [one["outcome"] for one in log["tries"]] == ["failed"] * 5 + ["delivered"]
    assert [one["status"] for one in log["tries"]] == [500, 302, 404, None, None, 204]
    assert log["tries"][0]["excerpt"] == "no, not now"

    # As of the first attempt there is that one alone.
    tried = native.get("/v1/events", params={"subject": f"subscription:{hook.id}", "kind": "DeliveriesRecorded"}).json()["items"]
    where_log = f"/v1/execution/subscriptions/{hook.id}/deliveries/{item['id']}"
    then = native.get(where_log, params={"as_of": tried[0]["seq"]}).raise_for_status().json()
    assert (then["state"], len(then["tries"]), then["request"]) == ("failed", 1, log["request"])

    # By hand it is posted once more: the same event, another attempt.
    again = {"subscription": hook.id, "event": item["event"]}
    native.post("/v1/commands", json={"command": "Redeliver", "params": again}).raise_for_status()
    until(lambda: len(receiver.at(where)) >= 8)
    assert told(receiver.at(where)[7], hook.secret)["id"] == events[0]["id"]
    alsorn.webhooks.delete(hook.id)


def test_what_is_given_up_disables_the_webhook(
    alsorn: AlsornClient, native: httpx.Client, receiver: Receiver, path: Callable[[], str]
) -> None:
    where = path()
    hook = alsorn.webhooks.register(url=receiver.url + where, events=["agent.registered"])
    receiver.answers[where] = [status(500)] * ATTEMPTS
    new_agent(alsorn)
    until(lambda: alsorn.webhooks.get(hook.id).active is False)
    assert alsorn.webhooks.get(hook.id).consecutive_failures == ATTEMPTS
    assert len(receiver.at(where)) == ATTEMPTS
    [item] = deliveries(native, hook)
    assert (item["state"], item["attempts"]) == ("dead_letter", ATTEMPTS)
    new_agent(alsorn)
    enabled = alsorn.webhooks.update(hook.id, active=True)
    assert (enabled.active, enabled.consecutive_failures) == (True, 0)
    last = new_agent(alsorn)
    until(lambda: len(receiver.at(where)) > ATTEMPTS)
    assert told(receiver.at(where)[-1], hook.secret)["data"]["id"] == last.id
    alsorn.webhooks.delete(hook.id)


def test_one_that_hangs_delays_nobody(alsorn: AlsornClient, receiver: Receiver, path: Callable[[], str]) -> None:
    over, stuck, others = threading.Event(), [path() for _ in range(8)], [path() for _ in range(4)]
    hooks = [alsorn.webhooks.register(url=receiver.url + where, events=["agent.registered"]) for where in stuck + others]
    for where in stuck:
        receiver.answers[where] = [hang(over)] * 100
    try:
        new_agent(alsorn)
        until(lambda: all(receiver.at(where) for where in stuck))
        # Those have it and do not let go, and the others and the ledger go on.
        agents = [new_agent(alsorn).id for _ in range(10)]
        for where in others:
            until(lambda: len(receiver.at(where)) >= 11)
            assert [json.loads(post.body)["data"]["id"] for post in receiver.at(where)][1:] == agents
        assert not over.is_set()
    finally:
        over.set()
    for hook in hooks:
        alsorn.webhooks.delete(hook.id)
        with pytest.raises(AlsornNotFoundError):
            alsorn.webhooks.get(hook.id)


def test_a_new_secret_signs_what_is_posted_from_then_on(
    alsorn: AlsornClient, native: httpx.Client, receiver: Receiver, path: Callable[[], str]
) -> None:
    where = path()
    hook = alsorn.webhooks.register(url=receiver.url + where, events=["agent.registered"])
    [place] = native.get(f"/v1/execution/subscriptions/{hook.id}").json()["destinations"]
    command = {"command": "RotateDestinationSecret", "params": {"destination": place["id"]}}
    secret = native.post("/v1/commands", json=command).raise_for_status().json()["result"]["shown_once"]["secret"]
    assert secret.startswith("whsec_") and secret != hook.secret
    new_agent(alsorn)
    until(lambda: receiver.at(where))
    told(receiver.at(where)[0], secret)
    alsorn.webhooks.delete(hook.id)


def test_what_was_not_told_before_a_crash_is_told_after_it(new_daemon: Callable[..., Daemon], receiver: Receiver, path: Callable[[], str]) -> None:
    where = path()
    daemon = new_daemon("--allow-private-targets", "--webhook-retry-secs", "1").start()
    client = sdk(daemon, daemon.credentials["alsorn"]["api_key"])
    hook = client.webhooks.register(url=receiver.url + where, events=["agent.registered"])
    receiver.answers[where] = [status(500)] * 2
    wanted = [new_agent(client).id for _ in range(5)]
    until(lambda: receiver.at(where))
    daemon.kill()
    daemon.start()
    client = sdk(daemon, daemon.credentials["alsorn"]["api_key"])
    ids = lambda: [told(post, hook.secret)["data"]["id"] for post in receiver.at(where)]  # noqa: E731
    until(lambda: set(wanted) <= set(ids()))
    assert list(dict.fromkeys(ids())) == wanted, "in order, at least once"
    assert client.webhooks.get(hook.id).url == receiver.url + where
