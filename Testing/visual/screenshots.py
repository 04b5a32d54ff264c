"""Makes the README's pictures from a real run of the command on the shipped sample, and from the real viewer.

python -m Testing.visual.screenshots [--only viewer]
"""

from __future__ import annotations

import argparse
import io
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from CTQualityAssessmentLib.mrml.assessment_nodes import find_assessments
from CTQualityAssessmentLib.mrml.scene import create_bare_scene, nodes_of_class
from CTQualityAssessmentLib.mrml.scene_file import load_scene
from PIL import Image
from scipy.spatial import cKDTree

from Testing.viewer.conftest import CHROMIUM
from Testing.viewer.pictures import KNOW_PICTURES, wait_at_rest
from Testing.viewer.running import PATIENCE_S, start_viewer
from Testing.visual.render_views import render_slice_views

ROOT = Path(__file__).parents[2]
_SAMPLE = ROOT / "Resources" / "SampleData" / "CTQA-phantom" / "dicom"
_TARGET = ROOT / "Resources" / "Screenshots"
_MOST_BYTES = 390_000
#: Pictures of a larger screen are reduced to this width.
_WIDEST = 1600


def draw_run(out: Path) -> None:
    """Keep the page of figures of a run, and draw the slice views of its saved scene."""
    (out / "figures.png").replace(_TARGET / "figures.png")
    bare = create_bare_scene()
    load_scene(bare.scene, out / "scene.mrb")
    volumes = nodes_of_class(bare.scene, "vtkMRMLScalarVolumeNode")
    volume, nodes = next((v, found[0]) for v in volumes if (found := find_assessments(bare.scene, v)))
    volume.GetDisplayNode().AutoWindowLevelOff()
    volume.GetDisplayNode().SetWindowLevel(350, 40)
    render_slice_views(bare.scene, volume, nodes.quality, _TARGET / "slice_views.png")


def photograph_viewer(out: Path) -> None:
    """The viewer on the results: scores in the dark, also on a 4K screen, and what was denoised in the light."""
    from playwright.sync_api import sync_playwright

    with start_viewer(None, out, str(out)) as running, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])

        def open_page(size: tuple[int, int], scheme: str) -> Any:
            page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
            page.set_default_timeout(5 * PATIENCE_S * 1000)
            page.add_init_script(KNOW_PICTURES)
            page.goto(running.address)
            page.wait_for_selector("[data-test=score]")
            return page

        def photograph(page: Any, name: str, *places: str) -> None:
            page.mouse.move(5, 5)
            wait_at_rest(page, *places)
            shot = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
            if shot.width > _WIDEST:
                shot = shot.resize((_WIDEST, round(shot.height * _WIDEST / shot.width)), Image.Resampling.LANCZOS)
            save_small(shot, _TARGET / name)

        page = open_page((1280, 720), "dark")
        page.select_option("[data-test=overlay]", "quality")
        page.click("[data-test=worse-next]")
        photograph(page, "viewer.png", "large", "upper", "lower")
        page.close()
        page = open_page((3840, 2160), "dark")
        photograph(page, "viewer-4k.png", "large", "upper", "lower")
        page.close()
        page = open_page((1280, 720), "light")
        page.select_option("[data-test=overlay]", "")
        page.keyboard.press("d")
        page.click("[data-test=denoise]")
        page.wait_for_selector("[data-test=guard] li")
        page.click("[data-test=beside]:enabled")
        page.wait_for_selector("[data-test=comparison]")
        page.locator("[data-test=denoised] h2").evaluate("(one) => one.scrollIntoView()")
        photograph(page, "viewer-denoised.png", "large", "second", "difference")
        browser.close()


def save_small(picture: Image.Image, path: Path) -> None:
    """As a PNG below the limit: with as many colours as fit."""
    for colours in (None, 256, 128, 64):
        made = io.BytesIO()
        (picture if colours is None else _with_colours(picture, colours)).save(made, "png", optimize=True)
        if made.tell() <= _MOST_BYTES:
            path.write_bytes(made.getvalue())
            return
    raise ValueError(f"{path.name} does not fit into {_MOST_BYTES} bytes")


def _with_colours(picture: Image.Image, count: int) -> Image.Image:
    """A quarter of the colours are those of the large flat parts, unchanged: a tint of the page would be seen at once.

    Of the rest each counts once when they are chosen, however few pixels have it: else letters lose theirs.
    """
    pixels = np.asarray(picture).reshape(-1, 3)
    seen, place, often = np.unique(pixels, axis=0, return_inverse=True, return_counts=True)
    flat = seen[np.argsort(-often, kind="stable")[: count // 4]]
    others = Image.fromarray(np.unique(seen & 0xF8, axis=0)[None]).quantize(count - len(flat))
    chosen = np.array(others.getpalette()[: 3 * (count - len(flat))], dtype=np.uint8).reshape(-1, 3)
    palette = np.concatenate([flat, chosen])
    _, nearest = cKDTree(palette).query(seen)  # Pillow's own search is a few steps off
    reduced = Image.fromarray(nearest[place.ravel()].astype(np.uint8).reshape(picture.height, picture.width), "P")
    reduced.putpalette(palette.ravel().tolist())
    return reduced


def main() -> None:
    """Assess the sample and make all pictures, or those of the viewer alone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=("run", "viewer"))
    only = parser.parse_args().only
    _TARGET.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / "out"
        command = [sys.executable, "-m", "CTQualityAssessmentLib.cli", "assess", str(_SAMPLE), "--out", str(out)]
        subprocess.run(command, check=True)
        if only != "run":
            photograph_viewer(out)
        if only != "viewer":
            draw_run(out)


if __name__ == "__main__":
    main()
