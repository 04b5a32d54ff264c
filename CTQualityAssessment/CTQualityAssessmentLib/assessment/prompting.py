"""The prompt of a volume: from the user first, then from its tags."""

from __future__ import annotations

from dataclasses import dataclass

from CTQualityAssessmentLib.errors import CTQAError
from CTQualityAssessmentLib.prompts import MODALITIES, ORGANS, UNKNOWN, organ_in
from CTQualityAssessmentLib.results import UsedPrompt
from CTQualityAssessmentLib.translation import marks_of
from CTQualityAssessmentLib.volume import Volume

_ = marks_of(__file__)

#: Where a part comes from that nobody told.
_NOTHING = _("nothing")


class UnknownPromptError(CTQAError):
    """A word that no network is told."""

    def __init__(self, part: str, words: tuple[str, ...]) -> None:
        super().__init__(
            _("There is no such {part} to tell the network.").format(part=part),
            _("Choose one of {words}.").format(words=", ".join(words)),
        )


@dataclass(frozen=True)
class Told:
    """What the user says about a volume; None leaves a part to its tags.

    Raises:
        UnknownPromptError: a word that is not among ``prompts.MODALITIES`` or ``prompts.ORGANS``.
    """

    modality: str | None = None
    organ: str | None = None

    def __post_init__(self) -> None:
        for part, words in (("modality", MODALITIES), ("organ", ORGANS)):
            if (word := getattr(self, part)) is not None and word not in words:
                raise UnknownPromptError(part, words)


NOTHING_TOLD = Told()


def prompt_of(volume: Volume, told: Told = NOTHING_TOLD) -> UsedPrompt:
    """What to tell a network about a volume, and where each part comes from."""
    facts = volume.facts
    if told.modality is not None:
        modality, modality_from = told.modality, _("the user")
    elif facts.modality in MODALITIES[1:]:
        modality, modality_from = facts.modality, "Modality"
    elif volume.units in ("HU", "challenge") and facts.modality is None:
        modality, modality_from = "CT", _("the values, which are HU")
    else:
        modality, modality_from = UNKNOWN, _NOTHING
    if told.organ is not None:
        organ, organ_from = told.organ, _("the user")
    elif (named := organ_in(facts.body_part)) is not None:
        organ, organ_from = named, "BodyPartExamined"
    elif facts.described_organ is not None:
        organ, organ_from = facts.described_organ, _("the series description")
    else:
        organ, organ_from = UNKNOWN, _NOTHING
    return UsedPrompt(modality, organ, modality_from, organ_from)
