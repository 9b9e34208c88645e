"""Unit, package and container file agree with the daemon: its options, its paths, what it tells the service manager."""

from __future__ import annotations

import configparser
import os
import re
import shutil
import socket
import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon import ROOT, Daemon, binary, chancery

PACKAGING = ROOT / "packaging"
OPTIONS = set(re.findall(r"^\| `--[a-z-]+` \| `(CHANCERY_[A-Z_]+)` \| `([a-z_]+)`", (ROOT / "docs/configuration.md").read_text(), re.M))  # fmt: skip


class Unit(configparser.RawConfigParser):
    """systemd's files: names have capitals, and may stand more than once."""

    def __init__(self) -> None:
        super().__init__(strict=False, interpolation=None)
        self.read(PACKAGING / "chancery.service")

    def optionxform(self, optionstr: str) -> str:
        return optionstr


@pytest.fixture(scope="module")
def service() -> configparser.SectionProxy:
    return Unit()["Service"]


@pytest.fixture(scope="module")
def package() -> dict:
    return tomllib.loads((ROOT / "api/Cargo.toml").read_text())["package"]["metadata"]["deb"]


def settings() -> dict:
    """The packaged configuration, with what it only suggests."""
    text = (PACKAGING / "chancery.toml").read_text()
    return tomllib.loads(re.sub(r"^# (?=[a-z_]+ = )", "", text, flags=re.M))


def test_the_configuration_sets_only_what_there_is() -> None:
    assert settings().keys() <= {name for _, name in OPTIONS}
    variables = re.findall(r"\b(CHANCERY_[A-Z_]+)=", (PACKAGING / "Containerfile").read_text())
    assert variables and set(variables) <= {variable for variable, _ in OPTIONS}


def test_the_daemon_starts_with_the_packaged_configuration(new_daemon: Callable[..., Daemon]) -> None:
    daemon = new_daemon("--config", str(PACKAGING / "chancery.toml"), wrap=["sh", "-c", 'umask 077; exec "$@"', "sh"])
    daemon.start()
    ready = chancery("health", "--url", daemon.url)
    assert (ready.returncode, ready.stderr) == (0, "chancery: ready\n")
    daemon.stop()
    gone = chancery("health", "--url", daemon.url)
    assert gone.returncode == 2 and "cannot be reached" in gone.stderr


def test_unit_configuration_and_package_name_the_same_paths(service: configparser.SectionProxy, package: dict) -> None:
    installed = {f"/{target}{Path(source).name if target.endswith('/') else ''}" for source, target, _ in package["assets"]}
    program, *arguments = service["ExecStart"].split()
    assert program in installed
    assert arguments == ["--config", "/etc/chancery/chancery.toml"]
    assert package["conf-files"] == arguments[1:] and arguments[1] in installed
    directory = settings()["data_dir"]
    assert directory == f"/var/lib/{service['StateDirectory']}", "ProtectSystem=strict lets it write nowhere else"
    assert settings()["bootstrap_file"].startswith(f"{directory}/"), "and the first credentials are not in the journal"
    assert settings()["listen"].startswith("127.0.0.1:"), "a new daemon is for its machine alone"
    for script in ("postinst", "postrm"):
        text = (PACKAGING / "debian" / script).read_text()
        assert directory in text and "#DEBHELPER#" in text
    assert f" {service['User']}\n" in (PACKAGING / "debian/postinst").read_text()


def test_what_the_package_names_is_there(package: dict) -> None:
    for source, *_ in package["assets"]:
        assert source.startswith("target/release/") or list((ROOT / "api").glob(source)), source
    for script in (PACKAGING / "debian").iterdir():
        assert os.access(script, os.X_OK)
        subprocess.run(["sh", "-n", str(script)], check=True)


def test_the_container_copies_what_the_build_needs() -> None:
    lines = (PACKAGING / "Containerfile.dockerignore").read_text().splitlines()
    allowed = {line.removeprefix("!/") for line in lines if line.startswith("!")}
    members = set(tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["members"])
    assert members <= allowed and {"Cargo.toml", "Cargo.lock", "LICENSE"} <= allowed


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_reads_the_unit(tmp_path: Path) -> None:
    text = (PACKAGING / "chancery.service").read_text()
    unit = tmp_path / "chancery.service"
    # Where the program will be there is none yet.
    unit.write_text(text.replace("/usr/bin/chanceryd", binary("CHANCERYD", "chanceryd")))
    read = subprocess.run(["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True)
    assert (read.returncode, read.stderr) == (0, "")


@pytest.mark.parametrize("abstract", [False, True])
def test_the_service_manager_is_told(
    new_daemon: Callable[..., Daemon], tmp_path: Path, service: configparser.SectionProxy, abstract: bool
) -> None:
    assert service["Type"] == "notify"
    name = f"\0chancery-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name)
        manager.settimeout(60)
        daemon = new_daemon(env={"NOTIFY_SOCKET": name.replace("\0", "@")}).start()
        assert manager.recv(4096).startswith(b"READY=1\n")
        daemon.stop()
        assert manager.recv(4096).startswith(b"STOPPING=1\n")
