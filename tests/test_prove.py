"""`chancery prove` and `chancery verify --proof`: one event's place, and one tree's growth into another, as files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import chancery_verify as cv
from daemon import Daemon, chancery
from native import batch, get, register


def said(code: int, *arguments: str) -> str:
    run = chancery(*arguments)
    assert run.returncode == code, f"{run.stdout}{run.stderr}"
    return run.stdout


def test_proofs_are_files_that_verify_without_a_log(new_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    daemon = new_daemon().start()
    with daemon.admin() as client:
        register(client)
        ledger = get(client, "/v1/identity/ledger")
        old = tmp_path / "old-checkpoint"
        old.write_bytes(client.get("/checkpoint").content)
        batch(client, [{"command": "OpenMission", "params": {"intent": f"mission {n}"}} for n in range(20)])
    key = cv.verifier_key(ledger["origin"], bytes.fromhex(ledger["sealing_key"]["public"]))
    size = old.read_text().splitlines()[1]
    asked = (("inclusion", "1"), ("inclusion", "2", "--size", size), ("consistency", size))
    here = ("--url", daemon.url, "--api-key", daemon.credentials["admin_key"])
    online = [said(0, "prove", *what, *here) for what in asked]
    daemon.stop()
    export = tmp_path / "log.export"
    said(0, "export", "--data-dir", str(daemon.data_dir), "--out", str(export))
    for place in (("--data-dir", str(daemon.data_dir)), ("--export", str(export))):
        assert [said(0, "prove", *what, *place) for what in asked] == online, place

    files = []
    for n, text in enumerate(online):
        files.append(tmp_path / f"proof-{n}")
        files[n].write_text(text)
    proofs = [word for file in files for word in ("--proof", str(file))]
    held = said(0, "verify", *proofs, "--key", key, "--head", str(old))
    assert held.count(": HOLDS: ") == 3

    other = cv.verifier_key(ledger["origin"], bytes.fromhex("58" + "66" * 31))
    assert "DOES NOT HOLD" in said(1, "verify", "--proof", str(files[0]), "--key", other)
    # Another event's number over the same path.
    files[0].write_text(online[0].replace("index 1\n", "index 2\n", 1))
    assert files[0].read_text() != online[0]
    assert "DOES NOT HOLD" in said(1, "verify", "--proof", str(files[0]), "--key", key)
    # No word of a whole log without the key that it is checked by.
    assert chancery("verify", "--proof", str(files[1])).returncode not in (0, 1)
    assert "no commit ended there" in chancery("prove", "inclusion", "1", "--size", "2", "--data-dir", str(daemon.data_dir)).stderr
