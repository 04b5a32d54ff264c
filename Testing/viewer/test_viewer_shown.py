"""What the page is told about an overlay: a map under the wrong name would be taken for something else."""

from __future__ import annotations

import pytest
from CTQualityAssessmentLib.viewer.shown import legend_of, threshold_of


@pytest.mark.parametrize(
    ("node", "title"),
    [("Attention focus stage 3", "Attention"), ("Grad-CAM lowers", "Grad-CAM"), ("renamed by hand", "Attention")],
)
def test_a_map_is_named_for_its_kind(node, title):
    legend, threshold = legend_of("attention-0", 2.5, node), threshold_of("attention-0", 2.5, 1.2, 9.0, node)
    assert legend["title"] == title and legend["note"].startswith(title) and legend["note"].endswith("defect is.")
    assert threshold["title"] == f"Show {title} from" and threshold["value"] == 1.2


def test_quality_and_no_overlay_have_no_note():
    assert legend_of("quality", 0.0, "Quality")["note"] == "" and legend_of("", 0.0, "") is None
    assert threshold_of("quality", 4.0, 0.0, 3.0, "Quality")["title"] == "Show scores up to"
