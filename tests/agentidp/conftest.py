"""One daemon for all of the dialect's tests, with its limits out of their way; those about limits start their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agentidp.idp import Agent, Caller, Idp
from daemon import Daemon


@pytest.fixture(scope="session")
def idp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Idp]:
    """The dialect. Tests keep to agents of their own."""
    daemon = Daemon(tmp_path_factory.mktemp("agentidp"), "--record-origin", "--allow-private-targets").start()
    serving = Idp(daemon)
    yield serving
    serving.close()
    daemon.stop()


@pytest.fixture
def admin(idp: Idp) -> Caller:
    """The first administrator, with every scope."""
    return idp.admin


@pytest.fixture
def agent(idp: Idp) -> Agent:
    """An agent of the test's own, with a secret."""
    return idp.agent()
