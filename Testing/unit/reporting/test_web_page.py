"""index.html stands alone and tells the whole result."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from html.parser import HTMLParser

from CTQualityAssessmentLib.reporting.web_page import refused_ranges, write_web_page

from Testing.assessment_factory import make_assessment, make_volume


class _Links(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.tags = [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.found += [value for name, value in attrs if name in ("src", "href", "srcset", "action")]


def _page(tmp_path, assessment, **kwargs):
    write_web_page(tmp_path / "index.html", assessment, **kwargs)
    return (tmp_path / "index.html").read_text(encoding="utf-8")


def test_page_loads_nothing_from_anywhere(tmp_path):
    """A mailed page must still show its figures, and opening it must tell nobody."""
    (tmp_path / "f.png").write_bytes(b"\x89PNG")
    page = _page(tmp_path, make_assessment(make_volume()), figures=tmp_path / "f.png")
    links = _Links()
    links.feed(page)
    assert links.found == ["data:image/png;base64,iVBORw=="]
    assert not {"script", "link", "iframe"} & links.tags and not re.search(r"https?://|url\(|@import", page)


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
    assert "Partial" not in page and "Partial" in _page(tmp_path, replace(assessment, partial=True))
    assert "scene.mrb" in _page(tmp_path, assessment, scene=True)


def test_refused_slices_are_told_as_ranges():
    """Three hundred refused slices are one line, and every one of them is in it."""
    scores = [None, None, None, 1.0, None, 2.0, None, None]
    assessment = make_assessment(make_volume((8, 20, 24)), scores)
    assert [ranges for _, ranges in refused_ranges(assessment)] == ["0-2, 4, 6-7"]
