"""How fast the viewer scrolls, where the time goes, and how much memory a volume takes.

    python -m Testing.benchmarks.viewer [--slices 300 600]

First how long after the command the page of the sample can be used. Then a slice view alone: for each slice of
512 x 512 the milliseconds of processor time, which a busy computer changes little, to cut and colour it, to draw it,
to read the picture back and to encode it: in the large view of a screen of 1280 x 720, in that of a 4K screen while
something moves, and in that of a 4K screen at rest. Then the true server with a browser that turns the wheel sixty
times a second over the large view, on both screens: pictures that arrive per second, their size and how long the
browser takes to decode one, whether all slices were passed when the wheel stops, and the memory of the server's
process. Rendering is in software where there is no screen. Figures depend on the machine and on what else it does; the
load is printed, and the shares of one run are what to compare.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from Testing.bundle_factory import write_bundle
from Testing.viewer.running import SAMPLE, start_viewer

_SIDE = 512
_SCREENS = ((1280, 720), (3840, 2160))
_LARGE_VIEWS = ((587, 644), (2102, 2030))
#: Times and sizes of pictures, from the arrival of their bytes until they can be painted.
_WATCH = """
window.begun = {};
const make = URL.createObjectURL;
URL.createObjectURL = (blob) => {
    const url = make(blob);
    window.begun[url] = [performance.now(), blob.size];
    return url;
};
"""
_COUNT = """() => {
    window.pictures = [];
    const shown = document.querySelector('[data-test=large] img');
    shown.onload = () => {
        const [at, bytes] = window.begun[shown.src];
        window.pictures.push([performance.now() - at, bytes]);
    };
}"""


def write_phantom(path: Path, slices: int) -> None:
    """A noisy cylinder, uncompressed."""
    rows, columns = np.mgrid[-1 : 1 : _SIDE * 1j, -1 : 1 : _SIDE * 1j]
    body = np.where(np.hypot(rows, columns) < 0.8, 40, -1000).astype(np.int16)
    noise = np.random.default_rng(0).normal(0, 20, (_SIDE, _SIDE, 8)).astype(np.int16)
    hu = np.stack([body + noise[:, :, n % 8] for n in range(slices)], axis=2)
    nibabel.save(nibabel.Nifti1Image(hu, np.diag([-0.8, -0.8, 1.0, 1.0])), path)


def time_stages(path: Path, steps: int = 30) -> None:
    """Processor milliseconds of each stage of one picture, in a view without a server."""
    import slicer
    from CTQualityAssessmentLib.mrml.scene import create_bare_scene
    from CTQualityAssessmentLib.mrml.volume_nodes import add_volume
    from CTQualityAssessmentLib.reading import read_volume
    from CTQualityAssessmentLib.viewer.frames import MOVING, MOVING_PIXELS, STILL, FrameEncoder
    from trame_slicer.rca_view.rca_view_factory import RcaWindow
    from trame_slicer.views import SliceView
    from trame_slicer.views.render_scheduler import NoScheduleRendering
    from vtk import vtkCollection

    bare = create_bare_scene()
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(bare.scene, True)
    application = slicer.vtkSlicerApplicationLogic()
    application.SetMRMLScene(bare.scene)
    application.SetSliceLogics(vtkCollection())
    volume = read_volume(path)
    node = add_volume(bare.scene, volume)
    view = SliceView(bare.scene, application, "Benchmark", NoScheduleRendering())
    view.set_background_volume_id(node.GetID())
    view.render_window().SetMultiSamples(0)  # as the viewer does
    window = RcaWindow(view.render_window(), {}, "cursor")
    small, large = _LARGE_VIEWS
    scale = (MOVING_PIXELS / (large[0] * large[1])) ** 0.5
    moving = (int(large[0] * scale), int(large[1] * scale))
    for size, quality in ((small, MOVING), (moving, MOVING), (large, STILL)):
        view.render_window().SetSize(*size)
        view.fit_view_to_content()
        spent = dict.fromkeys(("cut and colour", "draw", "read back", "encode"), 0.0)
        for step in range(-2, steps):  # two to warm up
            view.get_view_node().JumpSliceByOffsetting(*volume.slice_centre_ras(step % volume.slice_count))
            times = [time.process_time()]
            view._logic.GetImageDataConnection().GetProducer().Update()
            times.append(time.process_time())
            view.render_window().Render()
            times.append(time.process_time())
            picture, columns, rows = window.img_cols_rows  # draws again what is drawn, which is taken off below
            times.append(time.process_time())
            FrameEncoder().encode(picture, columns, rows, quality)
            times.append(time.process_time())
            if step >= 0:
                for name, one in zip(spent, np.diff(times), strict=True):
                    spent[name] += one / steps
        again = time.process_time()
        for _ in range(5):
            view.render_window().Render()
        spent["read back"] = max(0.0, spent["read back"] - (time.process_time() - again) / 5)
        total = sum(spent.values())
        shares = ", ".join(f"{name} {1000 * one:.1f} ms ({one / total:.0%})" for name, one in spent.items())
        rate = f"{1000 * total:.1f} ms, {1 / total:.0f} a second of one processor"
        print(f"view of {size[0]} x {size[1]}: {shares}; together {rate}", flush=True)
    view.finalize()


def memory_mib(pid: int) -> tuple[float, float]:
    """Resident memory now and at its highest."""
    status = Path(f"/proc/{pid}/status").read_text()
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    now, highest = (int(lines[name].split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return now, highest


def time_start(folder: Path) -> None:
    """From the command to a page of the sample that can be used, as a user sees it."""
    from playwright.sync_api import sync_playwright

    from Testing.viewer.conftest import CHROMIUM

    with sync_playwright() as playwright:
        with playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]) as browser:
            page = browser.new_page(viewport={"width": 1280, "height": 720})
            page.set_default_timeout(300_000)
            started = time.perf_counter()
            with start_viewer(None, folder, str(SAMPLE)) as running:
                address = time.perf_counter() - started
                page.goto(running.address)
                page.wait_for_selector("[data-test=assess]:enabled")
                usable = time.perf_counter() - started
                page.wait_for_function("document.querySelector('[data-test=large] img').naturalWidth > 100")
                shown = time.perf_counter() - started
    print(f"sample: address after {address:.1f} s, page usable after {usable:.1f} s, first picture after {shown:.1f} s")


def scroll(path: Path, models: Path, folder: Path, seconds: float = 4.0) -> None:
    """The true server and a true browser."""
    from playwright.sync_api import sync_playwright

    from Testing.viewer.conftest import CHROMIUM

    with start_viewer(models, folder, str(path)) as running, sync_playwright() as playwright:
        with playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]) as browser:
            for width, height in _SCREENS:
                page = browser.new_page(viewport={"width": width, "height": height})
                page.add_init_script(_WATCH)
                page.set_default_timeout(300_000)
                page.goto(running.address)
                page.wait_for_selector("[data-test=assess]:enabled")
                for layout in ("one", "three"):
                    print(f"{width} x {height}, layout {layout}: {_turn(page, layout, seconds)}", flush=True)
                page.close()
        now, highest = memory_mib(running.process.pid)
        print(f"server {now:.0f} MiB, at most {highest:.0f} MiB")


def _turn(page: Any, layout: str, seconds: float) -> str:
    page.click(f"[data-test=layout-{layout}]")
    page.keyboard.press("Home")
    page.wait_for_timeout(4000)
    box = page.locator("[data-test=large]").bounding_box()
    page.mouse.move(box["x"] + 150, box["y"] + 150)
    page.evaluate(_COUNT)
    before = int(page.inner_text("[data-test=here]"))
    begin, turned = time.perf_counter(), 0
    while (now := time.perf_counter() - begin) < seconds:
        page.mouse.wheel(0, -100)
        turned += 1
        time.sleep(max(0.0, turned / 60 - now))
    at_stop, pictures = int(page.inner_text("[data-test=here]")), page.evaluate("window.pictures")
    page.wait_for_timeout(2000)
    at_rest = int(page.inner_text("[data-test=here]"))
    decoding, size = np.median(pictures, axis=0) if pictures else (np.nan, np.nan)
    return (
        f"wheel turned {turned / seconds:.0f} times a second, {len(pictures) / seconds:.0f} pictures a second of "
        f"{size / 1024:.0f} KiB, decoded in {decoding:.0f} ms; slice {abs(at_stop - before)} of "
        f"{abs(at_rest - before)} when the wheel stopped"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, nargs="+", default=[300, 600])
    options = parser.parse_args()
    print(f"load before: {', '.join(f'{one:.1f}' for one in os.getloadavg())} on {os.cpu_count()} processors")
    with tempfile.TemporaryDirectory() as name:
        time_start(Path(name) / "run-sample")
        models = write_bundle(Path(name) / "models" / "tiny").parent
        for slices in options.slices:
            path = Path(name) / f"{slices}.nii"
            write_phantom(path, slices)
            print(
                f"{slices} slices of {_SIDE} x {_SIDE}, {path.stat().st_size / 1024**2:.0f} MiB of voxels", flush=True
            )
            if slices == options.slices[0]:
                time_stages(path)
            scroll(path, models, Path(name) / f"run-{slices}")
            path.unlink()


if __name__ == "__main__":
    main()
