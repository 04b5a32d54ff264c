"""If these fail, a hospital cannot fit the weights to its own scores, or is told figures that are too good."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

pytest.importorskip("accelerate")
pytest.importorskip("astra")

from CTQualityAssessmentLib.assessment import assess_volume
from CTQualityAssessmentLib.models import find_bundle, load_bundle
from CTQualityAssessmentLib.reading import read_volume
from safetensors.torch import load_file

from Testing.phantom_factory import SPACING, degraded_slices
from Training import finetune
from Training.data.score_table import ScoreTableError, read_score_table

PATIENTS = 6
SAMPLE = Path(__file__).parents[3] / "Resources" / "SampleData" / "CTQA-phantom"


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    """Six patients, one NIfTI each with a slice at four settings, scored by a reader who is two points stricter."""
    root = tmp_path_factory.mktemp("hospital")
    rows = []
    for p, variants in enumerate(degraded_slices(7, PATIENTS)):
        hu = np.stack([image for _, image in variants]).astype(np.int16)
        nibabel.save(nibabel.Nifti1Image(hu.T, np.diag([-SPACING, -SPACING, 5.0, 1.0])), root / f"{p}.nii.gz")
        rows += [
            {"file": f"{p}.nii.gz", "score": max(0.0, score - 2), "patient": f"Doe{p}", "slice": k}
            for k, (score, _) in enumerate(variants)
        ]
    return root, rows


def write_table(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_the_tutorial_makes_a_bundle_that_scores_as_its_reader_does(tmp_path, monkeypatch, capsys):
    """The shipped weights, the sample, and a reader who is a point stricter; five slices pass for a patient."""
    with (SAMPLE / "truth.csv").open() as file:
        truth = [row for row in csv.DictReader(file) if int(row["index"]) % 3]
    rows = [
        {
            "file": str(SAMPLE / "dicom" / row["file"]),
            "score": max(0.0, float(row["surrogate_score"]) - 1),
            "patient": f"Doe{int(row['index']) // 5}",
        }
        for row in truth
    ]
    table, out = write_table(tmp_path / "scores.csv", rows), tmp_path / "our-ct"
    monkeypatch.setattr("sys.argv", ["finetune", str(table), "--out", str(out), "--steps", "200", "--repeats", "20"])
    finetune.main()

    ours = json.loads((out / "configs" / "metadata.json").read_text())["ctqa"]
    as_it_was, tuned = ours["evaluation"]
    assert tuned["images"] == as_it_was["images"] == len(rows) == 20
    assert tuned["figures"]["MAE"][0] < as_it_was["figures"]["MAE"][0] - 0.2, "it did not learn the stricter reader"
    model, before = load_bundle(out, "cpu"), load_bundle(device="cpu")
    assert not model.identity.simulated_labels and "table" in model.identity.statement and model.novelty is not None
    best = read_volume(max(rows, key=lambda row: row["score"])["file"])
    assert assess_volume(best, model).slices[0].score < assess_volume(best, before).slices[0].score

    shipped = find_bundle(before.identity.name).folder
    old, new = (load_file(folder / "models" / "model.safetensors") for folder in (shipped, out))
    assert all(old[key].equal(new[key]) for key in old if not key.startswith("head."))
    assert not old["head.fine.weight"].equal(new["head.fine.weight"])
    assert ours["fine_tuned_from"] == {"name": before.identity.name, "sha256": before.identity.sha256}
    text = capsys.readouterr().out + "".join(p.read_text() for p in out.rglob("*") if p.suffix in (".json", ".md"))
    assert "Doe" not in text and "IM-" not in text, "who was scored is nobody's business"
    assert "6 patients" in text and "20 slices of 20 rows" in text


def test_a_score_without_a_slice_stands_for_the_volume_and_files_stand_for_patients(hospital, tmp_path):
    root, rows = hospital
    few = [{"file": row["file"], "score": row["score"]} for row in rows]
    written = write_table(root / "whole.csv", few)
    written.write_text(
        "\ufeff" + written.read_text().replace("\n", ",a remark\n").replace(",a remark", "", 1) + ",\n\n"
    )
    table = read_score_table(written)
    assert not table.names_patients and {one.patient for one in table.slices} == {
        f"{p}.nii.gz" for p in range(PATIENTS)
    }
    assert len(table.slices) >= len(few) and table.rows == len(few)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"score": "4.5"}, "row 3: the score is no number from 0 to 4"),
        ({"score": "good"}, "row 3: the score is no number from 0 to 4"),
        ({"score": ""}, "row 3: the score is no number from 0 to 4"),
        ({"slice": "4"}, "row 3: the slice is no whole number from 0 to 3"),
        ({"slice": "-1"}, "row 3: the slice is no whole number from 0 to 3"),
        ({"file": "Doe.nii.gz"}, "row 3: There is no file or folder at this path"),
        ({"file": "scores.txt"}, "row 3: This is no image that can be read"),
    ],
)
def test_bad_rows_are_named_by_their_number_and_never_by_a_patient(hospital, changes, words):
    root, rows = hospital
    (root / "scores.txt").write_text("nonsense")
    bad = [dict(row) for row in rows]
    bad[1] |= changes
    with pytest.raises(ScoreTableError) as refused:
        read_score_table(write_table(root / "bad.csv", bad))
    assert words in str(refused.value) and refused.value.exit_code == 3
    assert "Doe" not in str(refused.value) and str(root) not in str(refused.value)


@pytest.mark.parametrize("defect", ["too few rows", "one patient", "one score", "heading", "no table"])
def test_tables_that_cannot_be_trained_on_are_refused(hospital, defect):
    root, rows = hospital
    rows = [dict(row) for row in rows]
    if defect == "too few rows":
        rows = rows[:19]
    if defect == "one patient":
        rows = [row | {"patient": "Doe"} for row in rows]
    if defect == "one score":
        rows = [row | {"score": 2.0} for row in rows]
    if defect == "heading":
        rows = [{"image": row["file"], "score": row["score"]} for row in rows]
    path = write_table(root / "refused.csv", rows) if defect != "no table" else root / "absent.csv"
    with pytest.raises(ScoreTableError) as refused:
        read_score_table(path)
    assert refused.value.advice


def test_nothing_is_written_over_and_other_networks_are_refused(hospital, tmp_path):
    root, rows = hospital
    table = read_score_table(write_table(root / "scores.csv", rows))
    (tmp_path / "there").mkdir()
    with pytest.raises(finetune.FineTuningError, match="something at the place"):
        finetune.fine_tune(table, "clinreadnet-small-simulated", tmp_path / "there")
    with pytest.raises(finetune.FineTuningError, match="no ClinReadNet"):
        finetune.fine_tune(table, "lidnet-light-simulated", tmp_path / "other")
    assert not (tmp_path / "other").exists()
