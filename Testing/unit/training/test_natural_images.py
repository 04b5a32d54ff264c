"""Stage A of TFKT: rated natural images as published, and photographs made worse by known steps."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from Training.data.challenge import TrainingDataError
from Training.data.opinions import read_opinions
from Training.data.photographs import DISTORTIONS, GRADES, PHOTOGRAPHS, GradedPhotograph, graded_photographs


def picture(path, value, size=(20, 16)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 10, 20)).save(path)


def kadid(root):
    for name in ("I01_01_01.png", "I01_01_05.png"):
        picture(root / "images" / name, 100)
    (root / "dmos.csv").write_text(
        "dist_img,ref_img,dmos,var\nI01_01_01.png,I01.png,4.57,0.496\nI01_01_05.png,I01.png,1.00,0.3\n"
    )
    return {"I01_01_01.png": 3.57, "I01_01_05.png": 0.0}


def tid(root):
    for name in ("I01_01_1.bmp", "i02_24_5.bmp"):
        picture(root / "distorted_images" / name, 100)
    (root / "mos_with_names.txt").write_text("5.51429 I01_01_1.bmp\n0.90000 I02_24_5.bmp\n")
    return {"I01_01_1.bmp": 5.51429 * 4 / 9, "i02_24_5.bmp": 0.4}


def koniq(root):
    for name in ("826373.jpg", "10004473376.jpg"):
        picture(root / "512x384" / name, 100)
    (root / "koniq10k_scores_and_distributions.csv").write_text(
        '"image_name","c1","c2","c3","c4","c5","c_total","MOS","SD","MOS_zscore"\n'
        '"826373.jpg",0,0,25,73,7,105,3.828571,0.52,77.3\n"10004473376.jpg",0,6,52,47,1,106,3.40566,0.6,65.0\n'
    )
    return {"826373.jpg": 2.828571, "10004473376.jpg": 2.40566}


@pytest.mark.parametrize("layout", [kadid, tid, koniq])
def test_published_layouts_are_read_onto_one_scale(layout, tmp_path):
    """Else stage A learns from scores that are upside down or off, or whoever has the data cannot use it."""
    expected = layout(tmp_path)
    images = read_opinions(tmp_path)
    assert {one.path.name: one.score for one in images} == pytest.approx(expected)
    view = images[0].view(np.random.default_rng(0), 12)
    assert (
        view.shape == (3, 12, 12) and view.dtype == np.float32 and view[0, 5, 5] == pytest.approx(100 / 255, abs=0.02)
    )
    assert images[0].view(np.random.default_rng(0)).shape == (3, 16, 20)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda root: (root / "dmos.csv").unlink(),
        lambda root: (root / "images" / "I01_01_01.png").unlink(),
        lambda root: (root / "dmos.csv").write_text("dist_img,ref_img,dmos,var\nI01_01_01.png,I01.png,5.57,0.1\n"),
        lambda root: (root / "dmos.csv").write_text("dist_img,ref_img,dmos,var\nI01_01_01.png,I01.png,good,0.1\n"),
        lambda root: (root / "dmos.csv").write_text("name,score\nI01_01_01.png,3\n"),
        lambda root: (root / "dmos.csv").write_text("dist_img,ref_img,dmos,var\n"),
    ],
)
def test_a_folder_that_is_not_as_published_is_refused(spoil, tmp_path):
    kadid(tmp_path)
    spoil(tmp_path)
    with pytest.raises(TrainingDataError):
        read_opinions(tmp_path)


def test_a_damaged_image_is_refused(tmp_path):
    kadid(tmp_path)
    (tmp_path / "images" / "I01_01_01.png").write_bytes(b"no image")
    with pytest.raises(TrainingDataError):
        read_opinions(tmp_path)[0].view(np.random.default_rng(0))


@pytest.mark.parametrize("distortion", DISTORTIONS)
def test_each_step_is_further_from_the_photograph(distortion):
    """The grade is the label: where a worse one changed the picture less, the label would be wrong."""
    clean = GradedPhotograph("camera.png", distortion, 0).view(np.random.default_rng(3), 96)
    errors = []
    for grade in range(len(GRADES)):
        one = GradedPhotograph("camera.png", distortion, grade)
        seen = one.view(np.random.default_rng(3), 96)
        assert seen.shape == (3, 96, 96) and seen.dtype == np.float32 and 0 <= seen.min() <= seen.max() <= 1
        errors.append(float(np.square(seen - clean).mean()))
        assert one.score == GRADES[grade]
    assert errors[0] == 0 and errors == sorted(errors) and len(set(errors)) == len(errors)


def test_every_photograph_is_in_the_installed_package_and_counts_the_same():
    images = graded_photographs()
    assert len(images) == len(PHOTOGRAPHS) * len(DISTORTIONS) * len(GRADES)
    for name in PHOTOGRAPHS:
        whole = GradedPhotograph(name, "noise", 0).view(np.random.default_rng(0))
        assert whole.shape[0] == 3 and min(whole.shape[1:]) >= 191 and whole.std() > 0.02


def test_a_view_depends_on_its_seed_alone():
    one = GradedPhotograph("moon.png", "streaks", 3)
    first, again, other = (one.view(np.random.default_rng(seed), 64) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
