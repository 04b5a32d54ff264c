"""Slice views whose pictures come to rest without loss.

JPEG smooths noise, and noise is what a reader of this program looks at: frames are JPEG only while something moves.
"""

from __future__ import annotations

import time
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from trame_rca.encoders import RcaImageEncoder
from trame_server import Server
from trame_slicer.rca_view.rca_view_factory import RcaView, RemoteSliceViewFactory
from trame_slicer.views import ViewLayoutDefinition

#: Qualities of a picture: JPEG while something moves, and without loss at rest.
MOVING, STILL = 85, 100


class FrameEncoder:
    """The interface of ``RcaImageEncoder``; quality 100 is PNG."""

    def encode(self, image: NDArray[np.uint8], columns: int, rows: int, quality: int) -> tuple[bytes, dict, int]:
        """Bytes of the picture ``(rows, columns, 3)``, what the page is told of it, and the time in milliseconds."""
        now_ms = time.time_ns() // 1_000_000
        out = BytesIO()
        picture = Image.fromarray(np.ascontiguousarray(image))
        if quality >= STILL:
            kind = "image/png"
            picture.save(out, "png", compress_level=1)
        else:
            kind = "image/jpeg"
            picture.save(out, "jpeg", quality=quality, subsampling=0)
        meta = {"type": kind, "codec": "", "w": columns, "h": rows, "st": now_ms, "key": "key", "quality": quality}
        return out.getvalue(), meta, now_ms


class SliceViewFactory(RemoteSliceViewFactory):
    """trame-slicer's slice views with our encoder, which its enumeration of formats cannot name."""

    def __init__(self, server: Server) -> None:
        super().__init__(server, rca_encoder=RcaImageEncoder.JPEG, target_fps=30.0, blur_fps=15.0)

    def _create_view(self, view: ViewLayoutDefinition, scene: Any, app_logic: Any) -> RcaView:
        made = super()._create_view(view, scene, app_logic)
        # Without a graphics card the smoothing of edges takes half of the time, and a slice has no edges to smooth.
        made.slicer_view.render_window().SetMultiSamples(0)
        made.view_adapter.update_quality(MOVING, STILL)
        made.view_adapter._scheduler._rca_encoder = FrameEncoder()
        return made
