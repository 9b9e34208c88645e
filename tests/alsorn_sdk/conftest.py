"""Clients of the published SDK, and agents to do things with."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import httpx
import pytest
from alsorn import AlsornClient
from alsorn.models import Agent

from daemon import Daemon


def sdk(daemon: Daemon, key: str) -> AlsornClient:
    """The SDK, unmodified, with its base URL set to the mount."""
    return AlsornClient(api_key=key, base_url=f"{daemon.url}/alsorn")


@pytest.fixture(scope="session")
def client(daemon: Daemon) -> AlsornClient:
    """With a key for everything."""
    return sdk(daemon, daemon.credentials["alsorn"]["api_key"])


@pytest.fixture(scope="session")
def reader(daemon: Daemon) -> AlsornClient:
    """With a key to look at things."""
    return sdk(daemon, daemon.credentials["alsorn"]["read_key"])


@pytest.fixture(scope="session")
def stranger(daemon: Daemon) -> AlsornClient:
    """Of another tenant."""
    return sdk(daemon, daemon.credentials["alsorn"]["other_tenant_key"])


@pytest.fixture(scope="session")
def raw(daemon: Daemon) -> Iterator[httpx.Client]:
    """Plain HTTP, for what the SDK does not send."""
    key = daemon.credentials["alsorn"]["api_key"]
    with httpx.Client(base_url=f"{daemon.url}/alsorn", headers={"Authorization": f"Bearer {key}"}) as client:
        yield client


@pytest.fixture(scope="session")
def new_agent(client: AlsornClient) -> Callable[..., Agent]:
    """Registers an agent that may pay up to 100 USD at a time, with whatever else is asked."""
    numbers = itertools.count(1)

    def make(**how: object) -> Agent:
        fields = {"authorized_actions": ["read_data", "execute_trades"], "spending_limit": 100.0, **how}
        return client.agents.register(name=str(fields.pop("name", f"agent {next(numbers)}")), **fields)

    return make
