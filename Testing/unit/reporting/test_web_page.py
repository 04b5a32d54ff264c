"""index.html stands alone and tells the whole result."""

from __future__ import annotations

import html
import importlib.util
import json
import re
from dataclasses import replace

import jsonschema
import pytest
from CTQualityAssessmentLib.measures import FIGURES, REASONS, PhysicalMeasures, SliceMeasures, VolumeMeasures
from CTQualityAssessmentLib.reporting.fact_labels import FACT_LABELS
from CTQualityAssessmentLib.reporting.json_file import assessment_schema, to_json
from CTQualityAssessmentLib.reporting.measures_file import measures_schema, measures_to_json
from CTQualityAssessmentLib.reporting.page_charts import draw_profile
from CTQualityAssessmentLib.reporting.web_page import refused_ranges, write_web_page

from Testing.assessment_factory import make_assessment, make_attention, make_volume
from Testing.page_elements import Elements, nameless, outside_sources

SECTIONS = {
    "warnings": "Warnings",
    "along": "Along the patient",
    "slices": "Worst, median and best slice",
    "refused": "Slices without a score",
    "measures": "Physical measures",
    "acquisition": "Acquisition",
    "not": "What the score is not",
    "made": "How this was made",
}


def _page(tmp_path, assessment, **kwargs):
    write_web_page(tmp_path / "index.html", assessment, **kwargs)
    return (tmp_path / "index.html").read_text(encoding="utf-8")


def _measures(slices, missing="no-body", partial=False, **figures):
    """Measures with the given figures in every slice and in the volume; all others missing for one reason."""
    reasons = dict.fromkeys((name for name in FIGURES if name not in figures), missing)
    return PhysicalMeasures(
        volume=VolumeMeasures(
            **figures, slices_measured={n: slices * (n in figures) for n in FIGURES}, missing=reasons
        ),
        slices=tuple(SliceMeasures(k, (0.0, 0.0, float(k)), **figures, missing=reasons) for k in range(slices)),
        reasons={missing: REASONS[missing]},
        partial=partial,
    )


def _whole(volume):
    attention = [make_attention(volume, temperature) for temperature in ("scan", "focus")]
    return make_assessment(volume, attention=attention)


def _dosed(assessment, **values):
    """The assessment with a value for each slice in the named header fields."""
    slices = [
        replace(one, **{name: per_slice[one.index] for name, per_slice in values.items()}) for one in assessment.slices
    ]
    return replace(assessment, slices=tuple(slices))


RUNS = {
    "whole": lambda v: (_whole(v), {"volume": v, "measures": _measures(6, noise_hu=12.0)}),
    "partial": lambda v: (
        replace(make_assessment(v, [1.0, 2.0, None, None, None, None]), partial=True),
        {"volume": v, "measures": _measures(6, "not-run", partial=True, noise_hu=9.0)},
    ),
    "all refused": lambda v: (make_assessment(v, [None] * 6), {"volume": v, "measures": _measures(6)}),
    "without measures": lambda v: (_whole(v), {"volume": v}),
    "without pictures": lambda v: (make_assessment(v), {}),
    "one slice": lambda v: (make_assessment(v, [3.1]), {"volume": v, "measures": _measures(1, noise_hu=12.0)}),
}


@pytest.fixture(params=RUNS)
def run(request):
    return RUNS[request.param](make_volume((1 if request.param == "one slice" else 6, 20, 24)))


def test_every_section_is_there_and_can_be_reached(run, tmp_path):
    """A reader of a cancelled or refused run must find why something is missing, not a page that lacks it."""
    assessment, others = run
    page = _page(tmp_path, assessment, **others)
    elements = Elements(page)
    ids = [attributes["id"] for _, attributes in elements.found if "id" in attributes]
    assert len(ids) == len(set(ids)) and set(ids) == {*SECTIONS, "verdict"}
    assert [a["href"] for a in elements.all("a")] == ["#verdict", *(f"#{name}" for name in SECTIONS)]
    assert [a["aria-labelledby"] for a in elements.all("section")] == list(SECTIONS)
    for name, title in SECTIONS.items():
        assert f'<h2 id="{name}">{title}</h2>' in page
    for section in re.split("<h2", page)[1:]:
        assert len(html.unescape(re.sub("<[^>]+>", "", section.split(">", 1)[1])).strip()) > 30, section[:80]
    assert "SHA-256" in page and assessment.model.sha256 in page and "not a medical device" in page
    assert all(f"{name} {version}" in page for name, version in assessment.versions.items())


def test_documents_beside_every_page_fit_their_schemas(run):
    """A program that reads the reports of a department must not stumble over a cancelled or refused run."""
    assessment, others = run
    jsonschema.Draft202012Validator(assessment_schema()).validate(json.loads(to_json(assessment)))
    if "measures" in others:
        jsonschema.Draft202012Validator(measures_schema()).validate(json.loads(measures_to_json(others["measures"])))


def test_page_loads_nothing_from_anywhere(run, tmp_path):
    """A mailed page must still show its figures, and opening it must tell nobody."""
    assessment, others = run
    page = _page(tmp_path, assessment, **others)
    assert outside_sources(page) == []


def test_every_picture_and_table_has_words(run, tmp_path):
    """Who cannot see the page has it read aloud: pictures need words, tables a name and headed rows and columns."""
    assessment, others = run
    page = _page(tmp_path, assessment, **others)
    elements = Elements(page)
    assert nameless(page) == []
    assert {"header", "nav", "main", "footer", "h1"} <= {tag for tag, _ in elements.found}


def test_each_figure_tells_how_to_read_it(tmp_path):
    """A curve without its key is read as whatever the reader expects."""
    volume = make_volume()
    page = _page(tmp_path, _whole(volume), volume=volume, measures=_measures(6, noise_hu=12.0))
    assert page.count("How to read it.") + page.count("How to read them.") == 2
    assert (
        "not where a defect is" in page and "one standard deviation" in page and "not an error against readers" in page
    )
    pictures = [a for a in Elements(page).all("img") if a["src"].startswith("data:image/png")]
    assert len(pictures) == 3 * 3 and all(int(a["width"]) >= 260 for a in pictures)
    assert sum("where it focused" in a["alt"] for a in pictures) == 3


def test_header_text_cannot_become_markup(tmp_path):
    """A kernel name is whatever a file says; it must not run as a script in the reader's browser."""
    page = _page(tmp_path, replace(make_assessment(make_volume()), facts={"kernel": "<script>alert(1)</script>"}))
    assert "<script>" not in page and "&lt;script&gt;" in page


def test_page_tells_verdict_worth_warnings_and_refusals(tmp_path):
    """What changes trust in the number stands on the same page as the number."""
    assessment = make_assessment(make_volume())
    page = html.unescape(_page(tmp_path, assessment))
    for expected in (assessment.model.statement, "not a medical device", *assessment.warnings, "No patient in view"):
        assert expected in page
    assert f"{assessment.summary.mean:.1f} of 4" in page and "scene.mrb" not in page
    assert "1 of 6 slices has no score." in page and "2 of 5 scored slices are below 2" in page
    assert "Partial" not in page and "Partial" in _page(tmp_path, replace(assessment, partial=True))
    assert "scene.mrb" in _page(tmp_path, assessment, scene=True)
    assert "no radiologist gave them" in page
    readers = replace(assessment, model=replace(assessment.model, simulated_labels=False))
    assert "no radiologist gave them" not in html.unescape(_page(tmp_path, readers))


def test_dose_of_each_slice_stands_beside_its_score():
    """Where the dose was turned down and the score fell with it, both must be seen at the same slice."""
    volume = make_volume()
    current, dose = [100.0, 90.0, None, 70.0, 60.0, 50.0], [5.0, 4.0, 3.0, None, 2.0, 1.0]
    assessment = _dosed(make_assessment(volume), tube_current_ma=current, ctdivol_mgy=dose)
    figure, left_out = draw_profile(assessment, _measures(6, noise_hu=12.0, ssde_mgy=6.0))
    drawn = {
        axes.get_ylabel(): [[None if v != v else v for v in x.get_ydata()] for x in axes.lines]
        for axes in figure.axes[1:]
    }
    assert drawn["Tube current\n(mA)"] == [current]
    assert drawn["Dose (mGy)"] == [dose, [6.0] * 6] and drawn["Noise (HU)"] == [[12.0] * 6]
    assert left_out == ["size (there is no patient, or too little, in the slice)"]


def test_curves_that_are_not_there_are_named(tmp_path):
    """Absent is not zero: the page says that the headers give no dose, and draws no line for it."""
    figure, left_out = draw_profile(make_assessment(make_volume()), None)
    assert len([axes for axes in figure.axes if axes.lines]) == 1
    assert left_out == [
        "noise (it was not measured)",
        "dose (the headers give no CTDIvol)",
        "tube current (the headers give no tube current for each slice)",
        "size (it was not measured)",
    ]
    page = html.unescape(_page(tmp_path, make_assessment(make_volume())))
    assert all(words in page for words in left_out)


def test_dose_and_phantom_are_among_the_facts(tmp_path):
    """A dose without its phantom may be wrong by a factor of two, and a median hides the modulation."""
    assessment = _dosed(make_assessment(make_volume()), tube_current_ma=[100.0, 90.0, 80.0, 70.0, 60.0, 50.0])
    facts = {"ctdivol_mgy": 7.5, "ctdi_phantom_cm": 32, "tube_current_ma": 75.0}
    page = html.unescape(_page(tmp_path, replace(assessment, facts=facts)))
    assert "<td>32 cm</td>" in page and "<td>7.5 mGy</td>" in page and "<td>50 to 100 mA</td>" in page
    assert all(label in page for _, label, _ in FACT_LABELS)


def test_page_without_matplotlib_says_so(tmp_path, monkeypatch):
    """3D Slicer has no matplotlib: the report there must still be written, and not pretend to be whole."""
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "matplotlib" else find(name))
    page = _page(tmp_path, make_assessment(make_volume()), volume=make_volume())
    assert not Elements(page).all("img") and "matplotlib is not installed" in page


def test_equal_results_give_equal_pages(tmp_path):
    """A changed file then means a changed result, and no date slips in."""
    volume = make_volume()
    first, second = (_page(tmp_path, _whole(volume), volume=volume, measures=_measures(6)) for _ in range(2))
    assert first == second


def test_refused_slices_are_told_as_ranges():
    """Three hundred refused slices are one line, and every one of them is in it."""
    scores = [None, None, None, 1.0, None, 2.0, None, None]
    assessment = make_assessment(make_volume((8, 20, 24)), scores)
    assert [ranges for _, ranges in refused_ranges(assessment)] == ["0-2, 4, 6-7"]
