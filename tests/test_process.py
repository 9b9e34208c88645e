"""The daemon as a process: how it starts, what it leaves on the disk, how it stops, what it refuses."""

from __future__ import annotations

import datetime
import io
import ipaddress
import json
import os
import signal
import ssl
import stat
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import chancery_verify as cv
from daemon import Daemon, binary, chancery
from native import batch, fresh, get, register, submit


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_first_start(new_daemon: Callable[..., Daemon]) -> None:
    daemon = new_daemon().start()
    assert mode(daemon.bootstrap_file) == 0o600
    credentials = json.loads(daemon.bootstrap_file.read_text())
    assert set(credentials) >= {"tenant", "admin_key", "orgkernel"}
    secrets = [credentials["admin_key"], credentials["orgkernel"]["token"]]
    assert all(secret.startswith("chy_") for secret in secrets)
    with daemon.admin() as client:
        answer = submit(client, "RegisterAgent", {"name": "ada", "key": "make", "profile": {"email": "ada@example.org"}})
        secrets.append(answer["result"]["shown_once"]["private_key_pem"].splitlines()[1])
        made = submit(client, "CreateApiKey", {"name": "x", "scopes": ["agents:read"]})
        secrets.append(made["result"]["shown_once"]["api_key"])
        client.get("/v1/identity/agents", headers={"Authorization": "Bearer chy_" + "w" * 52})
    daemon.stop()
    # Nothing is open to others, and no secret is anywhere: neither in clear in the data, nor in the log.
    for path in (daemon.data_dir, daemon.data_dir / "log", daemon.data_dir / "keys", daemon.data_dir / "keystore"):
        assert mode(path) == 0o700, path
    for path in (daemon.data_dir / "keys").iterdir():
        assert mode(path) == 0o600
    kept = b"".join(path.read_bytes() for path in daemon.data_dir.rglob("*") if path.is_file())
    logged = daemon.log_file.read_bytes()
    for secret in [*secrets, "w" * 52]:
        assert secret.encode() not in kept and secret.encode() not in logged
    assert b"ada@example.org" not in kept, "personal data is encrypted"


def test_a_later_start_gives_out_nothing(new_daemon: Callable[..., Daemon]) -> None:
    daemon = new_daemon().start()
    daemon.stop()
    daemon.bootstrap_file.unlink()
    daemon.start()
    assert not daemon.bootstrap_file.exists()
    with daemon.admin() as client:
        assert client.get("/v1/identity/agents").status_code == 200
    daemon.stop()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_told_to(new_daemon: Callable[..., Daemon], how: signal.Signals) -> None:
    daemon = new_daemon().start()
    with daemon.admin() as client:
        register(client)
        daemon.stop(how)


def test_one_daemon_a_data_directory(new_daemon: Callable[..., Daemon]) -> None:
    daemon = new_daemon().start()
    second = subprocess.run(
        [binary("CHANCERYD", "chanceryd"), "--data-dir", str(daemon.data_dir), "--listen", "127.0.0.1:0"],
        env=daemon.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert second.returncode != 0
    assert "in use" in (second.stderr + second.stdout).lower() or "another" in second.stderr.lower(), second.stderr
    verify = chancery("verify", "--data-dir", str(daemon.data_dir))
    assert verify.returncode == 2, "nor does the verifier open it under the daemon's hands"
    with daemon.admin() as client:
        register(client)
    daemon.stop()


def test_a_key_file_that_others_can_read_is_refused(new_daemon: Callable[..., Daemon]) -> None:
    daemon = new_daemon().start()
    daemon.stop()
    (key,) = (daemon.data_dir / "keys").glob("seal-*.pem")
    key.chmod(0o640)
    with pytest.raises(AssertionError, match="did not get ready"):
        daemon.start()
    assert "0640" in daemon.log() or "640" in daemon.log(), daemon.log()
    key.chmod(0o600)
    daemon.start()
    daemon.stop()


def test_a_passphrase(new_daemon: Callable[..., Daemon]) -> None:
    daemon = new_daemon(env={"CHANCERY_PASSPHRASE": "correct horse"}).start()
    daemon.stop()
    (key,) = (daemon.data_dir / "keys").glob("seal-*.pem")
    assert "BEGIN ENCRYPTED PRIVATE KEY" in key.read_text()
    for wrong in (None, "wrong horse"):
        daemon.env.pop("CHANCERY_PASSPHRASE", None)
        if wrong:
            daemon.env["CHANCERY_PASSPHRASE"] = wrong
        with pytest.raises(AssertionError, match="did not get ready"):
            daemon.start()
        assert "passphrase" in daemon.log().lower()
        assert "horse" not in daemon.log()
    daemon.env["CHANCERY_PASSPHRASE"] = "correct horse"
    daemon.start()
    with daemon.admin() as client:
        register(client)
    daemon.stop()


@pytest.mark.parametrize("options", [["--nonsense"], ["--listen", "nowhere"], ["--header-timeout-secs", "x"], ["extra"]])
def test_wrong_options_are_refused(new_daemon: Callable[..., Daemon], options: list[str]) -> None:
    run = subprocess.run(
        [binary("CHANCERYD", "chanceryd"), *options], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )
    assert run.returncode != 0 and run.stderr


def test_a_graceful_stop_loses_nothing(new_daemon: Callable[..., Daemon]) -> None:
    """Under load: what was acknowledged is there, what was not is refused or cut off, and the daemon ends with code 0."""
    daemon = new_daemon().start()
    acknowledged: list[dict] = []
    enough = threading.Event()

    def work() -> None:
        try:
            with daemon.admin() as client:
                while True:
                    lines = [{"command": "OpenMission", "params": {"intent": fresh("work ")}} for _ in range(10)]
                    for answer in batch(client, lines):
                        if answer["status"] != 200:
                            return
                        acknowledged.extend(answer["receipt"]["events"])
                        if len(acknowledged) > 100:
                            enough.set()
        except (httpx.TransportError, AssertionError, json.JSONDecodeError):
            pass

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    assert enough.wait(60)
    daemon.stop()
    for worker in workers:
        worker.join()
    daemon.start()
    with daemon.admin() as client:
        for event in acknowledged[-100:]:
            assert get(client, f"/v1/events/{event['seq']}")["hash"] == event["hash"]
        newest = get(client, "/v1/events", order="descending", limit=1)["items"][0]["seq"]
        assert newest >= max(event["seq"] for event in acknowledged)
    daemon.stop()


def test_rotation_while_running(new_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    daemon = new_daemon().start()
    with daemon.admin() as client:
        stop = threading.Event()

        def work() -> None:
            with daemon.admin() as other:
                while not stop.is_set():
                    submit(other, "OpenMission", {"intent": fresh("work ")})

        worker = threading.Thread(target=work)
        worker.start()
        for _ in range(3):
            submit(client, "RotateSigningKey")
            register(client)
        stop.set()
        worker.join()
    daemon.stop()
    path = tmp_path / "log.chancery"
    chancery("export", "--data-dir", str(daemon.data_dir), "--out", str(path), check=True)
    verdict = cv.verify(io.BytesIO(path.read_bytes()))
    assert verdict["whole"], verdict["findings"]
    assert len({key["verifier_key"] for key in verdict["keys"]}) == 4
    daemon.start()
    with daemon.admin() as client:
        register(client)
    daemon.stop()


def test_a_view_that_was_lost_is_rebuilt(new_daemon: Callable[..., Daemon]) -> None:
    daemon = new_daemon().start()
    with daemon.admin() as client:
        for _ in range(5):
            agent = register(client)["result"]["agent"]["id"]
        submit(client, "SuspendAgent", {"agent": agent})
        names = [view["view"] if "view" in view else view["name"] for view in get(client, "/v1/views")["views"]]
        before = {name: get(client, f"/v1/views/{name}/digest") for name in names}
        for name in names:
            rebuilt = client.post(f"/v1/views/{name}/rebuild")
            assert rebuilt.status_code == 200, rebuilt.text
            assert get(client, f"/v1/views/{name}/digest")["digest"] == before[name]["digest"]
    daemon.stop()
    for view in (daemon.data_dir / "views").iterdir():
        for path in sorted(view.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    daemon.start()
    with daemon.admin() as client:
        assert get(client, f"/v1/identity/agents/{agent}")["status"] == "suspended"
        for name in names:
            assert get(client, f"/v1/views/{name}/digest")["digest"] == before[name]["digest"]
    daemon.stop()


def test_a_log_behind_its_last_checkpoint_is_refused(new_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    """An old copy put back over a newer log would make two histories; the daemon notices and does not sign on."""
    daemon = new_daemon().start()
    daemon.stop()
    old = tmp_path / "old"
    subprocess.run(["cp", "-a", str(daemon.data_dir / "log"), str(old)], check=True)
    daemon.start()
    with daemon.admin() as client:
        register(client)
    daemon.stop()
    subprocess.run(["rm", "-r", str(daemon.data_dir / "log")], check=True)
    subprocess.run(["cp", "-a", str(old), str(daemon.data_dir / "log")], check=True)
    with pytest.raises(AssertionError, match="did not get ready"):
        daemon.start()
    assert "checkpoint" in daemon.log().lower()


def test_tls(new_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    os.chmod(key_file, 0o600)
    daemon = new_daemon("--tls-cert", str(cert_file), "--tls-key", str(key_file)).start()
    assert daemon.url.startswith("https://127.0.0.1:")
    context = ssl.create_default_context(cafile=str(cert_file))
    with daemon.client(daemon.credentials["admin_key"], verify=context) as client:
        register(client)
        assert client.get("/readyz").status_code == 200
    plain = daemon.url.replace("https://", "http://")
    with pytest.raises(httpx.TransportError):
        httpx.get(plain + "/livez", timeout=10)
    daemon.stop()
