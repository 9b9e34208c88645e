"""What the daemon serves is what its own description says: schemathesis asks, against a daemon that nobody else uses."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from jsonschema import Draft202012Validator
from schemathesis.specs.openapi.checks import positive_data_acceptance

from daemon import Daemon

# Per operation. Enough to try each parameter's bounds; the whole takes about a minute with a debug build.
EXAMPLES = 15


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    running = Daemon(tmp_path_factory.mktemp("openapi")).start()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def described(served: Daemon) -> schemathesis.BaseSchema:
    key = served.credentials["admin_key"]
    return schemathesis.openapi.from_url(served.url + "/openapi.json", headers={"Authorization": f"Bearer {key}"})


schema = schemathesis.pytest.from_fixture("described")


MEANS_SOMETHING = {"/v1/commands", "/v1/diff", "/v1/trust/agents/query", "/v1/ledger/bundle", "/witness/add-checkpoint"}


# A live stream never ends, so it is asked in the native tests.
@schema.exclude(path="/v1/events/stream").parametrize()
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_the_served_api_is_the_described_one(case: schemathesis.Case, served: Daemon) -> None:
    # What has the right shape can still be refused for what it means: a command whose agent is not there, a moment that
    # has not come, a cursor that no page gave, rules that make no sense, two parameters that exclude each other, a proof that
    # is none.
    path = case.operation.path
    means_something = path in MEANS_SOMETHING or path.endswith("/dry-run")
    can_be_refused = means_something or {"as_of", "cursor", "published"} & set(case.query or {})
    excluded = [positive_data_acceptance] if can_be_refused else []
    headers = {"Authorization": f"Bearer {served.credentials['admin_key']}"}
    case.call_and_validate(headers=headers, timeout=60, excluded_checks=excluded)


def test_the_description_is_openapi_3_1(served: Daemon) -> None:
    with served.client(served.credentials["admin_key"]) as client:
        reply = client.get("/openapi.json")
    assert reply.status_code == 200
    document = reply.json()
    assert document["openapi"].startswith("3.1.")
    assert document["info"]["version"]
    names = [operation["operationId"] for path in document["paths"].values() for operation in path.values() if "operationId" in operation]
    assert len(names) == len(set(names)) > 20


def test_every_command_has_a_schema(served: Daemon) -> None:
    with served.client(served.credentials["admin_key"]) as client:
        document = client.get("/openapi.json").json()
    text = str(document)
    for command in ("RegisterAgent", "SuspendAgent", "IssueToken", "AppendAuditEntry", "RotateSigningKey", "CreateApiKey"):
        assert command in text
    for shape in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(shape)


def test_the_daemon_is_still_well(served: Daemon) -> None:
    """After all that was thrown at it."""
    with httpx.Client(base_url=served.url) as client:
        assert client.get("/readyz").status_code == 200
