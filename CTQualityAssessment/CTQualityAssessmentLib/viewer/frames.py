"""Slice views whose pictures are quick while something moves, and come to rest without loss.

JPEG smooths noise, and noise is what a reader of this program looks at: frames are JPEG only while something moves. A
view on a large screen then also has fewer pixels, because without a graphics card each of them costs time.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from trame_rca.encoders import RcaImageEncoder
from trame_rca.schedulers import RcaImageRenderScheduler
from trame_rca.view_adapter import RcaViewAdapter
from trame_server import Server
from trame_server.utils.asynchronous import create_task
from trame_slicer.app.logic import get_view_trame_id
from trame_slicer.rca_view.rca_view_factory import RcaRenderStrategy, RcaView, RcaWindow, RemoteSliceViewFactory
from trame_slicer.views import SliceView, ViewLayout, ViewLayoutDefinition
from trame_slicer.views.render_scheduler import NoScheduleRendering

#: Qualities of a picture: JPEG while something moves, and without loss at rest.
MOVING, STILL = 85, 100
#: Most pixels of a view while something moves: a slice of 512 x 512 that fills it still has one for each voxel.
MOVING_PIXELS = 640 * 640


@dataclass(frozen=True)
class FrameEncoder:
    """The interface of ``RcaImageEncoder``; quality 100 is PNG.

    Attributes:
        asked: how many pictures the view had been asked for when this one was drawn; the picture says so too.
    """

    asked: int = 0

    def encode(self, image: NDArray[np.uint8], _columns: int, _rows: int, quality: int) -> tuple[bytes, dict, int]:
        """Bytes of the picture ``(rows, columns, 3)``, what the page is told of it, and the time in milliseconds."""
        now_ms = time.time_ns() // 1_000_000
        out = BytesIO()
        picture = Image.fromarray(np.ascontiguousarray(image))
        if quality >= STILL:
            kind = "image/png"
            picture.save(out, "png", compress_level=1)
        else:
            kind = "image/jpeg"
            picture.save(out, "jpeg", quality=quality, subsampling=0)
        meta = {
            "type": kind,
            "codec": "",
            "w": picture.width,
            "h": picture.height,
            "st": now_ms,
            "key": "key",
            "quality": quality,
            "asked": self.asked,
        }
        return out.getvalue(), meta, now_ms


@dataclass
class Quiet:
    """While ``on``, no view asks for a picture.

    Each view draws where the others cut, and asks for a picture when one of them changes in any way: two that change
    their size for each picture would ask each other for ever. None asks either before anything is ``open``.
    """

    on: bool = False
    open: bool = False


class FrameScheduler(RcaImageRenderScheduler):
    """Draws a moving view with few pixels and one at rest with all."""

    adapter: FrameAdapter

    def __init__(self, window: RcaWindow, quiet: Quiet) -> None:
        super().__init__(
            window,
            rca_encoder=RcaImageEncoder.JPEG,
            interactive_quality=MOVING,
            still_quality=STILL,
        )
        self._quiet = quiet
        self._asked = 0
        self._still_bytes = 0
        self._at_rest = asyncio.Event()
        self._at_rest.set()

    def schedule_render(self) -> None:
        """Ask for a picture."""
        if self._quiet.open and not self._quiet.on:
            self._asked += 1
            self._at_rest.clear()
            super().schedule_render()

    def set_push_callback(self, callback: Callable[[bytes, dict[str, Any]], None]) -> None:
        """Who sends the pictures to the page."""

        def push(content: bytes, meta: dict[str, Any]) -> None:
            callback(content, meta)
            if meta["quality"] >= STILL and meta["asked"] == self._asked:
                self._still_bytes = len(content)
                self._at_rest.set()

        super().set_push_callback(push)

    @property
    def resting(self) -> bool:
        """Whether the last picture that was asked for was sent whole."""
        return self._at_rest.is_set()

    async def rest(self) -> int:
        """Wait until the last picture that was asked for was sent whole; returns its bytes, 0 before the first."""
        await self._at_rest.wait()
        return self._still_bytes

    def _render_frame(self, quality: int) -> None:
        self.adapter.set_moving(quality < STILL)
        self._rca_encoder = FrameEncoder(self._asked)  # which trame's enumeration of formats cannot name
        super()._render_frame(quality)


class FrameAdapter(RcaViewAdapter):
    """Between the page and a view whose number of pixels changes."""

    def __init__(self, window: RcaWindow, name: str, scheduler: FrameScheduler, quiet: Quiet) -> None:
        super().__init__(window, name, scheduler=scheduler, do_schedule_render_on_interaction=False)
        self._quiet = quiet
        scheduler.adapter = self

    def set_moving(self, moving: bool) -> None:
        """Give the view few pixels, or all of them; that alone asks for no picture."""
        self._quiet.on = True
        try:
            self.max_pixel_count = MOVING_PIXELS if moving else 0
        finally:
            self._quiet.on = False

    def on_interaction(self, origin: str, event: dict[str, Any]) -> None:
        """Pass on what the mouse did. A drag is measured from its last place, so all of it counts in one size.

        Keys are the page's: Slicer's views have some of the same with other meanings, and would do both.
        """
        if event["type"].startswith("Key"):
            return
        if self._press_set or event["type"].endswith("Press"):
            self.set_moving(True)
        super().on_interaction(origin, event)


class SliceViewFactory(RemoteSliceViewFactory):
    """trame-slicer's slice views with our frames."""

    def __init__(self, server: Server) -> None:
        super().__init__(server, target_fps=30.0, blur_fps=15.0)
        self._quiet = Quiet()
        self._schedulers: dict[str, FrameScheduler] = {}

    def open(self) -> None:
        """From now on there is something to draw."""
        self._quiet.open = True

    async def rest(self) -> dict[str, int]:
        """Wait until no view has a picture to draw or to send; bytes of the last picture of each, by its name."""
        while True:
            found = {name: await scheduler.rest() for name, scheduler in self._schedulers.items()}
            if all(scheduler.resting for scheduler in self._schedulers.values()):
                return found

    def _create_view(self, view: ViewLayoutDefinition, scene: Any, app_logic: Any) -> RcaView:
        # Until somebody looks, nothing is drawn: else each of its two hundred settings is, for two seconds in all.
        made = SliceView(scene, app_logic, view.singleton_tag, NoScheduleRendering())
        made.set_view_properties(view.properties)
        # Without a graphics card the smoothing of edges takes half of the time, and a slice has no edges to smooth.
        made.render_window().SetMultiSamples(0)
        cursor = f"{view.singleton_tag}_cursor"
        self._server.state.setdefault(cursor, "default")
        window = RcaWindow(made.render_window(), state=self._server.state, active_view_cursor=cursor)
        scheduler = FrameScheduler(window, self._quiet)
        name = get_view_trame_id(self._server, made)
        self._schedulers[view.singleton_tag] = scheduler
        adapter = FrameAdapter(window, name, scheduler, self._quiet)
        with ViewLayout(self._server, template_name=name) as ui:
            self._create_vuetify_ui(name, made, scheduler, active_view_cursor=cursor)
        made.set_scheduled_render(RcaRenderStrategy(scheduler))

        async def register() -> None:
            await self._server.ready
            self._server.root_server.controller.rc_area_register(adapter)

        create_task(register())
        return RcaView(ui, made, adapter)
