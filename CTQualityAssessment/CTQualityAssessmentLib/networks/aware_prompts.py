"""Codes of aware prompts: what is known about a volume (modality, organ, phase), as a network is told it.

The code has 64 places, one group of places for each part; in each group exactly one is 1. The first place of a group
means 'unknown', so that a linear layer over the code holds a learned embedding for not knowing as well.
Our completion of an abstract (CMMIQA, QIMS 15(7):6326-6339, 2025); the places of the words are ours.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from CTQualityAssessmentLib.prompts import MODALITIES, ORGANS, PHASES, Prompt

#: Places of the code, and where each group starts in it.
PROMPT_PLACES = 64
_GROUPS: tuple[tuple[str, int, tuple[str, ...]], ...] = (
    ("modality", 0, MODALITIES),
    ("organ", 8, ORGANS),
    ("phase", 48, PHASES),
)


def prompt_codes(prompts: Sequence[Prompt]) -> Tensor:
    """Codes ``(B, 64)`` float32 of 0 and 1, one place per group."""
    codes = torch.zeros(len(prompts), PROMPT_PLACES)
    for code, prompt in zip(codes, prompts, strict=True):
        for part, start, words in _GROUPS:
            code[start + words.index(getattr(prompt, part))] = 1.0
    return codes


def drop_prompts(codes: Tensor, probability: float, generator: torch.Generator | None = None) -> Tensor:
    """Each group of each code becomes 'unknown' with this probability, so that a network learns to do without.

    Args:
        codes: ``(B, 64)`` from :func:`prompt_codes`; not changed.
        probability: in [0, 1].
        generator: of the random numbers; on the CPU.
    """
    dropped = codes.clone()
    for _, start, words in _GROUPS:
        forgotten = torch.rand(len(codes), generator=generator).to(codes.device) < probability
        dropped[forgotten, start : start + len(words)] = 0.0
        dropped[forgotten, start] = 1.0
    return dropped
