"""Contract, sections 7 and 8: audit chains, every hash recomputed here."""

from __future__ import annotations

import json
import string
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon import Daemon
from orgkernel.canonical import ZERO_HASH, chain_is_whole, entry_hash, micros, parse_time, to
from orgkernel.contract import (
    CHAIN_FIELDS,
    CHAIN_HEADER_FIELDS,
    ENTRY_FIELDS,
    UNKNOWN_AGENT,
    UNKNOWN_CHAIN,
    append_body,
    assert_error,
    fresh,
    issue,
    ok,
    open_chain,
)


def chain_of(kernel: httpx.Client, chain_id: str) -> dict:
    """The chain, checked from outside each time it is read."""
    chain = ok(kernel.get(f"/audit/{chain_id}"))
    assert set(chain) == CHAIN_FIELDS  # type: ignore[call-overload]
    assert all(set(entry) == ENTRY_FIELDS for entry in chain["entries"])  # type: ignore[index]
    assert chain["entry_count"] == len(chain["entries"])  # type: ignore[index]
    assert chain_is_whole(chain), [entry_hash(entry) for entry in chain["entries"]]  # type: ignore[arg-type,index]
    return chain  # type: ignore[return-value]


def append(kernel: httpx.Client, chain_id: str, mission_id: str, **changes: object) -> dict:
    return ok(kernel.post(f"/audit/{chain_id}/append", json=append_body(mission_id, **changes)))  # type: ignore[return-value]


def valid(kernel: httpx.Client, chain_id: str) -> bool:
    result = ok(kernel.get(f"/audit/{chain_id}/verify"))
    assert set(result) == {"chain_id", "valid", "message"}  # type: ignore[call-overload]
    assert result["chain_id"] == chain_id and isinstance(result["message"], str)  # type: ignore[index]
    return result["valid"]  # type: ignore[index]


def test_initialize_writes_the_genesis_entry(kernel: httpx.Client) -> None:
    agent = issue(kernel)
    mission_id = fresh("msn_genesis")
    opened = ok(kernel.post("/audit/initialize", json={"mission_id": mission_id, "agent_id": agent.id}))
    assert set(opened) == {"chain_id", "message"}  # type: ignore[call-overload]
    chain_id = opened["chain_id"]  # type: ignore[index]
    assert chain_id.startswith("ac_") and len(chain_id) <= 32 and chain_id[3:].isalnum()
    chain = chain_of(kernel, chain_id)
    assert (chain["mission_id"], chain["agent_id"], chain["closed_at"]) == (mission_id, agent.id, None)
    (genesis,) = chain["entries"]
    assert (genesis["sequence"], genesis["layer"], genesis["event"]) == (0, "IDENTITY", "IDENTITY_chain_initialized")
    assert (genesis["prev_hash"], genesis["token_id"]) == (ZERO_HASH, None)
    assert (genesis["agent_id"], genesis["mission_id"], genesis["chain_id"]) == (agent.id, mission_id, chain_id)
    assert genesis["data"] == {"initialized_at": to(chain["initialized_at"])}
    assert parse_time(genesis["timestamp"]) >= parse_time(chain["initialized_at"])
    assert genesis["entry_id"].startswith("aue_") and len(genesis["entry_id"]) <= 32
    assert chain["head_hash"] == genesis["entry_hash"]
    assert valid(kernel, chain_id)
    assert ok(kernel.get(f"/audit/mission/{mission_id}")) == chain


def test_one_chain_a_mission(kernel: httpx.Client) -> None:
    chain_id, mission_id = open_chain(kernel)
    was = chain_of(kernel, chain_id)
    for agent_id in (UNKNOWN_AGENT, issue(kernel).id):
        assert_error(kernel.post("/audit/initialize", json={"mission_id": mission_id, "agent_id": agent_id}), 409, 400, 422)
    ok(kernel.post(f"/audit/{chain_id}/close"))
    assert_error(kernel.post("/audit/initialize", json={"mission_id": mission_id, "agent_id": UNKNOWN_AGENT}), 409, 400, 422)
    assert chain_of(kernel, chain_id)["entries"][: len(was["entries"])] == was["entries"]


@pytest.mark.parametrize(
    "body",
    [{}, {"mission_id": "msn_a"}, {"agent_id": UNKNOWN_AGENT}, {"mission_id": "msn_" + "z" * 29, "agent_id": UNKNOWN_AGENT},
     {"mission_id": "Mission", "agent_id": UNKNOWN_AGENT}, {"mission_id": "msn_a", "agent_id": "nobody"}, {"mission_id": 5, "agent_id": 5}],
)  # fmt: skip
def test_initialize_has_bounds(kernel: httpx.Client, body: dict) -> None:
    assert_error(kernel.post("/audit/initialize", json=body), 400, 422)


def test_append(kernel: httpx.Client) -> None:
    chain_id, mission_id = open_chain(kernel)
    data = {"tool": "read_invoice", "invoice_id": "INV-4521", "result": "success"}
    done = append(kernel, chain_id, mission_id, data=data, token_id="tok_abc1234567")
    assert {"entry_id", "chain_id", "sequence", "entry_hash", "message"} <= set(done)
    assert (done["chain_id"], done["sequence"]) == (chain_id, 1)
    entry = chain_of(kernel, chain_id)["entries"][1]
    assert (entry["entry_id"], entry["entry_hash"]) == (done["entry_id"], done["entry_hash"])
    assert (entry["data"], entry["token_id"], entry["layer"]) == (data, "tok_abc1234567", "EXECUTION")
    assert append(kernel, chain_id, mission_id)["sequence"] == 2
    assert valid(kernel, chain_id)


@pytest.mark.parametrize("layer", ["IDENTITY", "EXECUTION", "COMPLIANCE", "GOVERNANCE"])
def test_layers_share_the_chain(kernel: httpx.Client, layer: str) -> None:
    chain_id, mission_id = open_chain(kernel)
    append(kernel, chain_id, mission_id, layer=layer, event=f"{layer}_note")
    assert [entry["layer"] for entry in chain_of(kernel, chain_id)["entries"]] == ["IDENTITY", layer]


@pytest.mark.parametrize("change", [{"data": None}, {"data": ...}, {"data": {}}])
def test_no_data_is_an_empty_object(kernel: httpx.Client, change: dict) -> None:
    chain_id, mission_id = open_chain(kernel)
    append(kernel, chain_id, mission_id, **change)
    assert chain_of(kernel, chain_id)["entries"][1]["data"] == {}


def test_entries_need_not_speak_of_the_chains_own_agent_and_mission(kernel: httpx.Client) -> None:
    chain_id, _ = open_chain(kernel)
    reply = kernel.post(f"/audit/{chain_id}/append", json=append_body("msn_another1", agent_id="aid_another1"))
    if reply.status_code == 200:
        entry = chain_of(kernel, chain_id)["entries"][1]
        assert (entry["mission_id"], entry["agent_id"]) == ("msn_another1", "aid_another1")
    else:
        assert_error(reply, 400, 409, 422)


BAD = {
    "layer": ["execution", "OTHER", "", 5, None, ...],
    "event": ["", "x" * 129, 5, None, ...],
    "agent_id": ["nobody", "", 5, None, ...],
    "mission_id": ["nothing", "", "msn_" + "z" * 29, 5, None, ...],
    "data": [[], "x", 5, True],
    "token_id": ["x" * 33, 5],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in BAD.items() for value in values])
def test_appends_out_of_bounds_change_nothing(kernel: httpx.Client, name: str, value: object) -> None:
    chain_id, mission_id = open_chain(kernel)
    reply = kernel.post(f"/audit/{chain_id}/append", json=append_body(mission_id, **{name: value}))
    assert_error(reply, 400, 422)
    assert len(chain_of(kernel, chain_id)["entries"]) == 1
    assert append(kernel, chain_id, mission_id)["sequence"] == 1


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "1e999", '"\\ud800"', '{"a": NaN}', "[1,]"])
def test_data_that_json_does_not_have(kernel: httpx.Client, literal: str) -> None:
    chain_id, mission_id = open_chain(kernel)
    body = json.dumps(append_body(mission_id, data={"x": "@"})).replace('"@"', literal)
    reply = kernel.post(f"/audit/{chain_id}/append", content=body, headers={"Content-Type": "application/json"})
    assert_error(reply, 400, 422)
    assert len(chain_of(kernel, chain_id)["entries"]) == 1


# The contract's own worst cases, V7 among them: texts as sent, and what they are.
DATA = [
    '{"B":"\\ud800\\udf48","b":{"a":[1.0,-0.0,1e+16,1e-05,0.0001,1.2345678901234568e+17,5e-324,9007199254740993,'
    '18446744073709551615,true,null,{}],"z":1},"\\uffff":[],"\\ud83d\\ude00":"a\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\\u007f\\u00e9\\u2028"}',
    '{"n": [1E2, 0.1e1, -0, 100, 1.50, 123456789012345680000.0, 0.00001, 0.0001, -9223372036854775808]}',
    '{"a": 1, "a": {"b": 2, "b": 3}}',
    '{"é": 1, "z": 2, "Z": 3, "": 4, "😀": 5, "\uffff": 6}',
    '{"deep": ' + "[" * 50 + "]" * 50 + "}",
]


@pytest.mark.parametrize("text", DATA, ids=range(len(DATA)))
def test_data_is_hashed_as_it_was_sent(kernel: httpx.Client, text: str) -> None:
    chain_id, mission_id = open_chain(kernel)
    body = json.dumps(append_body(mission_id, data={"@": "@"})).replace('{"@": "@"}', text)
    ok(kernel.post(f"/audit/{chain_id}/append", content=body.encode(), headers={"Content-Type": "application/json"}))
    entry = chain_of(kernel, chain_id)["entries"][1]
    sent = json.loads(text)
    assert repr(entry["data"]) == repr(sent) or entry["data"] == sent
    assert entry_hash(entry | {"data": sent}) == entry["entry_hash"]


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**63), max_value=2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), inner, max_size=4),
    max_leaves=15,
)  # fmt: skip


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), json_values, max_size=5),
       event=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=128))  # fmt: skip
def test_any_data_is_hashed_as_it_was_sent(kernel: httpx.Client, data: dict, event: str) -> None:
    chain_id, mission_id = open_chain(kernel)
    append(kernel, chain_id, mission_id, data=data, event=event)
    entry = chain_of(kernel, chain_id)["entries"][1]
    assert entry["event"] == event
    assert entry_hash(entry | {"data": data, "event": event}) == entry["entry_hash"]


def test_close(kernel: httpx.Client) -> None:
    agent = issue(kernel)
    chain_id, mission_id = open_chain(kernel, agent.id)
    append(kernel, chain_id, mission_id)
    closed = ok(kernel.post(f"/audit/{chain_id}/close"))
    assert set(closed) == {"chain_id", "mission_id", "agent_id", "entry_count", "head_hash", "closed_at", "message"}  # type: ignore[call-overload]
    assert (closed["chain_id"], closed["mission_id"], closed["agent_id"]) == (chain_id, mission_id, agent.id)  # type: ignore[index]
    chain = chain_of(kernel, chain_id)
    assert closed["entry_count"] == chain["entry_count"] == 3  # type: ignore[index]
    assert closed["head_hash"] == chain["head_hash"]  # type: ignore[index]
    assert parse_time(closed["closed_at"]) == parse_time(chain["closed_at"])  # type: ignore[index]
    last = chain["entries"][-1]
    assert (last["layer"], last["event"], last["token_id"]) == ("EXECUTION", "EXECUTION_chain_closed", None)
    assert (last["agent_id"], last["mission_id"]) == (agent.id, mission_id)
    assert last["data"] == {"chain_id": chain_id}
    assert valid(kernel, chain_id)


def test_a_closed_chain_stays_as_it_is(kernel: httpx.Client) -> None:
    chain_id, mission_id = open_chain(kernel)
    ok(kernel.post(f"/audit/{chain_id}/close"))
    was = chain_of(kernel, chain_id)
    assert_error(kernel.post(f"/audit/{chain_id}/append", json=append_body(mission_id)), 400, 409)
    assert_error(kernel.post(f"/audit/{chain_id}/close"), 400, 409)
    assert chain_of(kernel, chain_id) == was


def test_unknown_chains(kernel: httpx.Client) -> None:
    for chain_id in (UNKNOWN_CHAIN, "ac_0123456789ab"):
        assert_error(kernel.post(f"/audit/{chain_id}/append", json=append_body("msn_nothing1")), 404)
        assert_error(kernel.post(f"/audit/{chain_id}/close"), 404)
        assert_error(kernel.get(f"/audit/{chain_id}"), 404)
        reply = kernel.get(f"/audit/{chain_id}/verify")
        if reply.status_code == 404:
            assert_error(reply, 404)
        else:
            assert ok(reply)["valid"] is False  # type: ignore[index]
    assert_error(kernel.get("/audit/mission/msn_nothing1"), 404)


def test_a_mission_is_shared_by_tokens_and_chain(kernel: httpx.Client) -> None:
    agent = issue(kernel)
    mission_id = fresh("msn_shared")
    token = ok(
        kernel.post(
            "/token/mint",
            json={"agent_id": agent.id, "mission_id": mission_id, "execution_scope": ["read"], "expires_at": "2099-01-01T00:00:00Z"},
        )
    )
    chain_id, _ = open_chain(kernel, agent.id, mission_id)
    append(kernel, chain_id, mission_id, token_id=token["token_id"])  # type: ignore[index]
    assert chain_of(kernel, chain_id)["mission_id"] == mission_id
    assert ok(kernel.get(f"/token/mission/{mission_id}")) == [token]


def test_chains_of_an_agent(kernel: httpx.Client) -> None:
    agent = issue(kernel)
    chains = [open_chain(kernel, agent.id)[0] for _ in range(3)]
    ok(kernel.post(f"/audit/{chains[0]}/close"))
    page = ok(kernel.get(f"/audit/agent/{agent.id}/page", params={"page_size": 2}))
    assert [item["chain_id"] for item in page["items"]] == chains[:0:-1]  # type: ignore[index]
    assert page["total"] == 3 and page["has_next"] is True  # type: ignore[index]
    last = ok(kernel.get(f"/audit/agent/{agent.id}/page", params={"page_size": 2, "page_no": 2}))
    (header,) = last["items"]  # type: ignore[index]
    assert set(header) == CHAIN_HEADER_FIELDS
    whole = chain_of(kernel, chains[0])
    assert {name: whole[name] for name in CHAIN_HEADER_FIELDS} == header


def test_appends_at_once_make_one_chain(daemon: Daemon, kernel: httpx.Client) -> None:
    chain_id, mission_id = open_chain(kernel)

    def work(number: int) -> list[dict]:
        with daemon.orgkernel() as client:
            return [append(client, chain_id, mission_id, data={"worker": number, "n": n}) for n in range(12)]

    with ThreadPoolExecutor(8) as pool:
        done = [entry for entries in pool.map(work, range(8)) for entry in entries]
    chain = chain_of(kernel, chain_id)
    assert sorted(entry["sequence"] for entry in done) == list(range(1, 97))
    by_sequence = {entry["sequence"]: entry for entry in done}
    for entry in chain["entries"][1:]:
        assert by_sequence[entry["sequence"]]["entry_hash"] == entry["entry_hash"]
    # Each worker's own entries stand in the order it sent them.
    for number in range(8):
        mine = [entry["data"]["n"] for entry in chain["entries"][1:] if entry["data"]["worker"] == number]
        assert mine == list(range(12))
    times = [micros(parse_time(entry["timestamp"])) for entry in chain["entries"]]
    assert times == sorted(times)


def test_initialized_at_once_only_one_wins(daemon: Daemon, kernel: httpx.Client) -> None:
    mission_id = fresh("msn_race")

    def work(_: int) -> int:
        with daemon.orgkernel() as client:
            return client.post("/audit/initialize", json={"mission_id": mission_id, "agent_id": UNKNOWN_AGENT}).status_code

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(work, range(8)))
    assert sorted(statuses)[0] == 200 and statuses.count(200) == 1
    assert set(statuses) <= {200, 409}
    chain_of(kernel, ok(kernel.get(f"/audit/mission/{mission_id}"))["chain_id"])  # type: ignore[index]


def test_ids_of_the_callers_own(kernel: httpx.Client) -> None:
    """Ids the daemon did not make are text: kept, hashed and shown as they came."""
    mission_id = "msn_" + "".join(sorted(set(string.ascii_lowercase)))[:26] + "ab"
    chain_id, _ = open_chain(kernel, "aid_0123456789ab", mission_id)
    chain = chain_of(kernel, chain_id)
    assert (chain["mission_id"], chain["agent_id"]) == (mission_id, "aid_0123456789ab")
    page = ok(kernel.get("/audit/agent/aid_0123456789ab/page"))
    assert page["total"] <= 1  # type: ignore[index]
