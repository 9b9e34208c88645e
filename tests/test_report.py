"""The page that `chancery report` makes of a bundle: whole in itself, harmless whatever events say, and true."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import chancery_verify as cv
from daemon import Daemon, chancery
from native import get, register, submit

VOID = {"meta", "link", "br", "img", "input", "hr", "col"}
# What a script-minded agent is called; 1 to 256 characters may be anything.
NAME = "<script>alert('x')</script><img src=x onerror=alert(1)>"


class Page(HTMLParser):
    """A page's elements and text; every element must be closed where it was opened."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, dict]] = []
        self.elements: list[tuple[str, dict]] = []
        self.texts: dict[str, str] = {}
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop()[0] == tag, tag

    def handle_data(self, data: str) -> None:
        self.text += data
        for _, attributes in self.open:
            if name := attributes.get("id"):
                self.texts[name] = self.texts.get(name, "") + data

    def count(self, tag: str, **attributes: str) -> int:
        wanted = {name.rstrip("_"): value for name, value in attributes.items()}.items()
        return sum(found == tag and wanted <= given.items() for found, given in self.elements)


def said(code: int, *arguments: str) -> str:
    run = chancery(*arguments)
    assert run.returncode == code, f"{run.stdout}{run.stderr}"
    return run.stdout


def test_a_page_for_people(new_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    daemon = new_daemon().start()
    with daemon.admin() as client:
        agent = register(client, name=NAME)["result"]["agent"]["id"]
        submit(client, "SuspendAgent", {"agent": agent, "reason": "it looked odd"})
        submit(client, "ResumeAgent", {"agent": agent})
        ledger = get(client, "/v1/identity/ledger")
    daemon.stop()
    key = cv.verifier_key(ledger["origin"], bytes.fromhex(ledger["sealing_key"]["public"]))
    data, bundle, out = str(daemon.data_dir), tmp_path / "ada.bundle", tmp_path / "ada.html"
    said(0, "export", "--data-dir", data, "--agent", agent, "--out", str(bundle))
    asked = ("report", str(bundle), "--key", key)
    assert said(0, *asked, "--out", str(out)) == f"{out}: WHOLE\n"
    page = Page(out.read_text(encoding="utf-8"))

    # Nothing runs and nothing is loaded.
    assert page.count("script") == page.count("img") == page.count("link") == page.count("iframe") == 0
    assert not any(name.startswith("on") or name in ("src", "href") for _, given in page.elements for name in given)
    policy = next(given["content"] for tag, given in page.elements if given.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert NAME in page.text, "an agent's name is shown as it is"
    # It says what the verifier says, and whose key that is.
    assert page.texts["verdict"].startswith("Whole") and "the key that the reader gave" in page.texts["verdict"]
    assert hashlib.sha256(bundle.read_bytes()).hexdigest() in page.text and key in page.texts["repeat"]
    assert "That no other event" in page.text.replace("that no other event", "That no other event")
    # The timeline has every chosen event, with what was said; encrypted fields only where the keys are.
    chosen = cv.verify_bundle(bundle.open("rb"))["bundle"]["chosen"]
    assert page.count("article", class_="event") == chosen
    assert "agent suspended by member" in page.texts["timeline"] and "it looked odd" not in page.text
    assert "agent suspended" in page.texts["who"]
    opened = tmp_path / "opened.html"
    said(0, *asked, "--out", str(opened), "--keystore", str(daemon.data_dir / "keystore"))
    assert "it looked odd" in opened.read_text(encoding="utf-8")

    short = tmp_path / "short.html"
    said(0, *asked, "--out", str(short), "--events", "1")
    assert f"and {chosen - 1} later events" in short.read_text(encoding="utf-8")
    assert "exists already" in chancery(*asked, "--out", str(short)).stderr or short.exists()


def test_a_page_of_what_is_not_whole_says_so(new_daemon: Callable[..., Daemon], tmp_path: Path) -> None:
    daemon = new_daemon().start()
    daemon.stop()
    bundle, out = tmp_path / "all.bundle", tmp_path / "all.html"
    said(0, "export", "--data-dir", str(daemon.data_dir), "--all", "--out", str(bundle))
    bundle.write_bytes(bundle.read_bytes()[:-40])
    assert said(1, "report", str(bundle), "--out", str(out)) == f"{out}: NOT WHOLE\n"
    page = Page(out.read_text(encoding="utf-8"))
    assert page.texts["verdict"].startswith("Not whole") and "container" in page.texts["verdict"]
