"""Other rules, tried upon what was: which past scope checks would have been refused, and what scores would have been."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from daemon import Daemon, chancery
from native import get, refused, submit

DRY_RUN = "/v1/trust/policies/scope/dry-run"


@pytest.fixture
def daemon(new_daemon: Callable[..., Daemon]) -> Iterator[Daemon]:
    running = new_daemon().start()
    yield running


def lines(daemon: Daemon, *question: str) -> list[dict]:
    ran = chancery("replay", "--data-dir", str(daemon.data_dir), *question, check=True)
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_past_checks_are_asked_again_under_todays_rules_and_under_others(daemon: Daemon, tmp_path: Path) -> None:
    with daemon.admin() as admin:

        def token(agent: str) -> str:
            expires = (datetime.now(timezone.utc) + timedelta(hours=1)).isoformat()
            params = {"agent": agent, "mission": {"key": {"namespace": "native", "text": agent}}, "scopes": ["read", "pay"]}
            return submit(admin, "IssueToken", {**params, "expires": expires})["result"]["token"]["id"]

        def check(token: str, tool: str, **params: object) -> int:
            answer = submit(admin, "CheckScope", {"token": token, "tool": tool, "params": params})
            return answer["receipt"]["events"][0]["seq"]

        ada, bob = (submit(admin, "RegisterAgent", {"name": name})["result"]["agent"]["id"] for name in ("ada", "bob"))
        of_ada, of_bob = token(ada), token(bob)
        small, large = check(of_ada, "pay", amount=5), check(of_ada, "pay", amount=500)
        read, foreign = check(of_bob, "read"), check(of_bob, "wire", amount=1)
        submit(admin, "SuspendAgent", {"agent": bob})
        dead = check(of_bob, "read")
        assert get(admin, DRY_RUN)["items"] == [], "nothing has changed"

        # What happened to token and agent since plays no part: each is decided upon what there was before it.
        submit(admin, "RevokeToken", {"token": of_ada})
        limit = {"bounds": [{"name": "amount", "upper": 100}]}
        tried = admin.post(DRY_RUN, json=limit).json()["items"]
        assert [(each["event"], each["passed"], each["would_pass"]) for each in tried] == [(large, True, False)]
        assert tried[0]["would_violations"][0].startswith("bounded_param_violation: amount")
        assert (tried[0]["agent"], tried[0]["token"], tried[0]["tool"]) == (ada, of_ada, "pay")

        changed = submit(admin, "SetPolicy", {"kind": "scope", "document": {"tools": ["read"]}})["receipt"]["events"][0]["seq"]
        today = get(admin, DRY_RUN)["items"]
        assert [each["event"] for each in today] == [small, large]
        assert get(admin, DRY_RUN, as_of=changed - 1)["items"] == []
        assert get(admin, DRY_RUN, agent=bob)["items"] == []
        everything = get(admin, DRY_RUN, all="true")["items"]
        assert [each["event"] for each in everything] == [small, large, read, foreign, dead]
        assert [each["would_pass"] for each in everything] == [False, False, True, False, False]
        assert everything[3]["violations"] and len(everything[3]["would_violations"]) == 2
        assert everything[4]["would_violations"] == everything[4]["violations"] == ["agent_not_active"]
        first = get(admin, DRY_RUN, limit=1)
        assert get(admin, DRY_RUN, cursor=first["next"])["items"] == today[1:]
        assert [each["event"] for each in get(admin, DRY_RUN, **{"from": small}, to=read, all="true")["items"]] == [large, read]

        # What was refused by today's rules would have passed without them.
        later = token(submit(admin, "RegisterAgent", {"name": "eve"})["result"]["agent"]["id"])
        strict = check(later, "pay", amount=1)
        without = admin.post(DRY_RUN, json={}).json()["items"]
        assert [(each["event"], each["passed"], each["would_pass"]) for each in without] == [(strict, False, True)]
        refused(admin.post(DRY_RUN, json={"tools": [""]}), 422, "policy_invalid")
        online = get(admin, DRY_RUN, all="true")["items"]
    daemon.stop()
    assert lines(daemon, "scope-checks", "--all") == online
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps(limit))
    assert [each["event"] for each in lines(daemon, "scope-checks", "--under", str(rules))] == [large, strict]
    narrowed = lines(daemon, "scope-checks", "--under", str(rules), "--agent", ada, "--to", str(small))
    assert narrowed == []
    rules.write_text('{"tols": []}')
    wrong = chancery("replay", "--data-dir", str(daemon.data_dir), "scope-checks", "--under", str(rules))
    assert wrong.returncode == 2 and "holds no such rules" in wrong.stderr


def test_scores_are_tried_at_a_past_moment_online_and_offline(daemon: Daemon, tmp_path: Path) -> None:
    document = {"weights": {"completion_rate": 500, "dispute_rate": 200, "tenure": 150, "operator_verified": 150}}
    with daemon.admin() as admin:
        params = {"name": "ada", "actions": ["pay"], "limit": {"amount": "10", "currency": "USD"}}
        ada = submit(admin, "RegisterAgent", params)["result"]["agent"]["id"]
        paid = {"agent": ada, "counterparty": {"external": "shop"}, "amount": "1", "action": "pay", "currency": "USD"}
        then = submit(admin, "ExecuteTransaction", paid)["receipt"]["events"][-1]["seq"]
        submit(admin, "FileDispute", {"agent": ada, "reason": "it lied"})
        path = "/v1/trust/policies/scoring/dry-run"
        now, past = (admin.post(path, params=query, json=document).json()["items"] for query in ({"order": "ascending"}, {"order": "ascending", "as_of": then}))
        scores = [next((each["score"], each["would_be"]) for each in found if each["agent"] == ada) for found in (now, past)]
        assert scores[0][0] < scores[1][0] and scores[0] != scores[1]
    daemon.stop()
    rules = tmp_path / "rules.json"
    rules.write_text(json.dumps(document))
    assert lines(daemon, "scores", "--under", str(rules), "--at", str(then)) == past
