"""A timestamping authority on the loopback address: RFC 3161 over HTTP, in front of `openssl ts -reply`."""

from __future__ import annotations

import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

CONFIG = """
[ tsa ]
default_tsa = tsa_config
[ tsa_config ]
serial = {home}/serial
crypto_device = builtin
default_policy = 1.2.3.4.1
digests = sha256
signer_digest = sha256
accuracy = secs:1
ordering = no
tsa_name = yes
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""
EXTENSIONS = "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=critical,timeStamping\n"


def openssl(*arguments: str, home: Path) -> None:
    subprocess.run(["openssl", *arguments], cwd=home, check=True, capture_output=True)


class Authority:
    """An authority with a CA of its own, whose certificate is `ca`. `mood` says how it answers."""

    def __init__(self, home: Path):
        home.mkdir()
        self.home, self.ca = home, home / "ca.pem"
        self.mood = "well"
        self.asked = 0
        for key in ("ca.key", "tsa.key"):
            openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key, home=home)
        openssl(
            "req", "-x509", "-new", "-key", "ca.key", "-sha256", "-days", "30", "-subj", "/CN=CA of tests",
            "-addext", "basicConstraints=critical,CA:TRUE", "-out", "ca.pem", home=home,
        )  # fmt: skip
        openssl("req", "-new", "-key", "tsa.key", "-subj", "/CN=Authority of tests", "-out", "tsa.csr", home=home)
        (home / "tsa.ext").write_text(EXTENSIONS)
        openssl(
            "x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30",
            "-sha256", "-extfile", "tsa.ext", "-out", "tsa.pem", home=home,
        )  # fmt: skip
        (home / "serial").write_text("01\n")
        (home / "tsa.cnf").write_text(CONFIG.format(home=home))
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self.handler())
        self.url = f"http://127.0.0.1:{self.server.server_port}/tsr"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def reply(self, query: bytes) -> bytes:
        (self.home / "query.tsq").write_bytes(query)
        openssl(
            "ts", "-reply", "-config", "tsa.cnf", "-queryfile", "query.tsq", "-signer", "tsa.pem", "-inkey", "tsa.key",
            "-out", "reply.tsr", home=self.home,
        )  # fmt: skip
        return (self.home / "reply.tsr").read_bytes()

    def verify(self, token: bytes, text: bytes) -> None:
        """Has openssl itself say that the token is over a text."""
        (self.home / "token.der").write_bytes(token)
        (self.home / "text").write_bytes(text)
        openssl("ts", "-verify", "-in", "token.der", "-token_in", "-data", "text", "-CAfile", "ca.pem", home=self.home)

    def handler(self) -> type[BaseHTTPRequestHandler]:
        authority = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                query = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["Content-Type"] == "application/timestamp-query"
                authority.asked += 1
                answer = authority.reply(query)
                if authority.mood == "another's answer":
                    answer = authority.old
                authority.old = answer
                self.send_response(503 if authority.mood == "busy" else 200)
                self.send_header("Content-Type", "application/timestamp-reply")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *arguments: object) -> None:
                pass

        return Handler

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
