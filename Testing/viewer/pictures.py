"""Pictures of the views as the browser shows them, once the server has nothing more to draw."""

from __future__ import annotations

import base64
import io
import time

import numpy as np
from PIL import Image

from Testing.viewer.running import PATIENCE_S

#: To run in a page before anything else: keeps each picture.
KNOW_PICTURES = """
window.blobs = {};
const make = URL.createObjectURL;
URL.createObjectURL = (blob) => { const url = make(blob); window.blobs[url] = blob; return url; };
"""
_FITS = """(place) => {
    const pane = document.querySelector(`[data-test=${place}]`), shown = pane.querySelector('img');
    const near = (one, other) => Math.abs(one - other) < 3;
    return shown && near(shown.naturalWidth, pane.clientWidth) && near(shown.naturalHeight, pane.clientHeight);
}"""
_ARRIVED = """([place, bytes]) => {
    const shown = document.querySelector(`[data-test=${place}] img`);
    const blob = window.blobs[shown.src];
    return blob && blob.type === 'image/png' && blob.size === bytes && shown.complete;
}"""
_BYTES = """async (place) => {
    const shown = document.querySelector(`[data-test=${place}] img`);
    const bytes = new Uint8Array(await window.blobs[shown.src].arrayBuffer());
    return btoa(Array.from(bytes, (c) => String.fromCharCode(c)).join(''));
}"""


def wait_at_rest(page, *places: str) -> None:
    """Until the views show, in the size of their place on the page, the last picture that was asked for."""
    for place in places:
        page.wait_for_function(_FITS, arg=place)
    sent = page.evaluate("window.trame.trigger('rest')")
    for place in places:
        page.wait_for_function(_ARRIVED, arg=[place, sent[place]])


def picture_at_rest(page, place: str) -> bytes:
    """PNG of one view."""
    wait_at_rest(page, place)
    return base64.b64decode(page.evaluate(_BYTES, place))


def picture(page, place="large") -> np.ndarray:
    """The whole picture of a view after everything that was asked for, as integers, rows from the top."""
    return np.asarray(Image.open(io.BytesIO(picture_at_rest(page, place))).convert("RGB"), dtype=int)


def picture_after(page, before: np.ndarray, place="large") -> np.ndarray:
    """The picture of a view once it is another one than ``before`` and stays: what the mouse did is sent in parts."""
    deadline, last = time.monotonic() + PATIENCE_S, before
    while time.monotonic() < deadline:
        seen = picture(page, place)
        if seen.shape == before.shape and np.abs(seen - before).mean() > 0.5 and np.array_equal(seen, last):
            return seen
        last = seen
        page.wait_for_timeout(200)
    raise AssertionError("the picture has not changed")


def picture_when(page, true_of) -> np.ndarray:
    """The same, of which something must be true."""
    seen = picture(page)
    assert true_of(seen)
    return seen
