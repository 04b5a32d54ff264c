"""The smallest ClinReadNet that has every part."""

from __future__ import annotations

NETWORK = {"size": "small", "embed_dim": 8, "heads": [1, 1, 1, 1], "depths": [1, 1, 1, 1], "window": 4,
           "sobel_filters": 4, "edge_width": 8, "distribution_hidden": 16}  # fmt: skip
