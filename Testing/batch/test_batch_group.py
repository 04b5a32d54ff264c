"""What the group page and the table say about many studies, and what they keep to themselves."""

from __future__ import annotations

import csv
import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from CTQualityAssessmentLib.batch.charts import scatter_chart, strip_chart
from CTQualityAssessmentLib.batch.group_page import group_page
from CTQualityAssessmentLib.batch.groups import FEWEST, find_outliers, grouped, scored_studies
from CTQualityAssessmentLib.batch.output import BatchFolder
from CTQualityAssessmentLib.batch.plan import Entry, make_plan
from CTQualityAssessmentLib.batch.records import FAILED, SCORED, SKIPPED, UNSCORED, Settings, Study, StudyRecord
from CTQualityAssessmentLib.batch.table import table_text
from CTQualityAssessmentLib.reading import FoundInput

SETTINGS = Settings("model", "0" * 64)


def entry(n: int, score: float | None, state: str = SCORED, reason: str | None = None, **values: object) -> Entry:
    name = f"{n:016x}"
    facts = {"manufacturer": "Maker", "scanner_model": "Model 1", "kernel": "B30f", "body_part": "CHEST", "kvp": 120.0}
    if score is not None:
        values = {**facts, "mean": score, "median": score, "percentile_10": score, "scored": 9, "slices": 9, **values}
    record = StudyRecord(name, "f", "r", state, reason, {k: v for k, v in values.items() if v is not None}, 1.0)
    return Entry(Study(name, "f", ("/x",), 1), "CT, 9 slices", f"Zweistein/{n}", "Zweistein protocol", record)


@pytest.fixture
def entries() -> list[Entry]:
    """Two kernels of twelve studies each, with one that stands out of its own kernel but not of all studies."""
    rng = np.random.default_rng(1)
    soft = [entry(n, 3.2 + 0.1 * rng.standard_normal(), ctdivol_mgy=5.0 + n, noise_hu=12.0) for n in range(12)]
    sharp = [entry(20 + n, 1.2 + 0.1 * rng.standard_normal(), kernel="B70f", noise_hu=60.0) for n in range(12)]
    return [
        *soft,
        *sharp,
        entry(40, 1.3, ctdivol_mgy=1.0, noise_hu=50.0),
        entry(41, None, FAILED, "The pixel data are cut short or damaged."),
        entry(42, None, UNSCORED, "No patient in view."),
        Entry(None, "CT, scout", "Zweistein/s", None, StudyRecord("s", "", "", SKIPPED, "These are scout images.")),
        Entry(Study("n" * 16, "f", ("/x",), 1), "CT", "Zweistein/n", None, None),
    ]


def test_an_outlier_is_one_of_its_own_kernel(entries):
    """A soft-kernel study as bad as the sharp ones is what a physicist looks for; against all studies it is hidden."""
    found = find_outliers(scored_studies(entries))
    assert [one.study.name for one in found] == [f"{40:016x}"]
    assert "B30f" in found[0].group and found[0].size == 13 and found[0].deviations < -3.5
    values = np.array([e.record.values["mean"] for e in [*entries[:12], entries[24]]])
    median = np.median(values)
    spread = max(1.4826 * np.median(abs(values - median)), 0.1)
    assert found[0].deviations == pytest.approx((1.3 - median) / spread)


def test_few_studies_have_no_outlier():
    """Out of three scans nothing can stand out."""
    assert not find_outliers(scored_studies([entry(n, float(n % 4)) for n in range(FEWEST - 1)]))
    assert not find_outliers(scored_studies([entry(n, 2.0) for n in range(30)]))


def test_groups_show_every_study_once_at_its_score(entries):
    """A study that a chart loses or misplaces makes a kernel look better than it is."""
    studies = scored_studies(entries)
    chart = strip_chart(studies, lambda s: s.kernel, {f"{40:016x}"})
    assert [row.label for row in chart.rows] == ["B70f", "B30f"] and [row.count for row in chart.rows] == [12, 13]
    dots = [dot for row in chart.rows for dot in row.dots]
    assert sorted(dot.link for dot in dots) == sorted(f"studies/{s.name}/index.html" for s in studies)
    by_link = {dot.link: dot for dot in dots}
    for one in studies:
        x = by_link[f"studies/{one.name}/index.html"].x
        assert x == pytest.approx(chart.left + (chart.right - chart.left) * one.score / 4, abs=0.06)
    assert [dot.link[8:24] for dot in dots if dot.outlier] == [f"{40:016x}"]
    for row in chart.rows:
        assert all(abs(dot.y - row.y) < 23 for dot in row.dots)


def test_dose_is_drawn_where_it_is_known(entries):
    """A dose that the headers do not tell must not become a dot at zero."""
    studies = scored_studies(entries)
    chart = scatter_chart(studies, "ctdivol_mgy", "mGy", set())
    assert len(chart.dots) == 13 and chart.unknown == 12
    leftmost = min(chart.dots, key=lambda dot: dot.x)
    assert f"{40:016x}" in leftmost.link
    assert scatter_chart(studies, "ssde_mgy", "mGy", set()) is None


@pytest.mark.parametrize(("low", "high"), [(9.9, 10.1), (0.02, 40.0), (3.0, 300.0), (7.0, 7.0)])
def test_an_axis_has_readable_ticks(low, high):
    """An axis without numbers cannot be read."""
    studies = scored_studies([entry(1, 1.0, noise_hu=low), entry(2, 2.0, noise_hu=high)])
    chart = scatter_chart(studies, "noise_hu", "HU", set())
    left, _, right, _ = chart.plot
    assert 2 <= len(chart.x_ticks) <= 16 and all(left <= tick.at <= right for tick in chart.x_ticks)


def test_page_names_nobody_and_needs_nothing(entries):
    """The page goes to colleagues by mail: no path, no protocol name, nothing fetched, every link to a report in it."""
    outliers = find_outliers(scored_studies(entries))
    page = group_page(entries, outliers, SETTINGS, "Trained on simulated labels.")
    assert "Zweistein" not in page and "http" not in page.replace("http-equiv", "")
    links = set(re.findall(r'href="([^"]+)"', page))
    assert links == {f"studies/{e.record.name}/index.html" for e in entries if e.record and e.study} - {
        f"studies/{41:016x}/index.html"
    }
    for words in ("cut short", "No patient in view", "1 series (These are scout images)", "stand out", "Trained on"):
        assert words in page
    for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ElementTree.fromstring(svg)  # raises on a broken picture
    shown = group_page(entries, outliers, SETTINGS, "s", identify=True)
    assert "Zweistein/40" in shown and "Zweistein protocol" in shown and "may identify patients" in shown


def test_headers_cannot_put_code_into_page_or_spreadsheet():
    """Kernel and model come from files of strangers."""
    hostile = [entry(1, 1.0, kernel="<script>alert(1)</script>", scanner_model='=HYPERLINK("x")', manufacturer=None)]
    assert "<script>alert" not in group_page(hostile, [], SETTINGS, "s")
    (row,) = csv.DictReader(io.StringIO(table_text(hostile, {}, identify=False)))
    assert row["scanner_model"].startswith("'=") and row["kernel"] == "<script>alert(1)</script>"


def test_page_without_a_score_still_tells_why():
    """A night in which everything failed needs its reasons most."""
    page = group_page([entry(1, None, FAILED, "The archive is damaged.")], [], SETTINGS, "s")
    assert "No study has a score" in page and "The archive is damaged." in page


def test_lowest_group_comes_first(entries):
    """The kernel that needs a look is on top."""
    assert list(grouped(scored_studies(entries), lambda s: s.kernel)) == ["B70f", "B30f"]


def found_input(tmp_path, identity: bytes = b"i" * 32, state: bytes = b"s" * 32) -> FoundInput:
    return FoundInput((tmp_path / "a.dcm",), 1, "CT", identity, state, "a", None)


def finish(folder: BatchFolder, study: Study, state: str = SCORED, page: str = "first") -> StudyRecord:
    with folder.scratch() as scratch:
        (scratch / "index.html").write_text(page)
        return folder.publish(scratch, StudyRecord(study.name, study.fingerprint, folder.run, state))


def page_of(folder: BatchFolder, study: Study) -> str:
    return (folder.studies / study.name / "index.html").read_text()


def test_a_study_is_done_again_only_for_a_reason(tmp_path):
    """Other weights, changed files or another program give other scores; the same ones cost nothing again."""
    folder = BatchFolder(tmp_path / "out")
    one = found_input(tmp_path)
    with folder.opened():
        (planned,) = make_plan([one], folder, SETTINGS)
        assert planned.record is None
        finish(folder, planned.study)
        again = [
            make_plan([found], folder, s)[0].record for found, s in ((one, SETTINGS), (one, Settings("m", "1" * 64)))
        ]
        assert again[0] and not again[1]
        assert not make_plan([found_input(tmp_path, state=b"t" * 32)], folder, SETTINGS)[0].record
        finish(folder, planned.study, page="late")  # the twin of a study that came twice
        assert page_of(folder, planned.study) == "first"


def test_a_failure_is_kept_until_it_is_asked_for_again(tmp_path):
    """A damaged study must not cost minutes at each run, and must be possible to try again."""
    folder = BatchFolder(tmp_path / "out")
    one = found_input(tmp_path)
    with folder.opened():
        study = make_plan([one], folder, SETTINGS)[0].study
        finish(folder, study, FAILED)
        assert make_plan([one], folder, SETTINGS)[0].record.state == FAILED
        assert make_plan([one], folder, SETTINGS, retry=True)[0].record is None
        finish(folder, study, SCORED, page="second")
        assert make_plan([one], folder, SETTINGS, retry=True)[0].record.state == SCORED
        assert page_of(folder, study) == "second"
    assert {path.name for path in folder.studies.iterdir()} == {study.name}


def test_what_a_kill_left_goes_with_the_next_run_and_damage_counts_as_not_done(tmp_path):
    """Half a report must never be taken for a whole one."""
    folder = BatchFolder(tmp_path / "out")
    with folder.opened():
        study = make_plan([found_input(tmp_path)], folder, SETTINGS)[0].study
        (folder.studies / ".ctqa-left").mkdir()
        finish(folder, study)
        (folder.studies / study.name / "study.json").write_text('{"version": "1.0"')
    (folder.work / "unpacked").mkdir(parents=True)
    with folder.opened():
        assert [path.name for path in folder.studies.iterdir()] == [study.name]
        assert not any(folder.work.iterdir()) and folder.work.stat().st_mode & 0o077 == 0
        assert make_plan([found_input(tmp_path)], folder, SETTINGS)[0].record is None
    assert not folder.work.exists()


def test_names_cannot_be_guessed_from_what_they_stand_for(tmp_path):
    """Who knows a UID or a folder name must not find out whether that patient is in a shared table."""
    names = []
    for place in ("a", "b"):
        folder = BatchFolder(tmp_path / place)
        with folder.opened():
            names.append(folder.name_of(b"1.2.3"))
            assert folder.name_of(b"1.2.3") == names[-1]
        assert (folder.path / ".ctqa-batch" / "key").stat().st_mode & 0o077 == 0
    assert names[0] != names[1]
