"""What the engine asks of a network that scores slices, and ClinReadNet as one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from CTQualityAssessmentLib.networks.clinreadnet import ClinReadNet
from CTQualityAssessmentLib.networks.ordinal_scores import score_distribution


class MapKey(NamedTuple):
    """Which map of the slice it is, and where its cells lie.

    Attributes:
        kind: "attention" or "grad-cam".
        name: among the maps of its kind.
        stage: of the network, from 1, where the kind has several.
        pixels: network pixels along a cell's side.
        centre: network pixel at the centre of the first cell; pixel 0 has its own centre at 0.
    """

    kind: str
    name: str
    stage: int | None
    pixels: int
    centre: float


class SliceReading(NamedTuple):
    """What a scorer says about B slices.

    Attributes:
        scores: ``(B,)`` float32 in [0, 4].
        probabilities: ``(B, 21)`` of the scores 0.0, 0.2 ... 4.0; None from a network that gives the score alone.
        sd: ``(B,)`` standard deviation of that distribution, in score points; None likewise.
        features: ``(B, F)``, by which a slice unlike the training data is known.
        maps: ``(B, h, w)`` float32 by key, relative to an even spread: 1 is neutral, none is negative.
    """

    scores: Tensor
    probabilities: Tensor | None
    sd: Tensor | None
    features: Tensor
    maps: dict[MapKey, Tensor]


class SliceScorer(Protocol):
    """What the engine calls. A scorer settles itself whether it needs gradients.

    Attributes:
        network: its weights, for loading them and moving them to a device.
    """

    network: torch.nn.Module

    def __call__(self, x: Tensor, map_stages: Sequence[int] = ()) -> SliceReading:
        """Reads slices.

        Args:
            x: ``(B, 1, H, W)`` in [0, 1] by the bundle's window.
            map_stages: stages, from 1 to 4, whose maps are wanted. A network whose maps have one grid gives them for
                any stage; stages that it does not have give none.
        """
        ...


class ClinReadNetScorer:
    """ClinReadNet, its maps being the attention of each temperature.

    Args:
        network: see the module.
        temperatures: names of the network's temperatures, in their order.

    Raises:
        ValueError: another number of names than of temperatures.
    """

    def __init__(self, network: ClinReadNet, temperatures: Sequence[str]) -> None:
        if len(temperatures) != len(network.config.temperatures):
            raise ValueError("the temperatures and their names differ in number")
        self.network = network
        self.temperatures = tuple(temperatures)

    @torch.inference_mode()
    def __call__(self, x: Tensor, map_stages: Sequence[int] = ()) -> SliceReading:
        """See :class:`SliceScorer`."""
        stages = range(len(self.network.stages))
        output = self.network(x, attention_stages=[stage - 1 for stage in map_stages if stage - 1 in stages])
        found = score_distribution(output.fine_logits)
        return SliceReading(
            found.expected,
            found.probabilities,
            found.sd,
            output.features,
            {self._key(*key): values.float() for key, values in output.attention.items()},
        )

    def _key(self, stage: int, temperature: int) -> MapKey:
        pixels = self.network.config.patch_size * 2**stage
        return MapKey("attention", self.temperatures[temperature], stage + 1, pixels, (pixels - 1) / 2)
