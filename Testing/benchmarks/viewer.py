"""How soon the viewer can be used, how fast it scrolls, where the time goes, and how much memory a volume takes.

    python -m Testing.benchmarks.viewer [--starts 3] [--slices 300 600] [--seconds 4]

Figures, in about two minutes:

- start: how long after the command the page of the shipped sample can be used, and when each step to there was done,
  with the processor time of the server's process up to it; the browser runs already;
- one picture: the milliseconds of processor time, which a busy computer changes little, to cut a slice of 512 x 512
  out of the volume and colour it, to draw it, to read the picture back and to encode it, in the large view of a screen
  of 1280 x 720, in that of a 4K screen while something moves, and in that of a 4K screen at rest;
- scrolling: the true server with a browser, whose wheel turns sixty times a second over the large view; pictures that
  arrive in a second, and how many of the slices were passed when the wheel stopped (the rest comes later);
- memory: of the server's process with nothing open, and with volumes open, before and after scrolling.

Rendering is in software where there is no screen, in the browser too. Figures depend on the machine and on what else it
does: the load is printed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from Testing.viewer.pictures import KNOW_PICTURES, wait_at_rest
from Testing.viewer.running import ROOT, SAMPLE, start_viewer

_SIDE = 512
_SCREENS = ((1280, 720), (3840, 2160))
_LARGE_VIEWS = ((587, 644), (2102, 2030))
#: Counts the pictures of the large view, turns the wheel, and tells how far the view has come by the end.
_SCROLL = """async (seconds) => {
    const pane = document.querySelector('[data-test=large]');
    const slice = () => Number(document.querySelector('[data-test=here]').textContent);
    const begun = performance.now(), before = slice();
    let turned = 0, pictures = 0;
    const count = () => { pictures += 1; };
    pane.addEventListener('load', count, true);
    while (performance.now() - begun < 1000 * seconds) {
        const wheel = new WheelEvent('wheel', { deltaY: 100, bubbles: true, cancelable: true });
        pane.querySelector('img').dispatchEvent(wheel);
        turned += 1;
        await new Promise((go) => setTimeout(go, begun + (1000 * turned) / 60 - performance.now()));
    }
    pane.removeEventListener('load', count, true);
    return [turned / seconds, pictures / seconds, Math.abs(slice() - before)];
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
    from vtk import vtkCollection, vtkLogger, vtkOutputWindow

    vtkLogger.SetStderrVerbosity(vtkLogger.VERBOSITY_OFF)  # it misses a display
    vtkOutputWindow.GetInstance().SetDisplayModeToNever()
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
        shares = ", ".join(f"{name} {1000 * one:.1f}" for name, one in spent.items())
        kind = "at rest" if quality == STILL else "moving"
        print(f"one picture, {size[0]} x {size[1]} {kind}: {1000 * total:.1f} ms ({shares})", flush=True)
    view.finalize()


def memory_mib(pid: int) -> float:
    """Resident memory of a process."""
    lines = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return int(lines["VmRSS"].split()[0]) / 1024


@contextmanager
def open_browser(width: int, height: int) -> Iterator[Any]:
    """A page of the size, in a browser of its own."""
    from playwright.sync_api import sync_playwright

    from Testing.viewer.conftest import CHROMIUM

    with sync_playwright() as playwright:
        with playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]) as browser:
            page = browser.new_page(viewport={"width": width, "height": height})
            page.add_init_script(KNOW_PICTURES)
            page.set_default_timeout(300_000)
            yield page


def time_start(folder: Path, starts: int) -> None:
    """From the command to a page of the sample that can be used, as a user sees it; and memory with nothing open."""
    folder.mkdir()
    for n in range(starts):
        times = folder / f"times-{n}"
        os.environ["CTQA_TIMES"] = str(times)
        with open_browser(1280, 720) as page:
            page.goto("about:blank")
            begun, seen = time.time(), []
            timed = ("-m", "Testing.benchmarks.timed_viewer")
            with start_viewer(None, folder / f"run-{n}", str(SAMPLE), command=timed, paths=(str(ROOT),)) as running:
                seen.append((time.time(), "address printed"))
                page.goto(running.address, wait_until="commit")
                page.wait_for_selector("[data-test=open]")
                seen.append((time.time(), "page stands"))
                page.wait_for_selector("[data-test=assess]:enabled")
                seen.append((time.time(), "PAGE USABLE"))
                page.wait_for_function("document.querySelector('[data-test=large] img')?.naturalWidth > 100")
                seen.append((time.time(), "FIRST PICTURE SEEN"))
        steps, known = [(when, "", step) for when, step in seen], set()
        for line in times.read_text().splitlines():
            when, spent, step = line.split("\t")
            if step not in known:  # the first picture, not the others
                steps.append((float(when), f" ({float(spent):.1f} s of processor)", step))
            known.add(step)
        told = "; ".join(f"{when - begun:.1f} s {step}{spent}" for when, spent, step in sorted(steps))
        print(f"start {n + 1}: {told}", flush=True)
    with open_browser(1280, 720) as page, start_viewer(None, folder / "empty") as running:
        page.goto(running.address)
        page.wait_for_selector("[data-test=open]:enabled")
        print(f"memory: {memory_mib(running.process.pid):.0f} MiB with nothing open", flush=True)


def scroll(
    path: Path, folder: Path, screens: Sequence[tuple[int, int]], layouts: Sequence[str], seconds: float
) -> None:
    """The true server and a true browser."""
    with start_viewer(None, folder, str(path)) as running:
        memory = []
        for width, height in screens:
            with open_browser(width, height) as page:
                page.goto(running.address)
                page.wait_for_selector("[data-test=assess]:enabled")
                wait_at_rest(page, "large")
                memory.append(f"{memory_mib(running.process.pid):.0f}")
                for layout in layouts:
                    page.click(f"[data-test=layout-{layout}]")
                    page.keyboard.press("Home")
                    page.wait_for_function("document.querySelector('[data-test=here]').textContent === '0'")
                    wait_at_rest(page, "large")
                    turned, pictures, passed = page.evaluate(_SCROLL, seconds)
                    wait_at_rest(page, "large")
                    whole = int(page.inner_text("[data-test=here]"))
                    print(
                        f"scrolling, {width} x {height}, layout {layout}: {pictures:.0f} pictures a second while the "
                        f"wheel turned {turned:.0f} times; {passed} of {whole} slices passed when it stopped",
                        flush=True,
                    )
                memory.append(f"{memory_mib(running.process.pid):.0f}")
        voxels = path.stat().st_size / 1024**2
        print(
            f"memory: {', '.join(memory)} MiB with {voxels:.0f} MiB of voxels open, before and after each", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--slices", type=int, nargs="*", default=[300, 600])
    parser.add_argument("--seconds", type=float, default=4.0, help="how long each wheel turns")
    options = parser.parse_args()
    print(
        f"load before: {', '.join(f'{one:.1f}' for one in os.getloadavg())} on {os.cpu_count()} processors", flush=True
    )
    with tempfile.TemporaryDirectory() as name:
        time_start(Path(name) / "start", options.starts)
        for n, slices in enumerate(options.slices):
            path = Path(name) / f"{slices}.nii"
            write_phantom(path, slices)
            if n == 0:
                time_stages(path)
            print(f"{slices} slices of {_SIDE} x {_SIDE}:", flush=True)
            # The others are opened for their memory: how far they are scrolled changes nothing.
            screens, layouts = (_SCREENS, ("one", "three")) if n == 0 else (_SCREENS[:1], ("one",))
            scroll(path, Path(name) / f"run-{slices}", screens, layouts, options.seconds)
            path.unlink()


if __name__ == "__main__":
    main()
