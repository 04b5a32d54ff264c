"""The smallest networks that have every part."""

from __future__ import annotations

NETWORK = {"size": "small", "embed_dim": 8, "heads": [1, 1, 1, 1], "depths": [1, 1, 1, 1], "window": 4,
           "sobel_filters": 4, "edge_width": 8, "distribution_hidden": 16}  # fmt: skip
TFKT_NETWORK = {
    "size": "compact",
    "stem": 4,
    "stages": [
        {"fused": True, "expand": 1, "stride": 2, "channels": 4, "depth": 1},
        {"fused": False, "expand": 2, "stride": 2, "channels": 8, "depth": 1},
    ],
    "last": 8,
    "bridge_side": 16,
    "swin_dim": 8,
    "swin_depths": [1, 1],
    "swin_heads": [1, 2],
    "window": 4,
}
