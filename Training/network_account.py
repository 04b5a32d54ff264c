"""What a bundle tells about its network; see :mod:`Training.data_account` for what it tells about its data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from CTQualityAssessmentLib.networks.clinreadnet import ClinReadNet
from CTQualityAssessmentLib.networks.tfkt import Tfkt

_TEMPERATURE_NAMES = {2.0: "scan", 1.0: "read", 0.5: "focus"}


@dataclass(frozen=True)
class NetworkAccount:
    """What metadata and card say about a network.

    Attributes:
        description: one sentence.
        references: what it comes from.
        output: MONAI's description of what it returns.
        ours: what the engine needs to build it, in "ctqa".
        limits: what it cannot do, whatever it was trained on.
    """

    description: str
    references: tuple[str, ...]
    output: dict[str, Any]
    ours: dict[str, Any]
    limits: tuple[str, ...] = ()


def clinreadnet_account(size: str, network: ClinReadNet) -> NetworkAccount:
    """Of ClinReadNet."""
    names = [_TEMPERATURE_NAMES.get(t, f"temperature {t:g}") for t in network.config.temperatures]
    return NetworkAccount(
        f"ClinReadNet {size}, reconstructed from the abstract of arXiv 2606.10372: score 0-4 a slice.",
        ("ClinReadNet, arXiv 2606.10372 (abstract)",),
        {
            "type": "probabilities",
            "format": "classification",
            "num_channels": 21,
            "value_range": [0, 1],
            "channel_def": {str(k): f"score {k / 5:.1f}" for k in range(21)},
        },
        {"network": "clinreadnet", "network_config": network.config.to_dict(), "temperatures": names},
    )


def tfkt_account(size: str, network: Tfkt, natural: str | None) -> NetworkAccount:
    """Of TFKT.

    Args:
        size: its name.
        network: for its shape.
        natural: what stage A was trained on; None where there was none.
    """
    own = {
        "v2": "TFKT V2 as it was published",
        "v2-kan": "TFKT V2 as its text describes it, with the Kolmogorov-Arnold layers that the published code leaves "
        "out",
        "compact": "A compact sibling of TFKT V2, made by this project",
    }[size]
    first = f"Its convolutions saw {natural} first" if natural else "It was trained on CT alone"
    return NetworkAccount(
        f"{own}: EfficientNetV2 features, bridge, SwinV2; score 0-4 a slice. {first}. Its maps are Grad-CAM.",
        (
            "TFKT V2, J. Med. Imaging 12(5):051805, 2025; re-implemented, without its weights",
            "Tan and Le, EfficientNetV2, ICML 2021",
            "Liu et al., Swin Transformer V2, CVPR 2022",
        ),
        {
            "type": "score",
            "format": "regression",
            "num_channels": 1,
            "value_range": [0, 4],
            "channel_def": {"0": "score, cut off at 0 and 4"},
        },
        {"network": "tfkt", "network_config": network.config.to_dict()},
        ("It gives a score alone: no distribution, and no measure of its own doubt.",),
    )
