"""Requests to a running viewer, byte for byte, as nobody's browser would send them."""

from __future__ import annotations

import base64
import http.client
import secrets
import socket
from collections.abc import Iterable
from pathlib import Path

from Testing.viewer.running import PATIENCE_S, Running

WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": base64.b64encode(b"0123456789abcdef").decode(),
}


class Asker:
    """Whoever reaches the port; with ``cookie``, whoever was given the address."""

    def __init__(self, running: Running) -> None:
        self.running = running
        status, headers, _ = self.ask(running.address.removeprefix(running.origin))
        assert status == 200
        self.cookie = headers["Set-Cookie"].split(";")[0]

    @property
    def uploads(self) -> list[Path]:
        """Folders of uploads that are still there."""
        private = next(self.running.temporary.glob("ctqa-viewer-*"))
        return list(private.glob("upload-*"))

    def ask(self, path, method="GET", body=None, **headers) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body; the path is sent as it is, without tidying."""
        connection = http.client.HTTPConnection("127.0.0.1", self.running.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), b"" if answer.status == 101 else answer.read()
        finally:
            connection.close()

    def allowed(self, path, method="GET", body=None, **headers) -> tuple[int, dict[str, str], bytes]:
        """The same with the cookie, as the viewer's own page asks."""
        return self.ask(path, method, body, **{"Cookie": self.cookie, "Origin": self.running.origin} | headers)

    def well(self) -> bool:
        """Whether the page is still served, and no refused upload was left behind."""
        return self.allowed("/index.html")[0] == 200 and not self.uploads

    def connect(self, data: bytes) -> socket.socket:
        """A connection that has sent ``data`` and waits."""
        made = socket.create_connection(("127.0.0.1", self.running.port), timeout=PATIENCE_S)
        made.sendall(data)
        return made

    def head(self, method: str, path: str, **headers: str) -> bytes:
        """The beginning of an allowed request, up to its body."""
        given = {"Host": f"127.0.0.1:{self.running.port}", "Cookie": self.cookie, "Origin": self.running.origin}
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in (given | headers).items()]
        return "\r\n".join([f"{method} {path} HTTP/1.1", *lines, "", ""]).encode()

    def upload(self, files: Iterable[tuple[str, bytes]]) -> tuple[int, bytes]:
        """Status and answer of an upload of these names and contents."""
        body, kind = form(files)
        status, _, answer = self.allowed("/upload", "POST", body, **{"Content-Type": kind})
        return status, answer


def form(files: Iterable[tuple[str, bytes]]) -> tuple[bytes, str]:
    """Files as a browser sends them: the body and its type. Names are sent as they are."""
    boundary = secrets.token_hex(8)
    parts = []
    for name, content in files:
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        parts += [head.encode("utf-8", "surrogateescape"), content, b"\r\n"]
    return b"".join([*parts, f"--{boundary}--\r\n".encode()]), f"multipart/form-data; boundary={boundary}"
