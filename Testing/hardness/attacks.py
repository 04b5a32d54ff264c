"""What a stranger, another page, a broken network or a hostile file may do to the viewer.

Each attack takes an :class:`~Testing.hardness.requests_to.Asker` and a folder for its files, fails where the viewer
gives way, and returns how often it tried and what happened, in words for the table of README.md.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from Testing.hardness import inputs
from Testing.hardness.requests_to import WEBSOCKET, Asker, form
from Testing.viewer.running import SAMPLE

Attack = Callable[[Asker, Path], tuple[int, str]]

ROUTES = (
    *("/", "/index.html", "/ws", "/upload", "/upload?compare=1", "/vue.global.js", "/assets/", "/paraview/"),
    *("/ctqa/page.js", "/ctqa/page.css", "/ctqa/", "/nothing", "/download/nothing", "/favicon.ico"),
    *(f"/download/{name}" for name in ("assessment.json", "slices.csv", "index.html", "scene.mrb", "measures.json")),
)
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE")


def no_key(asker: Asker, _folder: Path) -> tuple[int, str]:
    """Every route and method with no, an empty and a wrong key or cookie; the websocket too."""
    tried, port = 0, asker.running.port
    key = asker.running.address.split("=")[1]
    wrong = ({}, {"Cookie": f"ctqa-{port}="}, {"Cookie": f"ctqa-{port}={secrets.token_urlsafe(32)}"})
    for path in ROUTES:
        for method in METHODS:
            for headers in (*wrong, {"Cookie": f"ctqa-{port}={key}"}, {"Authorization": f"Bearer {key}"}):
                upgrade = WEBSOCKET if path == "/ws" else {}
                status, given, body = asker.ask(path, method, **headers, **upgrade)
                assert status == 403 and "Set-Cookie" not in given and key.encode() not in body, (path, method)
                tried += 1
    for guess in (key[:-1], key + "A", key.swapcase(), key[::-1], "", "%00", "%C3%A9", *map(str, range(100))):
        assert asker.ask(f"/?token={guess}")[0] == 403
        tried += 1
    return tried, "all refused (403)"


def other_hosts_and_pages(asker: Asker, _folder: Path) -> tuple[int, str]:
    """The cookie, but another name of this computer (DNS rebinding), or a page of somewhere else."""
    port, tried = asker.running.port, 0
    names = (
        f"evil.example:{port}",
        "evil.example",
        f"127.0.0.1.evil.example:{port}",
        f"127.0.0.1:{port + 1}",
        "127.0.0.1",
    )
    for host in (*names, f"[::1]:{port}", f"0.0.0.0:{port}", f"LOCALHOST:{port}", f"127.0.0.1:{port}@evil.example", ""):
        for path in ROUTES:
            upgrade = WEBSOCKET if path == "/ws" else {}
            status = asker.ask(path, Cookie=asker.cookie, Host=host, **upgrade)[0]
            assert status in (400, 403), (host, path)
            tried += 1
    own = asker.running.origin
    origins = (
        "http://evil.example",
        f"http://127.0.0.1:{port + 1}",
        f"http://localhost:{port}",
        "null",
        own + ".evil.example",
    )
    for origin in (*origins, own.replace("http", "https"), f"{own}/", "file://", ""):
        for path, method in (
            ("/ws", "GET"),
            ("/upload", "POST"),
            ("/download/slices.csv", "GET"),
            ("/index.html", "GET"),
        ):
            upgrade = WEBSOCKET if path == "/ws" else {}
            assert asker.ask(path, method, Cookie=asker.cookie, Origin=origin, **upgrade)[0] == 403, (origin, path)
            tried += 1
    for site in ("cross-site", "same-site"):
        for mode in ("no-cors", "cors", "websocket", "navigate"):
            headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}
            assert asker.ask("/download/slices.csv", Cookie=asker.cookie, **headers)[0] == 403
            tried += 1
    with asker.connect(b"GET /index.html HTTP/1.0\r\nCookie: " + asker.cookie.encode() + b"\r\n\r\n") as made:
        assert b" 403 " in made.recv(100) or b" 400 " in made.recv(100)
    return tried + 1, "all refused (403, or 400 by the server itself)"


def paths_out_of_the_folder(asker: Asker, _folder: Path) -> tuple[int, str]:
    """Encoded and plain ways up, absolute names, null bytes and folders, below every folder that is served."""
    ups = (
        "../",
        "..%2f",
        "%2e%2e/",
        "%2e%2e%2f",
        "..%5c",
        "..\\",
        "%252e%252e%252f",
        "....//",
        "..;/",
        "%c0%ae%c0%ae/",
    )
    ends = ("etc/passwd", "page.py", "__init__.py", "access.py")
    mounts = ("/", "/ctqa/", "/assets/", "/download/", "/upload/", "/ws/")
    paths = [f"{mount}{up * depth}{end}" for mount in mounts for up in ups for depth in (1, 3, 12) for end in ends]
    paths += [
        f"{mount}{end}"
        for mount in mounts
        for end in ("/etc/passwd", "%2fetc%2fpasswd", "C:%5cboot.ini", "%00", "a%00.js")
    ]
    paths += [mount for mount in mounts[1:]] + [
        "/ctqa",
        "/assets",
        "/download",
        "/" + "a" * 8000,
        "/ctqa/" + "%2e" * 2000,
    ]
    for path in paths:
        status, _, body = asker.allowed(path)
        assert status in (400, 403, 404, 405, 414), (status, path)
        assert b"root:" not in body and b"import annotations" not in body and b"page.js" not in body, path
    return len(paths), "nothing but refusals; no folder is listed"


def hostile_files(asker: Asker, folder: Path) -> tuple[int, str]:
    """Zips with path tricks, links and zips in them; rubbish, pickles, empty files, headers that claim terabytes."""
    made = (
        *(inputs.zip_with_path_tricks, inputs.zip_with_link, inputs.zip_of_zips, inputs.pickled, inputs.huge_nifti),
        *(inputs.huge_nrrd, inputs.nrrd_of_a_secret, inputs.nan_affine, inputs.report_only, inputs.scouts_only),
    )
    tried = 0
    for make in made:
        (folder / make.__name__).mkdir()
        path = make(folder / make.__name__)
        files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
        tried += _refused(asker, [(one.name, one.read_bytes()) for one in files])
    for name, content in (
        *(
            ("empty.dcm", b""),
            ("a.zip", b""),
            ("a.zip", b"PK\x03\x04 nothing"),
            ("a.nii.gz", b"\x1f\x8b\x08"),
            ("a", b"x"),
        ),
        *(
            ("scene.mrb", b"PK\x05\x06" + bytes(18)),
            ("a.html", b"<script>alert(1)</script>"),
            ("a.dcm", secrets.token_bytes(5000)),
        ),
    ):
        tried += _refused(asker, [(name, content)])
    return tried, "each refused with a sentence (422); its copy is gone"


def _refused(asker: Asker, files: list[tuple[str, bytes]]) -> int:
    status, answer = asker.upload(files)
    assert status == 422 and b'"problem"' in answer and b"/" not in answer.split(b'"advice"')[0], (files[0][0], answer)
    assert asker.well(), files[0][0]
    return 1


def names_with_tricks(asker: Asker, _folder: Path) -> tuple[int, str]:
    """A sound image under names that lead elsewhere, are very long, or in other scripts."""
    content = sorted(SAMPLE.iterdir())[3].read_bytes()
    names = (
        *(
            "../../../../tmp/ctqa-evil.dcm",
            "/tmp/ctqa-evil.dcm",
            "C:\\ctqa-evil.dcm",
            "..\\..\\ctqa-evil.dcm",
            "a" * 4000 + ".dcm",
        ),
        *(
            "CON.dcm",
            "a\\x00b.dcm",
            "患者 Ünïcödé \u202egnp.dcm",
            ".dcm",
            "..",
            "-rf.dcm",
            "a;$(touch ctqa-evil).dcm",
            "%2e%2e%2fctqa-evil",
        ),
    )
    for name in names:
        status, answer = asker.upload([(name, content)])
        assert status == 200 and answer == b"{}", (name, answer)
        assert asker.well()
    outside = [*Path("/tmp").glob("*ctqa-evil*"), *asker.running.temporary.rglob("*evil*")]
    assert outside == []
    return len(names), "read all the same; nothing is written under a name that was sent"


def too_much(asker: Asker, _folder: Path) -> tuple[int, str]:
    """More than the limit: as the header says, as it arrives in pieces without a length, and as no file at all."""
    kind = form([])[1]
    status, _, answer = asker.allowed("/upload", "POST", b"", **{"Content-Type": kind, "Content-Length": str(2**40)})
    assert status == 413 and b"limit" in answer
    for disposition in ('form-data; name="file"; filename="a.dcm"', 'form-data; name="text"'):
        head = f"--{kind.split('=')[1]}\r\nContent-Disposition: {disposition}\r\n\r\n".encode()
        status, answer = _in_pieces(asker, kind, head)
        assert status == 413 and b"limit" in answer, (disposition, status, answer)
        assert asker.well()
    return 3, "refused with a sentence (413) as soon as it is too much; its copy is gone"


def _in_pieces(asker: Asker, kind: str, head: bytes) -> tuple[int, bytes]:
    """Sends without a length until the server answers; at most a gigabyte."""
    begin = asker.head("POST", "/upload", Content_Type=kind, Transfer_Encoding="chunked")
    piece = b"100000\r\n" + bytes(2**20) + b"\r\n"
    with asker.connect(begin + f"{len(head):x}\r\n".encode() + head + b"\r\n") as made:
        made.settimeout(0)
        for _ in range(1024):
            try:
                return _status(made.recv(65536))
            except BlockingIOError:
                pass
            try:
                made.settimeout(60)
                made.sendall(piece)
            except ConnectionError:
                made.settimeout(10)
                return _status(made.recv(65536))
            finally:
                made.settimeout(0)
    raise AssertionError("a gigabyte was taken")


def _status(answer: bytes) -> tuple[int, bytes]:
    return int(answer.split()[1]), answer


def broken_forms(asker: Asker, _folder: Path) -> tuple[int, str]:
    """No boundary, another, none at the end, a form in a form, thousands of headers; and uploads that break off."""
    body, kind = form([("a.dcm", b"x" * 1000)])
    boundary = kind.split("=")[1]
    inner, inner_kind = form([("b.dcm", b"y")])
    nested = f"--{boundary}\r\nContent-Type: {inner_kind}\r\n\r\n".encode() + inner + f"--{boundary}--\r\n".encode()
    headers = f"--{boundary}\r\n".encode() + b"A: b\r\n" * 5000 + b"\r\nx\r\n"
    tried = 0
    for sent, told in (
        *((body, "multipart/form-data"), (body, kind + "x"), (body, "multipart/form-data; boundary=" + "x" * 100)),
        *((body[:-10], kind), (body[:60], kind), (b"", kind), (nested, kind), (headers, kind), (b"\r\n" * 5000, kind)),
        *(
            (body, "application/x-www-form-urlencoded"),
            (body.replace(b"\r\n\r\n", b"\r\nContent-Length: 9\r\n\r\n"), kind),
        ),
        (body.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: x\r\n\r\n"), kind),
    ):
        status, _, answer = asker.allowed("/upload", "POST", sent, **{"Content-Type": told})
        assert status in (400, 422) and b"Traceback" not in answer, (told, sent[:40], status, answer)
        assert asker.well(), told
        tried += 1
    for share in (0, 1, 60, 500):
        begin = asker.head("POST", "/upload", Content_Type=kind, Content_Length=str(len(body)))
        asker.connect(begin + body[:share]).close()
        tried += 1
    _wait_for_no_upload(asker)
    assert asker.well()
    return tried, "refused with a sentence (422, or 400 by the server itself); nothing is left"


def _wait_for_no_upload(asker: Asker) -> None:
    for _ in range(600):
        if asker.upload([("a.dcm", b"")])[0] == 422 and not asker.uploads:
            return
    raise AssertionError("an upload that broke off is still there")


def slow_clients(asker: Asker, _folder: Path) -> tuple[int, str]:
    """Fifty half requests, twenty clients that never read an answer, and an upload that stands still."""
    body, kind = form([("a.dcm", bytes(10000))])
    begin = asker.head("POST", "/upload", Content_Type=kind, Content_Length=str(len(body)))
    half = [asker.connect(asker.head("GET", "/index.html")[:-2]) for _ in range(50)]
    deaf = [asker.connect(asker.head("GET", "/vue.global.js") * 20) for _ in range(20)]
    still = asker.connect(begin + body[:5000])
    try:
        for _ in range(20):
            assert asker.allowed("/index.html")[0] == 200 and asker.allowed("/ctqa/page.js")[0] == 200
        status, answer = asker.upload([("b.dcm", b"")])  # one at a time: each may fill the disk up to the limit
        assert status == 422 and b"busy" in answer
    finally:
        for one in (*half, *deaf, still):
            one.close()
    _wait_for_no_upload(asker)
    return 71, "others are served meanwhile; a second upload is told that the viewer is busy"


def many_requests(asker: Asker, _folder: Path) -> tuple[int, str]:
    """Five hundred requests at once from twenty connections, pages, scripts, refusals and uploads among them."""

    def one(number: int) -> int:
        if number % 50 == 0:
            return asker.upload([("a.dcm", b"x")])[0]
        if number % 10 == 0:
            return asker.ask("/index.html")[0]
        return asker.allowed(("/index.html", "/ctqa/page.js", "/vue.global.js")[number % 3])[0]

    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(one, range(500)))
    for number, status in enumerate(found):
        assert status == (422 if number % 50 == 0 else 403 if number % 10 == 0 else 200), (number, status)
    _wait_for_no_upload(asker)
    return 500, "every one answered as it would be alone"


def no_http(asker: Asker, _folder: Path) -> tuple[int, str]:
    """Bytes that are no request, headers without end, requests hidden in others."""
    host = f"Host: 127.0.0.1:{asker.running.port}\r\n".encode()
    for data in (
        *(
            secrets.token_bytes(4096),
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
            b"GET / HTTP/9.9\r\n\r\n",
            b"\r\n" * 1000,
        ),
        *(b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 50_000 + b"\r\n"),
        *(
            b"GET / HTTP/1.1\r\n" + host + host + b"\r\n",
            b"POST /upload HTTP/1.1\r\n" + host + b"Content-Length: -1\r\n\r\n",
        ),
        b"POST / HTTP/1.1\r\n"
        + host
        + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /index.html HTTP/1.1\r\n",
    ):
        try:
            with asker.connect(data) as made:
                made.shutdown(socket.SHUT_WR)
                answer = made.recv(65536)
        except ConnectionError:
            answer = b""
        assert not answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 3")) and b"Traceback" not in answer, data[:60]
    assert asker.well()
    return 9, "refused or closed"


#: Those that fit into the tests.
QUICK: tuple[Attack, ...] = (
    no_key,
    other_hosts_and_pages,
    paths_out_of_the_folder,
    hostile_files,
    names_with_tricks,
    too_much,
    broken_forms,
    slow_clients,
    many_requests,
    no_http,
)


def bombs(asker: Asker, folder: Path) -> tuple[int, str]:
    """A zip of half a megabyte that holds half a gigabyte, and a folder of more files than the viewer takes."""
    path = inputs.zip_bomb(folder)
    assert _refused(asker, [("a.zip", path.read_bytes())])
    status, answer = asker.upload((f"{n}.dcm", b"x") for n in range(20_001))
    assert status == 413 and b"20000 files" in answer and asker.well()
    status, answer = asker.upload([*((f"{n}.txt", b"x") for n in range(19_970)), *_sample()])
    assert status == 200, answer
    return 3, "the bomb and 20 001 files refused; a series among 20 000 files is read"


def _sample() -> list[tuple[str, bytes]]:
    return [(one.name, one.read_bytes()) for one in sorted(SAMPLE.iterdir())]


#: For ``python -m Testing.hardness.viewer`` only.
SLOW: tuple[Attack, ...] = (bombs,)
