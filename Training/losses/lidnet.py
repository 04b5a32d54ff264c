"""LIDnet's objective: a denoiser that a lesion detector talks back to.

Published (abstract of arXiv 2104.08845, no code): a plug-and-play scheme in which the feedback of a lesion detector
joins a denoiser's loss, a perceptual loss on regions of interest replaces the one on the whole map, and both networks
are trained together. The terms and weights are this project's reconstruction::

    loss = MSE(G(x), y) + roi mean_r || A(phi(G(x)), r) - A(phi(y), r) ||^2 + detection L_det(D(G(x)), boxes)

with A RoIAlign to 7 x 7, phi the finest level of the detector's pyramid, regions r the true boxes and the detector's
own proposals on y, and D frozen in this step. Errors of the image are in units of 100 HU.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
import torch.nn.functional as F
from CTQualityAssessmentLib.networks.lesion_detector import (
    STRIDE,
    DetectorOutput,
    LesionDetector,
    find_boxes,
)
from CTQualityAssessmentLib.networks.roi_align import roi_align
from torch import Tensor, nn

#: Unit in HU of the image error.
UNIT_HU = 100.0
#: A region is never smaller than this in pixels: what is beside a lesion decides whether it is seen.
_SMALLEST_REGION = 12.0


def denoising_loss(predicted: Tensor, target: Tensor, hu_per_unit: float) -> Tensor:
    """Mean squared error in units of 100 HU squared, of images on the window's scale."""
    return F.mse_loss(predicted, target) * (hu_per_unit / UNIT_HU) ** 2


def regions(target: DetectorOutput, boxes: Sequence[Tensor], most: int = 16) -> tuple[Tensor, Tensor]:
    """True boxes and the detector's proposals on the target image.

    Args:
        target: what the detector says about the target images.
        boxes: true boxes of each image, ``(n, 4)``.
        most: proposals of each image.

    Returns:
        Boxes ``(R, 4)`` and the image of each ``(R,)``.
    """
    found, images = [], []
    for number, (true, proposed) in enumerate(zip(boxes, find_boxes(target, most), strict=True)):
        both = torch.cat([true.to(proposed.boxes), proposed.boxes])
        centre, half = (both[:, :2] + both[:, 2:]) / 2, (both[:, 2:] - both[:, :2]) / 2
        half = half.clamp_min(_SMALLEST_REGION / 2)
        found.append(torch.cat([centre - half, centre + half], dim=1))
        images.append(torch.full((len(both),), number, dtype=torch.int64, device=both.device))
    return torch.cat(found), torch.cat(images)


def roi_perceptual_loss(features: Tensor, target: Tensor, boxes: Tensor, images: Tensor) -> Tensor:
    """Mean squared difference of the features inside the regions; 0 where there are none.

    Args:
        features: of the denoised images, ``(B, C, h, w)``.
        target: of the target images; no gradient goes there.
        boxes: ``(R, 4)`` in image pixels; ``images``: ``(R,)``.
    """
    if len(boxes) == 0:
        return features.sum() * 0.0
    return F.mse_loss(roi_align(features, boxes, images, STRIDE), roi_align(target.detach(), boxes, images, STRIDE))


def retention_loss(with_lesions: Tensor, without: Tensor, lesions: Tensor) -> Tensor:
    """How far a denoiser's answer to added lesions is from the lesions themselves, relative to their energy.

    0 when all of their signal is kept and nothing else changes, 1 when nothing is left. Squared error alone wipes faint
    lesions, because noise that looks like them is far more frequent. This term is no part of LIDnet's abstract.

    Args:
        with_lesions, without: denoised images of the same noisy ones, with the lesions added and without.
        lesions: what was added, ``(B, 1, H, W)``; images without a lesion do not count.
    """
    there = lesions.abs().amax(dim=(1, 2, 3)) > 0
    if not bool(there.any()):
        return (with_lesions - without).sum() * 0.0
    wrong = ((with_lesions - without - lesions)[there] ** 2).sum(dim=(1, 2, 3))
    return (wrong / (lesions[there] ** 2).sum(dim=(1, 2, 3))).mean()


class DetectionTargets(NamedTuple):
    """True boxes on the detector's grid.

    Attributes:
        heat: ``(B, 1, h, w)``, 1 at each centre and falling around it.
        places: ``(N, 3)`` int64: image, row and column of each centre.
        offsets, log_sizes: ``(N, 2)``, as in :class:`DetectorOutput`.
    """

    heat: Tensor
    places: Tensor
    offsets: Tensor
    log_sizes: Tensor


def detection_targets(boxes: Sequence[Tensor], shape: tuple[int, int]) -> DetectionTargets:
    """Targets of true boxes, after CenterNet, with a Gaussian of a sixth of the box.

    Args:
        boxes: true boxes of each image, ``(n, 4)`` in pixels, their centres inside the image.
        shape: rows and columns of the detector's grid.
    """
    heat = torch.zeros((len(boxes), 1, *shape))
    rows, columns = torch.arange(shape[0]).float(), torch.arange(shape[1]).float()
    places, offsets, sizes = [], [], []
    for image, true in enumerate(boxes):
        for left, top, right, bottom in (true.cpu().float() / STRIDE).tolist():
            x, y = (left + right) / 2, (top + bottom) / 2
            column, row = min(max(int(x), 0), shape[1] - 1), min(max(int(y), 0), shape[0] - 1)
            sigma = max((right - left + bottom - top) / 2 / 6, 0.5)
            bump = torch.exp(-((rows - row)[:, None] ** 2 + (columns - column) ** 2) / (2 * sigma**2))
            heat[image, 0] = torch.maximum(heat[image, 0], bump)
            places.append((image, row, column))
            offsets.append((x - column - 0.5, y - row - 0.5))
            sizes.append((max(right - left, 1e-3), max(bottom - top, 1e-3)))
    return DetectionTargets(
        heat,
        torch.tensor(places, dtype=torch.int64).reshape(-1, 3),
        torch.tensor(offsets).reshape(-1, 2),
        torch.tensor(sizes).reshape(-1, 2).log(),
    )


def detection_loss(output: DetectorOutput, targets: DetectionTargets) -> Tensor:
    """CenterNet's: focal loss of the heat map (alpha 2, beta 4) per lesion, plus 0.5 of the L1 of offsets and sizes."""
    logits, heat = output.heat_logits, targets.heat.to(output.heat_logits)
    probability = logits.sigmoid()
    centre = heat >= 1.0
    found = -F.logsigmoid(logits) * (1 - probability) ** 2
    wrong = -F.logsigmoid(-logits) * probability**2 * (1 - heat) ** 4
    count = max(1, len(targets.places))
    loss = (torch.where(centre, found, wrong)).sum() / count
    if len(targets.places):
        image, row, column = targets.places.to(logits.device).unbind(1)
        offsets, sizes = (values[image, :, row, column] for values in (output.offsets, output.log_sizes))
        loss = loss + 0.5 * F.l1_loss(offsets, targets.offsets.to(offsets))
        loss = loss + 0.5 * F.l1_loss(sizes, targets.log_sizes.to(sizes))
    return loss


class LIDnetTerms(NamedTuple):
    """The joint objective and its parts."""

    total: Tensor
    denoising: Tensor
    roi: Tensor
    detection: Tensor


class LIDnetLoss(nn.Module):
    """The denoiser's joint objective; see the module.

    Args:
        roi: weight of the perceptual loss on regions.
        detection: weight of the detector's own loss on the denoised image.
        hu_per_unit: width of the window in HU.
    """

    def __init__(self, roi: float = 1.0, detection: float = 0.5, hu_per_unit: float = 4096.0) -> None:
        super().__init__()
        if roi < 0 or detection < 0:
            raise ValueError("the weights of the joint loss are 0 or more")
        self.roi, self.detection, self.hu_per_unit = roi, detection, hu_per_unit

    def forward(
        self, predicted: Tensor, target: Tensor, boxes: Sequence[Tensor], detector: LesionDetector | None
    ) -> LIDnetTerms:
        """Loss of denoised images.

        Args:
            predicted: ``(B, 1, H, W)`` on the window's scale.
            target: likewise, without noise.
            boxes: true lesions of each image, ``(n, 4)``.
            detector: its weights get no gradient here, but the gradient passes through it; None leaves only the
                denoiser's own loss.
        """
        own = denoising_loss(predicted, target, self.hu_per_unit)
        zero = own.new_zeros(())
        if detector is None or not (self.roi or self.detection):
            return LIDnetTerms(own, own, zero, zero)
        with frozen(detector):
            output = detector(predicted)
            with torch.no_grad():
                reference = detector(target)
            where, images = regions(reference, boxes)
            roi = roi_perceptual_loss(output.features, reference.features, where, images)
            targets = detection_targets(boxes, tuple(output.heat_logits.shape[2:]))
            detection = detection_loss(output, targets)
        return LIDnetTerms(own + self.roi * roi + self.detection * detection, own, roi, detection)


@contextmanager
def frozen(network: nn.Module):  # noqa: ANN201  (a context manager)
    """Within the block the network's own weights get no gradient; afterwards they are as they were."""
    before = [(parameter, parameter.requires_grad) for parameter in network.parameters()]
    training = network.training
    network.eval()
    for parameter, _ in before:
        parameter.requires_grad_(False)
    try:
        yield network
    finally:
        network.train(training)
        for parameter, wanted in before:
            parameter.requires_grad_(wanted)
