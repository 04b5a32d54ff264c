"""If these fail, the accuracy table flatters a method, or cannot be written again."""

from __future__ import annotations

import json

import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

pytest.importorskip("accelerate")
pytest.importorskip("skimage")

from Testing.bundle_factory import write_bundle
from Testing.unit.training.miniature import NETWORK
from Training.accuracy import __main__ as command
from Training.accuracy import readings as readings_module
from Training.accuracy.baselines import Ridge, _asymmetric, mscn_features
from Training.accuracy.readings import Reader
from Training.metrics.coverage import coverage, interval
from Training.recipe import read_recipe
from Training.scorers import SeenPatientsError
from Training.train import train

#: Two scanners with one patient each, one with two; the held-out patient is of the last.
PATIENTS = ("lidc0314", "cptac00189", "crlm1006", "rider0117", "acrin001")
SCANNERS = {"philips_chest_lidc0314": "A", "ge_abdomen_sharp_cptac00189": "B", "ge_abdomen_contrast_crlm1006": "C",
            "ge_chest_rider0117": "C", "ge_abdomen_pelvis_acrin001": "D"}  # fmt: skip


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Sixty images, four a slice, whose noise falls as the score rises; a run, a bundle, and a manifest of scanners."""
    root = tmp_path_factory.mktemp("accuracy")
    (root / "set" / "image").mkdir(parents=True)
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:64, :64] - 32.0
    inside = np.hypot(rows, columns) < 26
    scores, groups = {}, {}
    for n in range(60):
        step = n % 4
        noise = gaussian_filter(rng.normal(0, 1, (64, 64)), 0.6) * 0.08 / 2**step
        image = np.clip(np.where(inside, 0.8 + noise, 0.04), 0, 1).astype(np.float32)
        name = f"{n:04d}.tif"
        tifffile.imwrite(root / "set" / "image" / name, image)
        scores[name] = step * 1.2
        groups[name] = {"patient": PATIENTS[n // 12], "source": f"s{n // 4}", "dose": 0.125 * 2**step, "views": 720}
    for name, content in (("train.json", scores), ("groups.json", groups), ("surrogate.json", {})):
        (root / "set" / name).write_text(json.dumps(content))
    manifest = [{"file": f"ct/volumes/{k}.nii.gz", "manufacturer": "M", "model": v} for k, v in SCANNERS.items()]
    (root / "manifest.json").write_text(json.dumps(manifest))
    recipe = {
        "name": "tiny",
        "data": str(root / "set"),
        "held_out": ["acrin001"],
        "network": NETWORK,
        "phases": [{"steps": 1, "batch": 4, "crop": 32, "lr": 1e-3}],
        "precision": "no",
    }
    (root / "tiny.yaml").write_text(json.dumps(recipe))
    train(read_recipe(root / "tiny.yaml"), root / "runs" / "ablation_tiny")
    bundle = write_bundle(root / "models" / "tiny-bundle")
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text())
    metadata["ctqa"]["held_out_patients"] = ["acrin001"]
    (bundle / "configs" / "metadata.json").write_text(json.dumps(metadata))
    return root


def test_one_command_writes_the_whole_table(project, tmp_path, monkeypatch):
    monkeypatch.setenv("CTQA_DATA", str(project))
    monkeypatch.setenv("CTQA_MODELS", str(project / "models"))
    named = [f"tiny bundle={project / 'models' / 'tiny-bundle'}", f"tiny run={project / 'runs' / 'ablation_tiny'}"]
    where = ["--data", str(project / "set"), "--cache", str(tmp_path / "cache"), "--runs", str(tmp_path / "runs")]
    how = ["--held-out", "acrin001", "--strangers", "2", "--repeats", "10", "--out", str(tmp_path / "ACCURACY.md")]
    scanner = ["--scanner-recipe", str(project / "tiny.yaml")]
    monkeypatch.setattr("sys.argv", ["accuracy", *named, *where, *how, *scanner])
    command.main()

    table = json.loads((tmp_path / "ACCURACY.json").read_text())
    kinds = [(row["name"], row["kind"]) for row in table["methods"]]
    assert [kind for _, kind in kinds] == ["baseline", "baseline", "bundle", "run"] and kinds[2][0] == "tiny bundle"
    assert all(row["images"] == 12 and row["pairs"]["dose"][1] == 18 for row in table["methods"])
    noise = table["methods"][0]
    assert noise["figures"]["PLCC"][0] > 0.9 and noise["pairs"]["dose"] == [18, 18]
    for row in table["methods"][2:]:
        assert set(row["coverage"]) == {"0.5", "0.8", "0.95"} and "sum above noise" in row["figures"]
    (refusals,) = table["refusals"]
    assert refusals["wrong_refusals"] == {"simulated, held-out patients": [0, 12]}
    assert set(refusals["wrong_acceptances"]) == {
        "head (Shepp-Logan)",
        "photograph",
        "noise",
    }  # the others have no data

    # A scanner's methods were fitted without its patients, the two of scanner C together.
    assert set(table["scanners"]) == {"M A", "M B", "M C", "M D"}
    assert {row["name"] for row in table["scanners"]["M C"]} >= {"tiny"}
    recipe = json.loads((tmp_path / "runs" / "scanner-crlm1006-rider0117-tiny" / "recipe.json").read_text())
    assert recipe["held_out"] == ["acrin001", "crlm1006", "rider0117"]
    page = (tmp_path / "ACCURACY.md").read_text()
    for words in (
        "**tiny bundle**",
        "baseline: noise level",
        "Wrong refusals",
        "Leave one scanner out",
        "computed labels",
    ):
        assert words in page

    before = {path.name: path.read_bytes() for path in (tmp_path / "cache").iterdir()}
    monkeypatch.setattr(readings_module, "read_slice", lambda *_: pytest.fail("a slice was read twice"))
    command.main()
    assert (tmp_path / "ACCURACY.md").read_text() == page
    assert {path.name: path.read_bytes() for path in (tmp_path / "cache").iterdir()} == before


def test_a_scorer_that_may_have_seen_a_held_out_patient_is_refused(project, tmp_path):
    with pytest.raises(SeenPatientsError, match="held-out"):
        Reader(project / "models" / "tiny-bundle", ("acrin001", "rider0117"), tmp_path)


def test_readings_are_those_of_the_engine_and_kept_by_the_weights(project, tmp_path):
    folder = project / "models" / "tiny-bundle"
    empty = np.full((64, 64), -1000.0, dtype=np.float32)
    body = empty.copy()
    body[16:48, 16:48] = 40 + np.random.default_rng(0).normal(0, 20, (32, 32))
    reader = Reader(folder, ("acrin001",), tmp_path)
    nothing, something = reader([empty, body])
    assert (nothing.score, nothing.refusal) == (None, "no-body") and something.refusal is None
    assert 0 <= something.score <= 4 and sum(something.probabilities) == pytest.approx(1, abs=1e-3)
    again = Reader(folder, ("acrin001",), tmp_path)
    assert again([body]) == [something] and again.new == 0
    assert [path.stem for path in tmp_path.iterdir()] == [reader.model.identity.sha256[:16]]


def test_natural_image_statistics_find_the_shape_of_a_distribution():
    rng = np.random.default_rng(1)
    for values, shape in (
        (rng.normal(0, 3, 200_000), 2),
        (rng.laplace(0, 3, 200_000), 1),
        (rng.uniform(-1, 1, 200_000), 10),
    ):
        found, left, right = _asymmetric(values)
        assert found == pytest.approx(shape, rel=0.05) and left == pytest.approx(right, rel=0.02)
    assert _asymmetric(np.abs(rng.normal(0, 3, 1000)))[2] > 1
    features = mscn_features(0.7 + 0.05 * rng.normal(0, 1, (128, 128)))
    blurred = mscn_features(0.7 + 0.05 * gaussian_filter(rng.normal(0, 1, (128, 128)), 1.5))
    assert features.shape == (36,) and np.abs(blurred - features).max() > 0.3
    assert np.isfinite(mscn_features(np.zeros((64, 64)))).all()


def test_ridge_finds_a_linear_rule_and_stays_on_the_scale():
    rng = np.random.default_rng(2)
    x = rng.normal(0, 3, (200, 5))
    y = np.clip(2 + 0.2 * x[:, 0] - 0.1 * x[:, 3], 0, 4)
    ridge = Ridge.fit(x, y, penalty=1e-4)
    assert np.abs(ridge(x) - y).max() < 0.2
    assert ridge(100 * x).max() == 4 and ridge(100 * x).min() == 0


def test_intervals_hold_what_they_say():
    values = np.linspace(0, 4, 21)
    rng = np.random.default_rng(3)
    centres = rng.uniform(1, 3, 4000)
    probabilities = np.exp(-0.5 * ((values - centres[:, None]) / 0.4) ** 2)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    true = np.clip(centres + rng.normal(0, 0.4, 4000), 0, 4)
    honest = coverage(probabilities, true)
    for share, found in honest.items():
        assert found.share == pytest.approx(share, abs=0.03)
    assert honest[0.5].width == pytest.approx(2 * 0.674 * 0.4, rel=0.1) and honest[0.95].width < 1.8
    too_sure = coverage(np.eye(21)[np.full(4000, 10)], true)
    assert too_sure[0.95].share < 0.3 and too_sure[0.95].width == pytest.approx(0.19)
    low, high = interval(np.eye(21)[[0, 20]], 0.95)
    assert 0 <= low[0] < high[0] < 0.1 and 3.9 < low[1] < high[1] <= 4, "a certain 0 or 4 must lie in its interval"
    assert coverage(np.eye(21)[[0, 20, 7]], np.array([0.0, 4.0, 1.4]))[0.5].share == 1
