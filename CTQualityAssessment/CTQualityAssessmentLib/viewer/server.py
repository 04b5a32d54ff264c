"""The program: a server on this computer alone, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib.util
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
import warnings
import webbrowser
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.viewer.access import HOST, Access
from CTQualityAssessmentLib.viewer.errors import PortError, RunError, StartError
from CTQualityAssessmentLib.viewer.read_ahead import ReadAhead, is_scene

if TYPE_CHECKING:
    from aiohttp import web
    from trame_server import Server

    from CTQualityAssessmentLib.viewer.viewer import Viewer

UPLOAD_LIMIT_MIB = 4096
_EXIT_AT_ONCE = 130


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)  # noqa: T201


@dataclass(frozen=True)
class Start:
    """How the viewer is started.

    Attributes:
        path: CT, scene or folder of results to open; None for an empty page. What cannot be read is told on the page.
        series: which DICOM series of ``path``.
        second: what to compare it with; None for nothing.
        model: name or folder of the model to begin with.
        device: for the worker.
        port: 0 for any that is free.
        open_browser: whether to open the page.
        upload_limit_mib: of one upload.
        say: takes the line with the address.
        warn: takes what is wrong with ``path``, and with a model.
    """

    path: Path | None = None
    series: str | None = None
    second: Path | None = None
    model: str | None = None
    device: str = "auto"
    port: int = 0
    open_browser: bool = True
    upload_limit_mib: int = UPLOAD_LIMIT_MIB
    say: Callable[[str], None] = print
    warn: Callable[[str], None] = _to_stderr


def run(start: Start) -> None:
    """Serve the viewer until Ctrl-C or a request to end.

    Raises:
        PathNotFoundError: there is nothing at one of the paths.
        PortError: the port is taken.
        StartError: an option has nothing that it could mean.
        UnknownBundle: there is no such model.
        ModuleNotFoundError: a package that shows pictures is not installed.
    """
    _check_options(start)
    for name in ("slicer", "trame_slicer"):  # loaded when the address is told already
        if importlib.util.find_spec(name) is None:
            raise ModuleNotFoundError(name=name)
    if not all(_is_there(one) for one in (start.path, start.second) if one is not None):
        from CTQualityAssessmentLib.reading.errors import PathNotFoundError

        raise PathNotFoundError
    sys.argv = sys.argv[:1]  # trame reads options of its own there, among them one that opens other interfaces
    os.environ["WSLINK_WS_COMPRESS"] = "0"  # frames are compressed already
    if os.environ.get("CTQA_TRACEBACK") != "1":
        # Else whoever reaches the port writes into the terminal, and tracebacks quote names of files.
        logging.getLogger().addHandler(logging.NullHandler())
        warnings.simplefilter("ignore")
    gc.disable()  # until something is open: it would look through all that is loaded, and nothing of that is garbage
    try:
        asyncio.run(_serve(start))
    finally:
        gc.enable()


def _check_options(start: Start) -> None:
    """Refuse what would have to be ignored."""
    if start.path is None:
        for option, value in (("--compare", start.second), ("--series", start.series)):
            if value is not None:
                raise StartError(f"{option} needs a CT to begin with.", "Give its PATH too, or leave the option out.")
    elif start.series is not None and is_scene(start.path) is not None:
        raise StartError(
            "A scene or a folder of results holds one CT, and no series to choose from.",
            "Leave --series out, or give the DICOM folder.",
        )


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except PermissionError:  # the reader has a sentence for that
        return True
    except (OSError, ValueError):
        return False
    return True


async def _serve(start: Start) -> None:
    """The browser loads the page while the libraries of the views are loaded, and the CT is read beside both."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory(prefix="ctqa-viewer-", ignore_cleanup_errors=True) as private:
        folder = Path(private)
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # the last where the terminal is closed: uploads must go then too
            with contextlib.suppress(NotImplementedError, AttributeError):  # Windows has no handlers in its loop
                loop.add_signal_handler(getattr(signal, name), _end, stop, folder)
        ahead = None
        if start.path is not None and is_scene(start.path) is None:
            with contextlib.suppress(OSError):  # without it the CT is read later
                ahead = await ReadAhead.begin(start.path, start.series, folder)
        try:
            await _serve_from(folder, start, ahead, stop)
        finally:
            if ahead is not None:
                await ahead.close()


def _end(stop: asyncio.Event, folder: Path) -> None:
    """Ask the program to end; asked again it waits for no thread, and only what it holds of patients goes first."""
    if stop.is_set():
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(_EXIT_AT_ONCE)
    stop.set()


async def _serve_from(folder: Path, start: Start, ahead: ReadAhead | None, stop: asyncio.Event) -> None:
    with _without_certificates():
        from trame_server import Server
    from CTQualityAssessmentLib.viewer.page import open_page
    from CTQualityAssessmentLib.viewer.transfers import Transfers

    loop = asyncio.get_running_loop()
    access = Access()
    server = Server("ctqa")
    server.client_type = "vue3"
    open_page(server, start.model)
    made: asyncio.Future[Viewer] = loop.create_future()

    async def receive(path: Path, folder: Path, second: bool) -> None:
        await (await asyncio.shield(made)).receive(path, folder, second)

    async def exported(name: str) -> Path | None:
        return await (await asyncio.shield(made)).exported(name)

    transfers = Transfers(folder, start.upload_limit_mib * 1024**2, receive, exported)

    def bind(wslink_server: Any) -> None:
        app: web.Application = wslink_server.app
        app.middlewares.append(access.middleware())
        app.router.add_get("/index.html", _index)
        app.router.add_post("/upload", transfers.upload)
        app.router.add_get("/download/{name}", transfers.download)

    server.controller.on_server_bind.add(bind)
    serving = loop.create_task(
        server.start(
            port=start.port,
            host=HOST,
            exec_mode="coroutine",
            thread=True,  # the signals are ours
            backend="aiohttp",
            open_browser=False,
            show_connection_info=False,
            disable_logging=True,
            timeout=0,
        )
    )
    try:
        if not await _ready(server, serving):
            raise PortError
        address = access.address(server.port)
        start.say(f"The viewer is at {address} (Ctrl-C ends it)")
        if server.state.damaged:
            start.warn(f"Warning: {server.state.damaged}")
        if start.open_browser:
            # A text browser stays until it is left, and would keep an executor from its end.
            threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
        stopped = loop.create_task(stop.wait())
        opening = loop.create_task(_open(made, server, folder, start, ahead))
        await asyncio.wait({stopped, opening, serving}, return_when=asyncio.FIRST_COMPLETED)
        if opening.done():
            opening.result()  # raises what keeps the views from being made
            await asyncio.wait({stopped, serving}, return_when=asyncio.FIRST_COMPLETED)
        opening.cancel()
        if serving.done():
            raise RunError("The server of the viewer ended unexpectedly.", "Start the viewer again.")
    finally:
        if made.done():
            await made.result().close()
        made.cancel()
        if not serving.done():
            await server.stop()
        await asyncio.wait({serving})
        if not serving.cancelled():
            serving.exception()  # looked at: what went wrong was told


async def _ready(server: Server, serving: asyncio.Task) -> bool:
    while not serving.done():
        if server.port:
            return True
        await asyncio.sleep(0.02)
    return False


async def _open(
    made: asyncio.Future[Viewer], server: Server, folder: Path, start: Start, ahead: ReadAhead | None
) -> None:
    """Make the viewer, then open what the command was given."""
    from CTQualityAssessmentLib.viewer.loading import load_viewer

    viewer_class = await asyncio.to_thread(load_viewer)
    with server.state:
        made.set_result(viewer_class(server, folder, start.device))
    if start.path is not None:
        try:
            await made.result().open(start.path, start.series, start.second, ahead)
        except CTQAError as error:  # the page shows it too, and takes another file
            start.warn(f"Error: {error}")
    gc.freeze()
    gc.enable()


@contextlib.contextmanager
def _without_certificates() -> Iterator[None]:
    """aiohttp reads those of all authorities as it is loaded, for a tenth of a second; nothing here asks elsewhere."""
    before = os.environ.get("SSL_CERT_FILE")
    os.environ["SSL_CERT_FILE"] = os.devnull
    try:
        yield
    finally:
        if before is None:
            del os.environ["SSL_CERT_FILE"]
        else:
            os.environ["SSL_CERT_FILE"] = before


async def _index(request: web.Request) -> web.Response:
    """trame's own page under our name, without its inline script, which our policy would not run."""
    import re

    import trame_client
    from aiohttp import web

    www = Path(trame_client.__file__).parent / "module" / "vue3-www" / "index.html"
    text = www.read_text(encoding="utf-8")
    text = re.sub(r"<title>.*?</title>", "<title>CT quality</title>", text, flags=re.DOTALL)
    text = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    text = re.sub(r'<div id="app"></div>', '<div id="app"><p>Opening the viewer</p></div>', text)
    text = re.sub(r'<link rel="icon"[^>]*>', '<link rel="icon" href="data:,">', text)
    text = text.replace('content="Application built with trame, a product from Kitware"', 'content="CT quality"')
    text = text.replace("maximum-scale=1,minimum-scale=1", "minimum-scale=1")
    return web.Response(text=text, content_type="text/html")
