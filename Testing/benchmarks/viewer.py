"""How fast the viewer scrolls, where the time goes, and how much memory a volume takes.

    python -m Testing.benchmarks.viewer [--slices 300 600]

First a slice view alone: for each slice of 512 x 512 the milliseconds of processor time, which a busy computer changes
little, to cut and colour it, to draw it, to read the picture back and to encode it, in views of the sizes that a
1280 x 720 and a 4K screen give. Then the true server with a
browser that turns the wheel sixty times a second over the large view: pictures that arrive per second, whether all
slices were passed when the wheel stops, and the memory of the server's process. Rendering is in software where there
is no screen. Figures depend on the machine and on what else it does; the shares of one run are what to compare.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import nibabel
import numpy as np

from Testing.bundle_factory import write_bundle
from Testing.viewer.running import start_viewer

_SIDE = 512
#: Large view on a screen of 1280 x 720 and of 3840 x 2160 pixels.
_SIZES = ((587, 644), (2100, 2030))
_COUNT = """() => {
    window.pictures = 0;
    const shown = document.querySelector('[data-test=large] img');
    const seen = new MutationObserver(() => { window.pictures += 1; });
    seen.observe(shown, { attributes: true, attributeFilter: ['src'] });
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
    from CTQualityAssessmentLib.viewer.frames import MOVING, FrameEncoder
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
    for size in _SIZES:
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
            FrameEncoder().encode(picture, columns, rows, MOVING)
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


def scroll(path: Path, models: Path, folder: Path, seconds: float = 4.0) -> None:
    """The true server and a true browser."""
    from playwright.sync_api import sync_playwright

    from Testing.viewer.conftest import CHROMIUM

    started = time.perf_counter()
    with start_viewer(models, folder, str(path)) as running, sync_playwright() as playwright:
        with playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]) as browser:
            page = browser.new_page(viewport={"width": 1280, "height": 720})
            page.set_default_timeout(300_000)
            page.goto(running.address)
            page.wait_for_selector("[data-test=assess]:enabled")
            ready = time.perf_counter() - started
            for layout in ("one", "three"):
                page.click(f"[data-test=layout-{layout}]")
                page.keyboard.press("Home")
                page.wait_for_timeout(2000)
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
                print(
                    f"browser, layout {layout}: wheel turned {turned / seconds:.0f} times a second, "
                    f"{pictures / seconds:.0f} pictures a second; slice {abs(at_stop - before)} of "
                    f"{abs(at_rest - before)} when the wheel stopped"
                )
            now, highest = memory_mib(running.process.pid)
            print(f"usable after {ready:.1f} s; server {now:.0f} MiB, at most {highest:.0f} MiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, nargs="+", default=[300, 600])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
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
