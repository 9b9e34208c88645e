"""The restore drill of docs/operations.md does what it says when it is pasted."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from pathlib import Path

from daemon import ROOT, binary

PORT = "8421"


def test_the_drill_can_be_pasted(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    block = re.search(r"<!-- drill: .*? -->\n```sh\n(.*?)^```\n<!-- end of drill -->", page, re.M | re.S)
    assert block, "docs/operations.md has lost its drill"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
    programs = tmp_path / "bin"
    programs.mkdir()
    for variable, name in (("CHANCERYD", "chanceryd"), ("CHANCERY", "chancery")):
        (programs / name).symlink_to(Path(binary(variable, name)).resolve())
    env = {key: value for key, value in os.environ.items() if not key.startswith("CHANCERY")}
    env |= {"PATH": os.pathsep.join([str(programs), env["PATH"]]), "TMPDIR": str(tmp_path)}
    script = "set -eu\ntrap 'kill $daemon 2>/dev/null || true' EXIT\ndaemon=\n" + block.group(1).replace(PORT, port)
    # The start on the damaged log listens on another port than the default, which may be somebody's.
    script = script.replace("chanceryd --data-dir data --archive-dir archive ||", "chanceryd --listen 127.0.0.1:0 --data-dir data --archive-dir archive ||")
    run = subprocess.run(
        ["bash", "-c", script], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240
    )
    shown = run.stdout + run.stderr
    assert run.returncode == 0, shown
    assert run.stdout.count("WHOLE") == 2 and "NOT WHOLE" not in run.stdout, shown
    assert re.search(r"restored \d+ events, up to event \d+ of ", run.stdout), shown
    assert "was damaged and could not be opened" in run.stderr, shown
    assert "wrapping key" in run.stdout, shown
