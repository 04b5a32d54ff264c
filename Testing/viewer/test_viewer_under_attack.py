"""If these fail, a stranger or a broken network gets into the viewer, ends it, fills the disk, or disturbs its reader.

After the other tests of the page, because what they have open is replaced.
"""

from __future__ import annotations

import pytest
from CTQualityAssessmentLib.viewer.denoising import Denoising
from CTQualityAssessmentLib.viewer.requests import TaskRequests, ViewRequests

from Testing.hardness.attacks import QUICK
from Testing.hardness.requests_to import Asker
from Testing.hardness.viewer import printed

pytestmark = pytest.mark.xdist_group("viewer")
PARTS = (ViewRequests, TaskRequests, Denoising)


@pytest.fixture(scope="module")
def asker(viewer):
    printed(viewer)  # what tests before have caused is theirs
    return Asker(viewer)


@pytest.mark.parametrize("attack", QUICK, ids=lambda one: one.__name__)
def test_the_viewer_holds(asker, attack, tmp_path):
    tried, outcome = attack(asker, tmp_path)
    assert tried > 0 and outcome
    assert asker.running.process.poll() is None
    assert printed(asker.running) == ""  # strangers do not write into the terminal


#: Values of every kind that a page should not send, in every request that it can make, and a state of its own making.
_ODD = """async (names) => {
    const odd = [null, true, -1, 1e308, "x".repeat(1000), "../../etc/passwd", [], {}, [[1]]];
    let sent = 0;
    for (const name of names) for (const one of odd) for (const count of [1, 2, 9]) {
        await window.trame.trigger(name, Array(count).fill(one));
        sent += 1;
    }
    const session = window.trame.client.getConnection().getSession();
    const own = { opened: null, models: [{ name: "/tmp", title: "own" }], busy: 7, trame__template_main: "<b>own</b>" };
    await session.call("trame.state.update", [Object.entries(own).map(([key, value]) => ({ key, value }))]);
    const unknown = await session.call("no.such.method", []).then(() => "answered", () => "refused");
    return [sent, unknown];
}"""


def test_odd_requests_of_a_page_change_nothing(page, viewer):
    """Whoever may talk to the viewer can still not end it, nor make it read a model from elsewhere."""
    names = sorted(name.removeprefix("ask_") for part in PARTS for name in dir(part) if name.startswith("ask_"))
    assert {"jump", "assess", "denoise", "series"} <= set(names)
    title = page.inner_text("header .title")
    sent, unknown = page.evaluate(_ODD, names)
    assert sent == len(names) * 27 and unknown == "refused"
    page.reload()
    page.wait_for_selector("[data-test=assess]:enabled")
    assert page.inner_text("header .title") == title and "own" not in page.inner_text("header")
    page.click("[data-test=tab-model]")
    assert "own" not in page.inner_text("#details")
    page.click("[data-test=tab-slices]")
    assert viewer.process.poll() is None and printed(viewer) == ""
