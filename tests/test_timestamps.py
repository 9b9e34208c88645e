"""Timestamps of checkpoints (RFC 3161), by an authority that is `openssl ts`: asked for, refused when they do not hold,
recorded, served, and verified offline."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from daemon import Daemon, chancery
from native import fresh, get, register
from tsa import Authority

PATIENCE_SECS = 60


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[Authority]:
    running = Authority(tmp_path / "tsa")
    yield running
    running.stop()


def options(authority: Authority, ca: Path | None = None) -> list[str]:
    return [
        "--allow-private-targets", "--timestamp-url", authority.url, "--timestamp-ca", str(ca or authority.ca),
        "--timestamp-interval-secs", "1",
    ]  # fmt: skip


def until(found: Callable[[], object]) -> object:
    """What is found in the end, which is waited for as long as a busy machine may take."""
    deadline = time.monotonic() + PATIENCE_SECS
    while time.monotonic() < deadline:
        if value := found():
            return value
        time.sleep(0.1)
    raise AssertionError("nothing was found")


def stamped(client: httpx.Client) -> list[dict]:
    return get(client, "/v1/events", kind="CheckpointTimestamped", order="ascending", limit=500)["items"]


def test_checkpoints_are_timestamped_and_anybody_can_check_them(
    new_daemon: Callable[..., Daemon], authority: Authority, tmp_path: Path
) -> None:
    daemon = new_daemon(*options(authority)).start()
    with daemon.admin() as admin:
        first = until(lambda: stamped(admin))[0]  # type: ignore[index]
        size = first["body"]["size"]
        answer = admin.get(f"/v1/ledger/checkpoints/{size}/timestamp")
        assert answer.headers["content-type"] == "application/vnd.etsi.timestamp-token"
        assert answer.content.hex() == first["body"]["token"]
        checkpoint = admin.get(f"/v1/ledger/checkpoints/{size}").text
        # What openssl is given is the text that the seal signs: three lines.
        authority.verify(answer.content, checkpoint[: checkpoint.index("\n\n") + 1].encode())
        assert first["actor"]["principal"] == {"kind": "system"}
        assert admin.get("/v1/ledger/checkpoints/1000000/timestamp").status_code == 404
        # Timestamps alone bring forth no more of them; something that happens does.
        asked = authority.asked
        register(admin, name=fresh("late "))
        until(lambda: len(stamped(admin)) > 1)
        assert authority.asked == asked + 1
    daemon.stop()
    export = tmp_path / "log.chancery"
    chancery("export", "--data-dir", str(daemon.data_dir), "--out", str(export), check=True)

    def verdict(*more: str) -> dict:
        return json.loads(chancery("verify", "--export", str(export), "--json", *more).stdout)

    trusting = verdict("--tsa-ca", str(authority.ca))
    assert trusting["whole"] and trusting["timestamps"]["verified"] == 2
    assert trusting["timestamps"]["newest"]["size"] > size
    assert verdict()["timestamps"] == {"verified": 0, "unverified": 2, "newest": None}
    stranger = Authority(tmp_path / "stranger")
    stranger.stop()
    doubting = verdict("--tsa-ca", str(stranger.ca))
    assert doubting["whole"] and doubting["timestamps"] == {"verified": 0, "unverified": 2, "newest": None}
    shown = chancery("verify", "--export", str(export), "--tsa-ca", str(authority.ca), check=True).stdout
    assert "2 verified, 0 not" in shown and "existed before" in shown


def test_what_does_not_hold_is_not_recorded_and_asked_for_again(
    new_daemon: Callable[..., Daemon], authority: Authority, tmp_path: Path
) -> None:
    authority.mood = "busy"
    daemon = new_daemon(*options(authority)).start()
    with daemon.admin() as admin:
        until(lambda: authority.asked > 1)
        authority.mood = "another's answer"
        asked = authority.asked
        until(lambda: authority.asked > asked + 1)
        assert stamped(admin) == []
        assert "answers another request" in daemon.log()
        authority.mood = "well"
        until(lambda: stamped(admin))
    daemon.stop()
    # An authority that the operator does not trust is not believed either.
    stranger = Authority(tmp_path / "stranger")
    before = stranger.asked
    daemon.options = tuple(options(stranger, ca=authority.ca))
    daemon.start()
    with daemon.admin() as admin:
        register(admin, name=fresh("late "))
        until(lambda: stranger.asked > before)
        until(lambda: "no trusted authority vouches" in daemon.log())
        assert len(stamped(admin)) == 1
    stranger.stop()
