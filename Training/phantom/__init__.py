"""An anthropomorphic abdomen of our own: noise-free CT numbers with known tissues, different for every seed."""

from __future__ import annotations

from Training.phantom.abdomen import Phantom, abdomen_phantom
from Training.phantom.tissues import Tissue

__all__ = ["Phantom", "Tissue", "abdomen_phantom"]
