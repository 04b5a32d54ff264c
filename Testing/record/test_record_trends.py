"""The page of trends: a planted drift is found, a steady scanner is left in peace, and the page can be used."""

from __future__ import annotations

import re
import shutil
from xml.etree import ElementTree

import numpy as np
import pytest
from CTQualityAssessmentLib.cli import app
from CTQualityAssessmentLib.record.address import record_url
from CTQualityAssessmentLib.record.drift import MONTHS_BEFORE, _drawn_medians, months_of
from CTQualityAssessmentLib.record.store import open_record
from CTQualityAssessmentLib.record.trend_page import find_trends, trend_page
from typer.testing import CliRunner

from Testing.record.simulated import MODEL, Drift, department, month_name, name_of

#: Seven hundred and twenty series of a year: one scanner gets worse in its ninth month at the same dose, one has
#: less dose from the eleventh on, and one makes sharper images from the eighth on, which is no drift.
STEADY, WORSE, LESS_DOSE = 2, 0, 1
SIMULATED = department(1, drifts=(Drift(WORSE, 8, -0.6), Drift(LESS_DOSE, 10, dose=0.5)), other_mix=(STEADY, 7))


@pytest.fixture(scope="module")
def trends():
    return find_trends(SIMULATED, lambda name: f"out/studies/{name}/index.html")


def test_a_planted_drift_is_found_in_its_month_and_a_steady_scanner_is_not(trends):
    """A tube that ages is found when its month is over; a scanner with another mix of protocols must cause no alarm."""
    of_scanners = {(one.group, one.month.month): one.month for one in trends.alerts if one.kind == "Scanner"}
    first = min(month for group, month in of_scanners if group == name_of(WORSE))
    assert first == month_name(8)
    found = of_scanners[name_of(WORSE), first]
    assert found.low < -0.6 < found.high and found.high < 0 and 0.8 < found.dose_ratio < 1.25
    assert min(month for group, month in of_scanners if group == name_of(LESS_DOSE)) == month_name(10)
    assert 0.4 < of_scanners[name_of(LESS_DOSE), month_name(10)].dose_ratio < 0.65
    assert not [key for key in of_scanners if key[0] == name_of(STEADY)]


def test_a_department_without_drift_gets_no_alert():
    """Alarms that cry every month are switched off. How often the rule errs stands in its table."""
    assert find_trends(department(7)).alerts == ()


def test_a_month_is_compared_with_the_months_before_it_only(trends):
    """Compared with itself or with the future, a drift would hide."""
    months = months_of(trends.studies, lambda one: one.scanner)[name_of(STEADY)]
    assert [one.month for one in months] == [month_name(n) for n in range(12)]
    assert months[0].change is None and months[0].compared == 0
    number = 7
    now, before = months[number].studies, [s for m in months[number - MONTHS_BEFORE : number] for s in m.studies]
    differences = []
    for one in now:
        alike = [o.score for o in before if (o.protocol, o.kernel) == (one.protocol, one.kernel)]
        if len(alike) >= 5:
            differences.append(one.score - np.median(alike))
    assert months[number].compared == len(differences)
    if months[number].change is not None:
        assert months[number].change == pytest.approx(np.median(differences))


@pytest.mark.parametrize("n", [5, 8, 41])
def test_the_drawn_medians_are_those_of_a_bootstrap(n):
    """The short cut must give the interval that the rule promises."""
    rng = np.random.default_rng(3)
    values = np.sort(rng.normal(size=n))
    short = np.concatenate([_drawn_medians(values, rng) for _ in range(5)])
    real = np.median(values[rng.integers(0, n, (10_000, n))], axis=1)
    assert abs(short.mean() - real.mean()) < 0.05 and abs(short.std() - real.std()) < 0.06


def test_page_shows_every_series_and_needs_nothing(trends):
    """A chart that loses series shows another trend; a page that loads something fails behind the hospital's wall."""
    page = trend_page(trends, MODEL, "Trained on simulated labels.")
    assert "http" not in page.replace("http-equiv", "")
    for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ElementTree.fromstring(svg)  # raises on a broken picture
    scanners = page[page.index("By scanner") : page.index("By protocol")]
    months = "".join(re.findall(r'data-chart="months".*?</svg>', scanners, re.DOTALL))
    assert set(re.findall(r'href="out/studies/(\w+)/', months)) == {one.name for one in trends.studies}
    for words in ("Trained on simulated labels", "not a medical device", name_of(WORSE), "An alert says"):
        assert words in page


def test_headers_cannot_put_code_into_the_page():
    """Kernel and model come from files of strangers."""
    hostile = [one for one in SIMULATED[:20]]
    hostile[0].figures["kernel"] = "<script>alert(1)</script>"
    try:
        assert "<script>alert" not in trend_page(find_trends(hostile), MODEL, None)
    finally:
        hostile[0].figures["kernel"] = "Br40"


def test_the_page_is_used_in_a_browser(tmp_path):
    """From the record to the page, the alert, and the report behind a dot, as a physicist clicks."""
    sync_api = pytest.importorskip("playwright.sync_api")
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("chromium is not installed")
    with open_record(record_url(str(tmp_path / "record.sqlite"))) as record:
        record.put(SIMULATED)
    for one in SIMULATED:
        report = tmp_path / "out" / "studies" / one.series_key / "index.html"
        report.parent.mkdir(parents=True)
        report.write_text(f"<title>{one.series_key}</title>")
    page = tmp_path / "trends.html"
    arguments = ["record", "trends", str(page), "--record", str(tmp_path / "record.sqlite")]
    told = CliRunner().invoke(app, [*arguments, "--reports", str(tmp_path / "out")])
    assert told.exit_code == 0 and "720 series" in told.output, told.output
    with sync_api.sync_playwright() as playwright:
        shown = playwright.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        view = shown.new_page(viewport={"width": 1280, "height": 900})
        faults, asked = [], []
        view.on("pageerror", lambda error: faults.append(str(error)))
        view.on("request", lambda request: asked.append(request.url))
        view.goto(page.as_uri())
        assert "drift alert" in view.locator("h1").inner_text()
        assert name_of(WORSE) in view.locator("#alerts").inner_text()
        assert name_of(STEADY) not in view.locator("#alerts").inner_text()
        assert view.locator('section[data-group^="Maker Model 1"] .flag').count() >= 2
        assert view.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
        view.get_by_role("button", name="Median score").click()
        medians = view.locator("table.sorted tbody tr td:nth-child(6)").all_inner_texts()
        assert [float(text) for text in medians] == sorted(float(text) for text in medians)
        assert asked == [page.as_uri()] and not faults
        view.locator(f'section[data-group="{name_of(WORSE)}"] svg[data-chart=months] a').first.click()
        assert view.title() in {one.series_key for one in SIMULATED}
        shown.close()
