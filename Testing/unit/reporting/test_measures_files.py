"""measures.json, measures.csv and their place in the web page."""

from __future__ import annotations

import csv
import html
import json

import jsonschema
import pytest
from CTQualityAssessmentLib.assessment.measures import measure_volume
from CTQualityAssessmentLib.reporting.measure_labels import MEASURE_WORDS
from CTQualityAssessmentLib.reporting.measures_file import (
    COLUMNS,
    measures_schema,
    measures_to_json,
    read_measures,
    write_measures,
)
from CTQualityAssessmentLib.reporting.page_charts import draw_profile
from CTQualityAssessmentLib.reporting.web_page import write_web_page

from Testing.assessment_factory import make_assessment
from Testing.measures_factory import as_volume, noisy, patient_slice


@pytest.fixture(scope="module")
def volume():
    return as_volume([noisy(patient_slice(), 12.0, seed) for seed in range(4)])


@pytest.fixture(scope="module")
def measures(volume):
    return measure_volume(volume)


def test_json_fits_its_schema_and_comes_back(measures, tmp_path):
    """A program written against the schema can read every document, and none is lost on the way."""
    write_measures(tmp_path, measures)
    document = json.loads((tmp_path / "measures.json").read_text(encoding="utf-8"))
    validator = jsonschema.Draft202012Validator(measures_schema())
    jsonschema.Draft202012Validator.check_schema(measures_schema())
    validator.validate(document)
    assert read_measures(tmp_path / "measures.json") == measures
    document["slices"][0]["noise_hu"] = -1
    assert not validator.is_valid(document)


def test_schema_knows_every_figure(measures):
    """A figure added to the code and not to the schema would make valid results invalid."""
    figures = {words.name for words in MEASURE_WORDS}
    definitions = measures_schema()["$defs"]
    assert figures <= set(definitions["slice"]["properties"]) and figures <= set(definitions["volume"]["properties"])
    assert "ctdivol" in measures_to_json(measures)  # no dose in the headers: the reason is told


def test_csv_has_a_row_a_slice_and_reasons(measures, tmp_path):
    """A spreadsheet shows an empty cell where nothing was measured, and says why."""
    write_measures(tmp_path, measures)
    with (tmp_path / "measures.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS and len(rows) == 4
    assert [float(row["noise_hu"]) for row in rows] == pytest.approx([s.noise_hu for s in measures.slices], rel=1e-5)
    assert rows[0]["ssde_mgy"] == "" and "ssde_mgy=no-ctdivol" in rows[0]["missing"].split()


def test_page_shows_each_measure_with_value_and_how_to_read_it(volume, measures, tmp_path):
    """A reader who is no physicist meets no bare number, and n/a comes with its reason."""
    assessment = make_assessment(volume)
    write_web_page(tmp_path / "index.html", assessment, measures=measures)
    page = html.unescape((tmp_path / "index.html").read_text(encoding="utf-8"))
    for words in MEASURE_WORDS:
        assert words.label in page and words.how_to_read in page
    assert f"{measures.volume.noise_hu:.1f} HU" in page and "n/a: The headers give no CTDIvol." in page
    # The curves along the patient and the noise power spectrum.
    assert page.count("data:image/svg+xml;base64,") == 2 and "measures.csv" in page


def test_profile_draws_what_there_is(volume, measures):
    """Noise and size stand beside the score along the patient; a figure nobody has takes no room."""
    figure, _ = draw_profile(make_assessment(volume), measures)
    labels = [axes.get_ylabel() for axes in figure.axes[1:]]
    assert labels == ["Noise (HU)", "Water-equivalent\ndiameter (mm)"]
    drawn = figure.axes[1].lines[0].get_ydata()
    assert list(drawn) == [one.noise_hu for one in measures.slices]
