"""An auditor's sample: whoever has the bundle and the seed draws the same, and nobody can choose what is drawn."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import chancery_verify as cv
from daemon import Daemon, chancery
from native import batch, fresh, submit

TIME_SECS = 1_800_000_000


def cosignature(checkpoint: bytes, witness: Ed25519PrivateKey) -> bytes:
    """What a witness says of a checkpoint (C2SP tlog-cosignature), as it stands behind the key's id."""
    text = checkpoint[: checkpoint.index(b"\n\n") + 1]
    return TIME_SECS.to_bytes(8, "big") + witness.sign(f"cosignature/v1\ntime {TIME_SECS}\n".encode() + text)


def test_a_sample_is_drawn_by_what_a_witness_said_later(new_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    daemon = new_daemon().start()
    with daemon.admin() as client:
        batch(client, [{"command": "OpenMission", "params": {"intent": fresh("m")}} for _ in range(60)])
        end = cv.parse_seal(client.get("/checkpoint").content).size
        submit(client, "OpenMission", {"intent": "after"})
        later = client.get("/checkpoint").content
    daemon.stop()
    bundle, seed = tmp_path / "period.bundle", tmp_path / "seed"
    data = str(daemon.data_dir)
    chancery("export", "--data-dir", data, "--from", "5", "--to", str(end - 1), "--out", str(bundle), check=True)

    def drawn(size: int) -> dict:
        run = chancery("sample", str(bundle), "--seed-from", str(seed), "--json", "--size", str(size))
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout)

    seed.write_bytes(cosignature(later, Ed25519PrivateKey.generate()))
    sample = drawn(10)
    assert sample["population"] == end - 5 and len(sample["sample"]) == 10
    seqs = [event["seq"] for event in sample["sample"]]
    assert seqs == sorted(set(seqs)) and 5 <= seqs[0] and seqs[-1] < end
    # The other verifier draws the same; more is more of the same; all there are is all there are.
    with bundle.open("rb") as source:
        python = cv.verify_bundle(source, sample=(10, seed.read_bytes()))
    assert python["whole"] and python["bundle"]["sample"] == seqs
    more = [event["seq"] for event in drawn(20)["sample"]]
    assert set(seqs) < set(more) and len(more) == 20
    assert len(drawn(1000)["sample"]) == end - 5
    # Another witness draws otherwise.
    seed.write_bytes(cosignature(later, Ed25519PrivateKey.generate()))
    assert drawn(10)["sample"] != sample["sample"]
    for nothing in (later, b""):
        seed.write_bytes(nothing)
        run = chancery("sample", str(bundle), "--seed-from", str(seed), "--size", "10")
        assert run.returncode == 2 and run.stdout == "", run.stderr

    seed.write_bytes(b"a token")
    bundle.write_bytes(bundle.read_bytes()[:-30])
    run = chancery("sample", str(bundle), "--seed-from", str(seed), "--size", "10")
    assert run.returncode == 1 and run.stdout == "" and "not whole" in run.stderr
