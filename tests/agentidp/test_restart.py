"""What was answered is kept: through an orderly stop, and through the end of the process in mid-work."""

from __future__ import annotations

import threading
from collections.abc import Callable

import httpx

from agentidp.contract import assert_error, assert_oauth_error
from agentidp.idp import Caller, Idp, gone, ok
from daemon import Daemon

# A restart on another port must not change who issued a token.
PUBLIC_URL = "https://id.outside.example"


def everything(idp: Idp, admin: Caller, agents: list[str]) -> dict[str, object]:
    """All that can be read of these agents, by path."""
    paths = ["/agents?limit=100", "/audit?limit=200"]
    for agent in agents:
        paths += [f"/agents/{agent}", f"/agents/{agent}/credentials", f"/audit?agentId={agent}&limit=200", f"/agents/{agent}/did"]
    read: dict[str, object] = {path: admin.ask("GET", path).json() for path in paths}
    for path in ("jwks.json", "openid-configuration", "did.json"):
        read[path] = idp.nobody.root("GET", f"/.well-known/{path}").json()
    return read


def test_everything_is_as_it_was(new_daemon: Callable[..., Daemon]) -> None:
    daemon = new_daemon("--public-url", PUBLIC_URL).start()
    idp = Idp(daemon)
    agents = [idp.agent() for _ in range(4)]
    callers = [agent.login() for agent in agents]
    ok(idp.admin.patch(f"/agents/{agents[1].id}", {"status": "suspended"}))
    gone(idp.admin.delete(f"/agents/{agents[2].id}"))
    rotated = ok(idp.admin.post(f"/agents/{agents[3].id}/credentials/{agents[3].credential_id}/rotate", {}))["clientSecret"]
    revoked = agents[0].login()
    ok(idp.admin.form("/token/revoke", token=revoked.token))
    before = everything(idp, idp.admin, [agent.id for agent in agents])
    tokens = [caller.token for caller in (*callers, revoked, idp.admin)]
    idp.close()
    daemon.stop()
    daemon.start()

    idp = Idp(daemon, tokens[-1])
    admin = idp.admin
    assert everything(idp, admin, [agent.id for agent in agents]) == before
    active = [ok(admin.form("/token/introspect", token=token))["active"] for token in tokens]
    assert active == [True, False, False, True, False, True]
    ok(Caller(idp.http, tokens[0]).get("/agents", limit=1))
    assert_error(Caller(idp.http, tokens[4]).get("/agents"), 401, "UNAUTHORIZED")
    idp.login(agents[0].id, agents[0].secret)
    idp.login(agents[3].id, rotated)
    assert_oauth_error(idp.request_token(client_id=agents[3].id, client_secret=agents[3].secret), 401, "invalid_client")
    for agent in agents[1:3]:
        assert_oauth_error(idp.request_token(client_id=agent.id, client_secret=agent.secret), 403, "unauthorized_client")
    assert ok(admin.get("/audit/verify"))["verified"] is True
    idp.close()
    daemon.stop()


def test_a_killed_daemon_forgets_no_revocation(new_daemon: Callable[..., Daemon]) -> None:
    """Tokens, credentials and agents end while the process is killed: whatever was answered stays ended."""
    daemon = new_daemon("--public-url", PUBLIC_URL).start()
    idp = Idp(daemon)
    rounds = 3
    lasting = idp.agent()
    for _ in range(rounds):
        agents = [idp.agent() for _ in range(8)]
        tokens = [agent.login().token for agent in agents]
        kept = idp.login(lasting.id, lasting.secret).token
        admin, url = idp.admin.token, daemon.url + "/agentidp/api/v1"
        ended: list[str] = []
        rotated: dict[int, str] = {}
        few = threading.Event()

        def end(number: int) -> None:
            """Ends one thing of an agent, and notes it once it was answered."""
            headers = {"Authorization": f"Bearer {admin}"}
            agent, token = agents[number], tokens[number]
            try:
                if number % 3 == 0:
                    httpx.post(f"{url}/token/revoke", data={"token": token}, headers=headers).raise_for_status()
                elif number % 3 == 1:
                    httpx.delete(f"{url}/agents/{agent.id}", headers=headers).raise_for_status()
                else:
                    path = f"{url}/agents/{agent.id}/credentials/{agent.credential_id}/rotate"
                    rotated[number] = httpx.post(path, headers=headers).raise_for_status().json()["clientSecret"]
                    return
                ended.append(token)
            except httpx.HTTPError:
                return
            finally:
                if len(ended) + len(rotated) >= 4:
                    few.set()

        threads = [threading.Thread(target=end, args=(number,)) for number in range(len(agents))]
        for thread in threads:
            thread.start()
        few.wait(30)
        daemon.kill()
        for thread in threads:
            thread.join()
        idp.close()
        daemon.start()
        idp = Idp(daemon)
        assert len(ended) + len(rotated) >= 4
        for token in ended:
            assert ok(idp.admin.form("/token/introspect", token=token)) == {"active": False}
            assert Caller(idp.http, token).get("/agents").status_code == 401
        for number, secret in rotated.items():
            idp.login(agents[number].id, secret)
            assert idp.request_token(client_id=agents[number].id, client_secret=agents[number].secret).status_code == 401
        assert ok(idp.admin.form("/token/introspect", token=kept))["active"] is True
        assert ok(idp.admin.get("/audit/verify"))["verified"] is True
    idp.close()
    daemon.stop()
