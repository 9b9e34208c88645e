"""What the tests share: a daemon for those that only add to it, and a factory for those that stop, kill or break theirs."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from daemon import Daemon


@pytest.fixture(scope="session")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    """One daemon for the whole run. Tests keep to names and ids of their own."""
    running = Daemon(tmp_path_factory.mktemp("daemon")).start()
    yield running
    running.stop()


@pytest.fixture
def new_daemon(tmp_path: Path) -> Iterator[Callable[..., Daemon]]:
    """Makes daemons of the test's own, and ends those it left running."""
    made: list[Daemon] = []

    def make(*options: str, **how: object) -> Daemon:
        home = tmp_path / f"daemon-{len(made)}"
        home.mkdir()
        made.append(Daemon(home, *options, **how))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        each.kill()


@pytest.fixture(scope="session")
def kernel(daemon: Daemon) -> Iterator[httpx.Client]:
    """A client of the OrgKernel dialect."""
    with daemon.orgkernel() as client:
        yield client


@pytest.fixture(scope="session")
def admin(daemon: Daemon) -> Iterator[httpx.Client]:
    """A native client with the first administrator's key."""
    with daemon.admin() as client:
        yield client


@pytest.fixture(scope="session")
def unique() -> Callable[[str], str]:
    """A name no other test has: the stem and a running number."""
    numbers = itertools.count(1)
    return lambda stem: f"{stem}{next(numbers)}"


@pytest.fixture
def anyio_backend() -> str:
    """Async tests run on asyncio alone."""
    return "asyncio"
