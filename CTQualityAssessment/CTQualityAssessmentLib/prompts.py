"""Aware prompts: what a network may be told about a volume, and the words for it.

The words are a closed list: they are found in tags and free text, and nothing of that text is kept. Nothing
but the standard library and marks for translators, so that reading, networks and hosts share one list.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from CTQualityAssessmentLib.translation import marks_of

_ = marks_of(__file__)

#: What is not known has a word, too. New words are added at the end: weights know a word by its place.
UNKNOWN = _("unknown")
MODALITIES = (UNKNOWN, "CT", "MR")
ORGANS = (
    UNKNOWN,
    _("brain"),
    _("head-neck"),
    _("chest"),
    _("abdomen"),
    _("pelvis"),
    _("spine"),
    _("extremity"),
    _("heart"),
    _("breast"),
)
PHASES = (UNKNOWN, "native", "arterial", "venous", "delayed")

#: Words in BodyPartExamined and in descriptions, in capitals, by the organ that they stand for. The first organ of this
#: order that is named wins: "CHEST ABDOMEN" is an abdomen, for it is the rarer word of the two.
_NAMES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("brain", ("BRAIN", "HEAD", "SKULL", "CEREBRUM", "CRANIUM", "KOPF")),
    ("head-neck", ("NECK", "HEADNECK", "LARYNX", "ORBIT", "SINUS", "HALS", "HNO")),
    ("spine", ("SPINE", "CSPINE", "TSPINE", "LSPINE", "SSPINE", "VERTEBRA", "WS", "LWS", "HWS", "BWS")),
    ("heart", ("HEART", "CARDIAC", "CORONARY", "CORONARIES")),
    ("breast", ("BREAST", "MAMMA")),
    ("abdomen", ("ABDOMEN", "ABDOMINAL", "LIVER", "KIDNEY", "PANCREAS", "SPLEEN", "ABD")),
    ("chest", ("CHEST", "THORAX", "LUNG", "LUNGS")),
    ("pelvis", ("PELVIS", "PROSTATE", "HIP", "UTERUS", "BLADDER", "RECTUM", "BECKEN")),
    (
        "extremity",
        (
            *("EXTREMITY", "LEG", "THIGH", "KNEE", "ANKLE", "FOOT", "FEMUR", "TIBIA", "FIBULA"),
            *("ARM", "SHOULDER", "HUMERUS", "ELBOW", "FOREARM", "WRIST", "HAND"),
        ),
    ),
)


@dataclass(frozen=True)
class Prompt:
    """What a network is told about a volume; each part is one of the module's words, "unknown" included.

    Raises:
        ValueError: a word that is not among them.
    """

    modality: str = UNKNOWN
    organ: str = UNKNOWN
    phase: str = UNKNOWN

    def __post_init__(self) -> None:
        for part, words in (("modality", MODALITIES), ("organ", ORGANS), ("phase", PHASES)):
            if getattr(self, part) not in words:
                raise ValueError(f"The {part} of a prompt is one of {', '.join(words)}.")


def organ_in(text: str | None) -> str | None:
    """The organ that a tag names as a whole word, one of :data:`ORGANS`; None where it names none."""
    words = set(re.findall(r"[A-Z]+", (text or "").upper()))
    return next((organ for organ, names in _NAMES if words.intersection(names)), None)
