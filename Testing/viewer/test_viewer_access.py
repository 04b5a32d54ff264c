"""If these fail, another user, page or computer can look into the viewer or reach the files of this computer."""

from __future__ import annotations

import base64
import http.client
import http.server
import secrets
import socket
import threading

import pytest

pytestmark = pytest.mark.xdist_group("viewer")
WEBSOCKET = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": base64.b64encode(b"0123456789abcdef").decode(),
}
PATHS = ("/", "/index.html", "/ws", "/vue.global.js", "/ctqa/page.js", "/download/slices.csv", "/nothing")


def ask(viewer, path, method="GET", body=None, **headers):
    """Status, headers and body; the path is sent as it is, without tidying."""
    connection = http.client.HTTPConnection("127.0.0.1", viewer.port, timeout=20)
    try:
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), b"" if answer.status == 101 else answer.read()
    finally:
        connection.close()


@pytest.fixture(scope="module")
def cookie(viewer):
    status, headers, body = ask(viewer, viewer.address.removeprefix(viewer.origin))
    assert status == 200 and b"url=/index.html" in body and b"token" not in body
    set_cookie = headers["Set-Cookie"]
    assert "HttpOnly" in set_cookie and "SameSite=Strict" in set_cookie
    return set_cookie.split(";")[0]


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_served_without_the_token(viewer, path):
    wrong = secrets.token_urlsafe(32)
    upgrade = WEBSOCKET if path == "/ws" else {}
    for tried, cookies in (
        (path, {}),
        (f"{path}?token={wrong}", {}),
        (f"{path}?token=", {}),
        (path, {"Cookie": f"ctqa-{viewer.port}={wrong}"}),
        (path, {"Cookie": f"ctqa-{viewer.port}="}),
        (path, {"Cookie": f"ctqa-{viewer.port}={viewer.address.split('=')[1]}"}),
    ):
        assert ask(viewer, tried, **upgrade, **cookies)[0] == 403
    assert ask(viewer, "/upload", "POST", b"x")[0] == 403


def test_the_cookie_opens_the_page_and_the_websocket(viewer, cookie):
    """Guards the refusals above and below: with the cookie the same requests pass."""
    status, headers, body = ask(viewer, "/index.html", Cookie=cookie)
    assert status == 200 and b"CT quality" in body
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "http" not in policy
    assert ask(viewer, "/ws", **WEBSOCKET, Cookie=cookie, Origin=viewer.origin)[0] == 101


def test_other_origins_and_other_names_of_this_computer_are_refused(viewer, cookie):
    """A page elsewhere must not use the browser's cookie, nor a name that it lets point to this computer."""
    port = viewer.port
    for origin in ("http://evil.example", f"http://127.0.0.1:{port + 1}", f"http://localhost:{port}", "null"):
        assert ask(viewer, "/ws", **WEBSOCKET, Cookie=cookie, Origin=origin)[0] == 403
        assert ask(viewer, "/upload", "POST", b"x", Cookie=cookie, Origin=origin)[0] == 403
    for host in ("evil.example", f"evil.example:{port}", f"127.0.0.1.evil.example:{port}", ""):
        assert ask(viewer, "/index.html", Cookie=cookie, Host=host)[0] in (400, 403)


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd",
        "/ctqa/../../../../../../../../etc/passwd",
        "/ctqa/%2e%2e/%2e%2e/__init__.py",
        "/ctqa/..%2f..%2f__init__.py",
        "/ctqa//etc/passwd",
        "/download/..%2f..%2fhu.npy",
        "/download/hu.npy",
        "/ctqa/",
        "/ctqa",
    ],
)
def test_no_path_leads_out_and_no_folder_is_listed(viewer, cookie, path):
    status, _, body = ask(viewer, path, Cookie=cookie)
    assert status in (403, 404) and b"root:" not in body and b"page.js" not in body


def test_only_this_computer_can_connect(viewer):
    """Bound to 127.0.0.1 and to no other address, not even another one of the loopback."""
    with pytest.raises(OSError), socket.create_connection(("127.0.0.2", viewer.port), timeout=2):
        pass


def test_an_upload_without_files_is_refused(viewer, cookie):
    status, _, body = ask(viewer, "/upload", "POST", b"x", Cookie=cookie, Origin=viewer.origin)
    assert status == 422 and b"No file arrived" in body


def test_the_address_opens_from_a_page_of_another_site(browser, viewer):
    """A click in a web mail: the browser holds the cookie back from all that such a click leads to by redirects."""
    link = f"<!doctype html><title>mail</title><a href='{viewer.address}'>the viewer</a>".encode()

    class Mail(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(link)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mail) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser.clear_cookies()
        page = browser.new_page()
        try:
            page.goto(f"http://localhost:{server.server_port}/")
            page.click("a")
            page.wait_for_selector("[data-test=open]", timeout=30_000)
            assert page.url == f"{viewer.origin}/index.html"
        finally:
            page.close()
            server.shutdown()
