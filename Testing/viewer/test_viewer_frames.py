"""If these fail, scrolling on a large screen stutters, or a picture at rest is not the whole one."""

from __future__ import annotations

import asyncio
import gc
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from CTQualityAssessmentLib.mrml.volume_nodes import add_volume
from CTQualityAssessmentLib.viewer.frames import MOVING_PIXELS, SliceViewFactory
from CTQualityAssessmentLib.viewer.views import SliceViews
from trame_server import Server
from trame_slicer.core import SlicerApp

from Testing.assessment_factory import make_volume
from Testing.viewer.running import PATIENCE_S

pytestmark = pytest.mark.xdist_group("viewer")
LARGE, SMALL = (1576, 985), (443, 306)


class Desk:
    """The views without a page: sizes and mouse go in as a browser sends them, pictures come out."""

    def __init__(self) -> None:
        self.app = SlicerApp()
        factory = SliceViewFactory(Server("frames"))
        self.views = SliceViews(self.app, factory, lambda: None)
        self.pictures: list[tuple[str, str, int]] = []
        self.adapters = {}
        for place in ("large", "upper", "lower", "second", "difference"):
            self.adapters[place] = factory.get_factory_view(place).view_adapter

            def push(_content, meta, place=place):
                self.pictures.append((place, meta["type"], meta["w"], meta["h"]))

            self.adapters[place]._scheduler.set_push_callback(push)
        self.volume = make_volume((6, 40, 48))
        self.node = add_volume(self.app.scene, self.volume)
        self.views.show(self.volume, self.node)

    def size(self, place, size) -> None:
        self.adapters[place].update_size("page", {"w": size[0], "h": size[1], "p": 1})

    def mouse(self, type_, x, y, **more) -> None:
        columns, rows, _ = self.adapters["large"]._current_size
        event = {"type": type_, "x": x, "y": y, "z": 0, "w": columns, "h": rows, "pressure": 0.5, **more}
        keys = dict.fromkeys(("ctrlKey", "altKey", "shiftKey"), 0)
        self.adapters["large"].on_interaction("page", event | keys)

    def shown_mm(self, place="large") -> float:
        return min(self.views._views[place].get_view_node().GetFieldOfView()[:2])

    async def rest(self, *places) -> dict[str, list]:
        """Pictures of each view since the last call, once no more come: views that ask each other never end."""
        await asyncio.wait_for(self.views.rest(), PATIENCE_S)
        found, self.pictures = self.pictures, []
        return {place: [p[1:] for p in found if p[0] == place] for place in places}

    async def close(self) -> None:
        for adapter in self.adapters.values():
            await adapter.close()


def on_a_desk(work):
    """Run a coroutine with a desk, in a thread of its own: the browser of other tests keeps a loop in this one."""

    async def run() -> None:
        desk = Desk()
        try:
            await work(desk)
        finally:
            await desk.close()

    def alone() -> None:
        asyncio.run(run())
        gc.collect()  # windows end in the thread that drew into them

    with ThreadPoolExecutor(1) as thread:
        thread.submit(alone).result()


def test_a_large_view_is_small_while_it_moves_whole_at_rest_and_then_still():
    async def work(desk):
        desk.size("large", LARGE)
        (*_, last) = (await desk.rest("large"))["large"]
        assert last == ("image/png", *LARGE)
        scale = desk.shown_mm()
        desk.views.scroll("large", 1)
        first, *_, last = (await desk.rest("large"))["large"]
        assert first[0] == "image/jpeg" and 0.9 * MOVING_PIXELS < first[1] * first[2] <= MOVING_PIXELS
        assert last == ("image/png", *LARGE)
        assert desk.shown_mm() == pytest.approx(scale)
        desk.size("large", SMALL)
        pictures = (await desk.rest("large"))["large"]
        assert {one[1:] for one in pictures} == {SMALL}  # a small view keeps all its pixels

    on_a_desk(work)


def test_a_drag_that_rests_in_the_middle_goes_on_where_it_was():
    """The view has other numbers of pixels before and after the rest; the window must not jump by their ratio."""

    async def work(desk):
        desk.size("large", LARGE)
        await desk.rest("large")
        before = desk.views.window()
        desk.mouse("MouseMove", 600, 500)
        desk.mouse("LeftButtonPress", 600, 500)
        desk.mouse("MouseMove", 650, 500)
        desk.mouse("MouseMove", 700, 500)
        away = desk.views.window()
        assert abs(away[0] - before[0]) > 5
        await desk.rest("large")
        desk.mouse("MouseMove", 701, 500)
        assert abs(desk.views.window()[0] - away[0]) < 0.1 * abs(away[0] - before[0])
        desk.mouse("MouseMove", 600, 500)
        desk.mouse("LeftButtonRelease", 600, 500)
        np.testing.assert_allclose(desk.views.window(), before, atol=1 + 0.05 * abs(away[0] - before[0]))
        assert (await desk.rest("large"))["large"][-1] == ("image/png", *LARGE)

    on_a_desk(work)


def test_compared_views_come_to_rest_at_one_place_and_scale():
    async def work(desk):
        other = add_volume(desk.app.scene, desk.volume, "other")
        desk.size("large", (2102, 1974))
        scale = desk.shown_mm()
        for _ in range(2):
            desk.views.compare(other, desk.node)
            desk.views.set_layout("compare", "large")
            for place in ("second", "large", "difference"):
                desk.size(place, LARGE)
            shown = await desk.rest("large", "second", "difference")
            assert all(pictures[-1] == ("image/png", *LARGE) for pictures in shown.values())
            desk.views.scroll("second", 1)
            await desk.rest("large", "second", "difference")
            assert desk.views.index() == desk.volume.slice_count // 2 + 1
            assert [desk.shown_mm(place) for place in shown] == pytest.approx([scale] * 3, rel=0.01)
            desk.views.scroll("large", -1)
            await desk.rest("large", "second", "difference")
            desk.views.set_layout("three", "large")
            desk.size("large", (2102, 1974))
            await desk.rest("large")
            assert desk.shown_mm() == pytest.approx(scale, rel=0.01)

    on_a_desk(work)


def test_the_wheel_counts_slices_as_the_keys_do():
    """Whichever way they are stored: else one goes to the head where the other goes to the feet."""

    async def work(desk):
        for axis, towards in product(range(3), (1.0, -1.0)):
            sides = np.diag([towards if n == axis else 1.0 for n in range(3)] + [1.0])
            stored = replace(desk.volume, ijk_to_ras=desk.volume.ijk_to_ras @ sides, acquisition_axis=axis)
            node = add_volume(desk.app.scene, stored, "stored")
            desk.views.show(stored, node)
            desk.views.jump(1)
            desk.views.scroll("large", 1)
            assert desk.views.index() == 2, (axis, towards)
            desk.views.scroll("large", -2)
            assert desk.views.index() == 0, (axis, towards)

    on_a_desk(work)
