"""What the README tells a newcomer to paste does what it says.

The blocks are those tagged `sh` under the heading "First five minutes", run by one bash in a directory where a daemon of
its own has its `./chancery-data`, as `./run` leaves it: with `chancery-data/bootstrap.json`. `http://127.0.0.1:8420` in them
becomes the daemon's real address. Blocks tagged `sh stopped` are run after the daemon was told to stop, as the text
between them says. `chancery` is the one that was just built.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon import ROOT, Daemon, binary

ADDRESS = "http://127.0.0.1:8420"


def blocks() -> list[tuple[bool, str]]:
    """The blocks under the heading: whether the daemon is stopped by then, and the text."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    section = re.search(r"^## First five minutes\n(.*?)(?=^## |\Z)", readme, re.M | re.S)
    assert section, "the README has lost its first five minutes"
    found = re.findall(r"^```sh( stopped)?\n(.*?)^```$", section.group(1), re.M | re.S)
    return [(bool(stopped), text) for stopped, text in found]


@pytest.mark.skipif(not (ROOT / "README.md").exists(), reason="there is no README yet")
def test_the_readme_can_be_pasted(new_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    daemon = new_daemon()
    daemon.home = tmp_path
    daemon.data_dir = tmp_path / "chancery-data"
    daemon.data_dir.mkdir(mode=0o700)
    daemon.bootstrap_file = daemon.data_dir / "bootstrap.json"
    daemon.start()
    assert daemon.process is not None
    process = daemon.process
    # Reaps it as soon as it ends, so that the script below can see that it has.
    reaper = threading.Thread(target=process.wait)
    reaper.start()
    script = ["set -euo pipefail"]
    stopping = f"kill -TERM {process.pid}\nwhile kill -0 {process.pid} 2>/dev/null; do sleep 0.1; done"
    told = False
    for stopped, text in blocks():
        if stopped and not told:
            script.append(stopping)
            told = True
        script.append(text.replace(ADDRESS, daemon.url))
    assert len(script) > 3 and told, "blocks to paste, and at least one for the stopped daemon"
    path = os.pathsep.join([str(Path(binary("CHANCERY", "chancery")).parent), os.environ["PATH"]])
    run = subprocess.run(
        ["bash", "-c", "\n".join(script)],
        cwd=tmp_path, env=daemon.env | {"PATH": path}, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    shown = f"{run.stdout}\n{run.stderr}\n{daemon.log()}"
    assert run.returncode == 0, shown
    reaper.join(60)
    assert process.returncode == 0, "the daemon drained and stopped"
    daemon.process = None
    assert '"valid":true' in run.stdout.replace(" ", "") or "whole" in run.stdout.lower(), shown
