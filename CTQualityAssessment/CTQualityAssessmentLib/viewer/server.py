"""The program: a server on this computer alone, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.viewer.access import HOST, Access
from CTQualityAssessmentLib.viewer.shown import models_of

if TYPE_CHECKING:
    from aiohttp import web

UPLOAD_LIMIT_MIB = 4096


class PortError(CTQAError):
    """The port cannot be had."""

    def __init__(self) -> None:
        super().__init__("The port cannot be opened.", "Choose another with --port, or 0 for any free one.")


def run(
    path: Path | None,
    *,
    series: str | None = None,
    second: Path | None = None,
    model: str | None = None,
    device: str = "auto",
    port: int = 0,
    open_browser: bool = True,
    upload_limit_mib: int = UPLOAD_LIMIT_MIB,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the viewer until Ctrl-C or a request to end.

    Args:
        path: CT, scene or folder of results to open; None for an empty page.
        series: which DICOM series of ``path``.
        second: what to compare it with; None for nothing.
        model: name or folder of the model to begin with.
        device: for the worker.
        port: 0 for any that is free.
        open_browser: whether to open the page.
        upload_limit_mib: of one upload.
        say: takes the line with the address.

    Raises:
        PortError: the port is taken.
        UnknownBundle: there is no such model.
    """
    models_of(model)  # before the seconds that the views take to load
    sys.argv = sys.argv[:1]  # trame reads options of its own there, among them one that opens other interfaces
    os.environ["WSLINK_WS_COMPRESS"] = "0"  # frames are compressed already
    asyncio.run(_serve(path, series, second, model, device, port, open_browser, upload_limit_mib, say))


async def _serve(
    path: Path | None,
    series: str | None,
    second: Path | None,
    model: str | None,
    device: str,
    port: int,
    open_browser: bool,
    upload_limit_mib: int,
    say: Callable[[str], None],
) -> None:
    from trame_server import Server

    from CTQualityAssessmentLib.viewer.transfers import Transfers
    from CTQualityAssessmentLib.viewer.viewer import Viewer

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows has no handlers in its loop
            loop.add_signal_handler(number, stop.set)
    with tempfile.TemporaryDirectory(prefix="ctqa-viewer-", ignore_cleanup_errors=True) as private:
        folder = Path(private)
        access = Access()
        server = Server("ctqa")
        server.client_type = "vue3"
        viewer = Viewer(server, folder, model, device)
        transfers = Transfers(folder, upload_limit_mib * 1024**2, viewer.receive, viewer.exported)

        def bind(wslink_server: Any) -> None:
            app: web.Application = wslink_server.app
            app.middlewares.append(access.middleware())
            app.router.add_get("/index.html", _index)
            app.router.add_post("/upload", transfers.upload)
            app.router.add_get("/download/{name}", transfers.download)

        server.controller.on_server_bind.add(bind)
        serving = loop.create_task(
            server.start(
                port=port,
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
            say(f"The viewer is at {address} (Ctrl-C ends it)")
            if open_browser:
                webbrowser.open(address)
            opening = loop.create_task(_open(viewer, path, series, second)) if path is not None else None
            await stop.wait()
            if opening is not None:
                opening.cancel()
        finally:
            await viewer.close()
            if serving.done():
                serving.exception()
            else:
                await server.stop()


async def _ready(server: Any, serving: asyncio.Task) -> bool:
    while not serving.done():
        if server.port:
            return True
        await asyncio.sleep(0.02)
    return False


async def _open(viewer: Any, path: Path, series: str | None, second: Path | None) -> None:
    with contextlib.suppress(CTQAError):  # the page shows it
        await viewer.open(path, series, second)


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
