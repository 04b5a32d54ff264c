"""What can be sent back to an archive."""

from __future__ import annotations

from dataclasses import dataclass

REPORT, MAPS, DENOISED = "report", "maps", "denoised"
KINDS = (REPORT, MAPS, DENOISED)


@dataclass(frozen=True)
class Denoiser:
    """What makes the denoised series.

    Attributes:
        model: name or absolute folder of the bundle.
        sha256: of its weights, so that every worker can check that it has the same.
        strength: share of the denoising that is kept, above 0 to 1.
    """

    model: str
    sha256: str
    strength: float = 1.0

    @property
    def kind(self) -> str:
        """By what the ledger knows the series: another denoiser or strength makes another one."""
        return f"{DENOISED} {self.sha256[:16]} {self.strength:g}"


def named(kinds: tuple[str, ...], denoiser: Denoiser | None) -> frozenset[str]:
    """Kinds of :data:`KINDS` as the ledger knows them."""
    return frozenset(denoiser.kind if kind == DENOISED and denoiser else kind for kind in kinds)
