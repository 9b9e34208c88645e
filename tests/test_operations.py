"""What `docs/operations.md` tells operators to watch is there to be watched."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from daemon import ROOT, Daemon
from native import register

PAGE = (ROOT / "docs/operations.md").read_text()


def test_every_metric_that_is_documented_is_told(new_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    # Some are told of sinks alone.
    sinks = tmp_path / "sinks.toml"
    sinks.write_text(f'[[sink]]\nname = "disk"\nformat = "ocsf"\nfile = "{tmp_path}/events"\n')
    daemon = new_daemon("--sinks", str(sinks)).start()
    with daemon.admin() as client:
        register(client)
        # A first reading, so that the request that asks is counted too.
        client.get("/metrics")
        text = client.get("/metrics").text
    daemon.stop()
    told = {sample.name for family in text_string_to_metric_families(text) for sample in family.samples}
    # A histogram is named without what its series end in.
    told |= {re.sub(r"_(bucket|count|sum)$", "", name) for name in told}
    documented = set(re.findall(r"\bchancery_[a-z_]+\b", PAGE)) - {"chancery_verify"}
    assert len(documented) > 15
    assert documented <= told, sorted(documented - told)


def test_the_stage_that_is_watched_is_one() -> None:
    stages = (ROOT / "projections/src/sequencer/stages.rs").read_text()
    for stage in re.findall(r'stage="([a-z]+)"', PAGE):
        assert f'=> "{stage}"' in stages
