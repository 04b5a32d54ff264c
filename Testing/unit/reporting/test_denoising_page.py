"""The page of a denoising: if these fail, a reader trusts a volume from which lesions were taken."""

from __future__ import annotations

import base64
import html
import io
import json
import re
from dataclasses import replace

import jsonschema
import numpy as np
import pytest
from CTQualityAssessmentLib.denoising import (
    SCORER_WARNING,
    BeforeAfter,
    DenoisingReport,
    Finding,
    Findings,
    Retention,
    SpectraBeforeAfter,
    Strength,
    TissueBias,
)
from CTQualityAssessmentLib.measures import NoisePowerSpectrum
from CTQualityAssessmentLib.reporting import page_parts
from CTQualityAssessmentLib.reporting.denoising_file import (
    DenoisingFolderError,
    denoising_schema,
    denoising_to_json,
    read_denoising,
    write_denoising,
)
from CTQualityAssessmentLib.reporting.denoising_page import denoising_view, write_denoising_page
from CTQualityAssessmentLib.reporting.denoising_pictures import changes_hu, compared_slices, telling_slices
from CTQualityAssessmentLib.reporting.volume_file import write_volume
from CTQualityAssessmentLib.reporting.web_page import write_web_page
from PIL import Image

from Testing.assessment_factory import MODEL, make_assessment, make_volume
from Testing.page_elements import Elements, nameless, outside_sources

GOOD = Retention(4, 20, "soft tissue", 48, 8, 0.934, (0.92, 0.94), 0.88, 2, 0.91)
LOST = Retention(8, 10, "lung", 9, 2, 0.5, (0.4, 0.6), 0.3, 4, 0.35)
NO_ROOM = Retention(4, 150, "lung")


def spectrum(height):
    return NoisePowerSpectrum((0.1, 0.2, 0.3), (height, 2 * height, height), 5)


REPORT = DenoisingReport(
    MODEL,
    Strength(0.5, 1, 1),
    6,
    5,
    False,
    "cpu",
    2.0,
    {"ctqualityassessment": "0.1.0"},
    retention=(GOOD,),
    measures={
        "noise_hu": BeforeAfter(20.0, 9.0),
        "nps_peak_per_mm": BeforeAfter(None, None, "There is no peak."),
        "edge_10_90_mm": BeforeAfter(1.4, None, "Too little skin."),
    },
    noise_power=SpectraBeforeAfter(spectrum(40.0), spectrum(10.0)),
    bias={"fat": TissueBias(-0.44, 12300.0), "muscle": TissueBias(-0.01, 500.0)},
    scores=BeforeAfter(1.5, 3.0),
    findings=Findings((Finding(1, 3, 4, 5, 9, 9, 0.8),), ()),
    warnings=("Something to know.",),
)


@pytest.fixture(scope="module")
def volumes():
    """Five of six slices changed, by 1 to 5 HU; the fourth most."""
    original = make_volume((6, 40, 44))
    hu = original.hu.copy()
    for k, change in enumerate((0, 1, 2, 5, 3, 4)):
        hu[k] = np.where(hu[k] > -500, hu[k] - change, hu[k])
    return original, replace(original, hu=hu)


def page_of(tmp_path, report=REPORT, volumes=(None, None), **kwargs):
    path = tmp_path / "index.html"
    write_denoising_page(path, report, original=volumes[0], denoised=volumes[1], **kwargs)
    return html.unescape(path.read_text(encoding="utf-8"))


def heading(page):
    return re.search(r"<h1[^>]*>([^<]*)</h1>", page)


def test_a_red_flag_is_the_first_thing_on_the_page(tmp_path):
    page = page_of(tmp_path, replace(REPORT, retention=(GOOD, LOST)))
    assert heading(page)[1] == "Red flag: 50 % of a lesion's signal kept" and 'class="alert"' in heading(page)[0]
    assert LOST.sentence() in page and "lower the strength, or keep the original" in page
    assert page.index(LOST.sentence()) < page.index("SHA-256")
    assert re.search(r'<tr class="flag"><th scope="row">8 mm, ±10 HU, lung</th><td>9 in 2</td><td>50 % RED FLAG', page)


def test_the_headline_says_no_more_than_was_looked_at(tmp_path):
    whole = page_of(tmp_path)
    assert heading(whole)[1] == "93 % or more of the lesions' signal kept" and 'class="alert"' not in whole
    part = page_of(tmp_path, replace(REPORT, retention=(GOOD, NO_ROOM)))
    assert heading(part)[1].endswith("where it could be measured") and "n/a: no room for such a lesion" in part
    for retention, why in (((NO_ROOM,), "no room for one"), ((), "the guard was not run")):
        page = page_of(tmp_path, replace(REPORT, retention=retention))
        assert heading(page)[1] == "Not known whether lesions survive" and why in page


def test_every_figure_stands_with_its_way_to_read_it(tmp_path, volumes):
    page = page_of(tmp_path, volumes=volumes, files=("denoised.nii.gz",))
    text = re.sub(r"\s+", " ", re.sub("<[^>]+>", "|", page))
    for row in (
        "|Global noise level||20.0 HU||9.0 HU||-55 %|",
        "|NPS peak frequency||n/a: There is no peak.||n/a||n/a|",
        "|Edge sharpness (10-90 %)||1.40 mm||n/a: Too little skin.||n/a|",
        "|fat||-0.4 HU||123 cm²|",
        "|muscle||0.0 HU||5 cm²|",
        "|lung||n/a: not in view||n/a|",
        "|1-3, 0.80||",
    ):
        assert row in text.replace("| |", "||"), row
    assert f"Mean quality score: 1.50 before, 3.00 after. |{SCORER_WARNING}" in text
    for words in (
        MODEL.sha256,
        MODEL.statement,
        "lung 50 %",
        "Something to know.",
        "denoised.nii.gz",
        "1 before, 0 after",
    ):
        assert words in page
    assert page.count("How to read") >= 5 and "It is not proof that nothing was lost" in page
    assert "5 of 6 slices were denoised" in page and "fell from 20.0 to 9.0 HU (-55 %)" in page


def test_the_page_stands_alone_and_can_be_read_aloud(tmp_path, volumes):
    write_denoising_page(tmp_path / "index.html", REPORT, original=volumes[0], denoised=volumes[1])
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert outside_sources(page) == [] and nameless(page) == []
    pictures = [a for a in Elements(page).all("img") if a["src"].startswith("data:image/png")]
    assert len(pictures) == 9 and {"header", "nav", "main", "footer"} <= {tag for tag, _ in Elements(page).found}
    again = tmp_path / "again.html"
    write_denoising_page(again, REPORT, original=volumes[0], denoised=volumes[1])
    assert again.read_text(encoding="utf-8") == page, "no date may slip in"


def test_who_is_named_beside_the_page_is_said(tmp_path):
    assert "Nothing here names the patient." in page_of(tmp_path)
    assert "names the patient; this page does not" in page_of(tmp_path, dicom=True)


def test_the_slices_that_tell_most_are_shown(volumes):
    """Slices chosen at random would hide the one in which most was lost."""
    change = changes_hu(*volumes)
    # The factory's patient is in the slices from 1 to 3 only.
    assert change.tolist() == pytest.approx([0, 1, 2, 5, 0, 0])
    assert telling_slices(change, REPORT) == {
        "least lesion signal kept": 2,
        "most changed slice": 3,
        "least changed slice": 1,
    }
    assert telling_slices(change, replace(REPORT, retention=())) == {
        "most changed slice": 3,
        "slice of median change": 2,
        "least changed slice": 1,
    }
    assert telling_slices(change, replace(REPORT, retention=(GOOD, LOST)))["least lesion signal kept"] == 4
    assert telling_slices(np.zeros(6), replace(REPORT, retention=())) == {"middle slice": 3}


def test_the_third_picture_shows_what_was_taken_away_and_nothing_else(volumes):
    """Orange is what the original has more; where nothing was changed the picture is dark."""
    found, top = compared_slices(*volumes, REPORT)
    assert top == 15 and [one.index for one in found] == [2, 3, 1]
    most = found[1]
    taken = np.asarray(Image.open(io.BytesIO(most.pictures[2].png)).convert("RGB")).astype(int)
    middle, corner = taken[taken.shape[0] // 2, taken.shape[1] // 2], taken[4, 4]
    assert middle[0] > middle[2] + 20, "5 HU less must be orange"
    assert corner.max() < 60 and np.ptp(corner) < 6, "air was not changed"
    assert most.pictures[0].png != most.pictures[1].png


def test_without_matplotlib_the_words_and_figures_stay(tmp_path, volumes, monkeypatch):
    monkeypatch.setattr(page_parts.importlib.util, "find_spec", lambda name: None)
    page = page_of(tmp_path, volumes=volumes)
    assert not Elements(page).all("img") and "No pictures were drawn" in page and "20.0 HU" in page


def test_header_text_cannot_become_markup(tmp_path):
    write_denoising_page(tmp_path / "p.html", replace(REPORT, warnings=("<script>alert(1)</script>",)))
    assert "<script>" not in (tmp_path / "p.html").read_text(encoding="utf-8")


def test_the_report_of_a_volume_holds_the_comparison_when_there_is_one(tmp_path, volumes):
    assessment = make_assessment(volumes[0])
    path = tmp_path / "index.html"
    write_web_page(path, assessment, volume=volumes[0])
    assert 'id="denoising"' not in path.read_text(encoding="utf-8")
    write_web_page(
        path, assessment, volume=volumes[0], denoising=replace(REPORT, retention=(LOST,)), denoised=volumes[1]
    )
    raw = path.read_text(encoding="utf-8")
    page = html.unescape(raw)
    assert outside_sources(raw) == [] and nameless(raw) == []
    assert '<a href="#denoising">' in page and "Red flag: 50 % of a lesion's signal kept" in page
    assert "All scores on this page are of the original." in page and SCORER_WARNING in page
    assert sum("taken away" in a["alt"] for a in Elements(raw).all("img")) == 3


@pytest.mark.parametrize("report", [REPORT, replace(REPORT, retention=(LOST, NO_ROOM)), REPORT.unexamined()])
def test_the_document_fits_its_schema_and_comes_back(report):
    """A program written against the schema can read every document, and none is lost on the way."""
    jsonschema.Draft202012Validator.check_schema(denoising_schema())
    validator = jsonschema.Draft202012Validator(denoising_schema())
    document = json.loads(denoising_to_json(report))
    validator.validate(document)
    assert DenoisingReport.from_dict(document) == report
    document["slices"] = -1
    assert not validator.is_valid(document)


def test_a_document_of_another_time_is_read_or_refused():
    """1.0 had neither spectra nor checksums; a later minor version may have more; a major one means something else."""
    document = json.loads(denoising_to_json(replace(REPORT, noise_power=None, findings=None)))
    older = {k: v for k, v in document.items() if k not in ("noise_power", "findings", "input_sha256", "result_sha256")}
    older |= {"schema_version": "1.0"}
    jsonschema.Draft202012Validator(denoising_schema()).validate(older)
    assert DenoisingReport.from_dict(older).measures == REPORT.measures
    assert DenoisingReport.from_dict({**document, "schema_version": "1.7", "new": 1}).bias == REPORT.bias
    with pytest.raises(ValueError, match="not readable"):
        DenoisingReport.from_dict({**document, "schema_version": "2.0"})


def test_schema_knows_every_field():
    """A field added to the code and not to the schema would make valid results invalid."""
    schema = denoising_schema()
    document = REPORT.to_dict()
    assert set(document) == set(schema["properties"])
    assert set(document["retention"][0]) == set(schema["$defs"]["retention"]["properties"])


def test_a_comparison_of_other_voxels_is_refused(tmp_path, volumes):
    """The page of one patient must never show the denoising of another."""
    original, denoised = volumes
    report = replace(REPORT, input_sha256=original.voxel_sha256(), result_sha256=denoised.voxel_sha256())
    with pytest.raises(DenoisingFolderError, match=r"no denoising\.json"):
        read_denoising(tmp_path, original)
    write_denoising(tmp_path, report)
    with pytest.raises(DenoisingFolderError, match="no denoised volume"):
        read_denoising(tmp_path, original)
    write_volume(tmp_path / "denoised.nii.gz", denoised)
    read, volume = read_denoising(tmp_path, original)
    assert read == report and np.array_equal(volume.hu, denoised.hu)
    with pytest.raises(DenoisingFolderError, match="of another volume"):
        read_denoising(tmp_path, denoised)
    write_volume(tmp_path / "denoised.nii.gz", original)
    with pytest.raises(DenoisingFolderError, match="not the one"):
        read_denoising(tmp_path, original)
    (tmp_path / "denoising.json").write_text("[1]")
    with pytest.raises(DenoisingFolderError, match=r"no denoising\.json"):
        read_denoising(tmp_path, original)


def test_the_view_needs_no_volume():
    """A host that has the report alone still shows its words and tables."""
    view = denoising_view(REPORT)
    assert view.slices == () and view.spectra is not None and base64.b64decode(view.spectra.split(",")[1])
