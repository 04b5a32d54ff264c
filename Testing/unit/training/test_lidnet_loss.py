"""If these fail, the detector does not teach the denoiser, or is spoilt by it, and LIDnet is a plain denoiser."""

from __future__ import annotations

import copy

import pytest
import torch
from CTQualityAssessmentLib.networks.lesion_detector import LesionDetector, LesionDetectorConfig

from Training.losses.lidnet import (
    LIDnetLoss,
    denoising_loss,
    detection_loss,
    detection_targets,
    retention_loss,
    roi_perceptual_loss,
)

BOXES = [torch.tensor([[20.0, 24.0, 32.0, 34.0]]), torch.zeros(0, 4)]


@pytest.fixture
def detector():
    torch.manual_seed(2)
    return LesionDetector(LesionDetectorConfig(channels=(4, 6, 6, 6), features=8))


@pytest.fixture
def images():
    torch.manual_seed(4)
    clean = 0.26 + 0.01 * torch.randn(2, 1, 64, 64)
    return clean + 0.005 * torch.randn_like(clean), clean


def test_own_and_regional_loss_are_zero_only_for_equal_images(detector, images):
    noisy, clean = images
    equal, other = (LIDnetLoss()(x, clean, BOXES, detector) for x in (clean.clone(), noisy))
    assert equal.denoising == 0 and equal.roi == 0
    assert other.denoising > 0 and other.roi > 0
    assert denoising_loss(clean + 100 / 4096, clean, 4096.0).item() == pytest.approx(1.0, rel=1e-3)


def test_the_regional_loss_sees_regions_only():
    features, target = torch.randn(1, 3, 16, 16), torch.zeros(1, 3, 16, 16)
    box, image = torch.tensor([[8.0, 8.0, 24.0, 24.0]]), torch.tensor([0])
    outside = target.clone()
    outside[..., 10:, :] = features[..., 10:, :]
    assert roi_perceptual_loss(outside, target, box, image) == 0
    assert roi_perceptual_loss(features, target, box, image) > 0
    assert roi_perceptual_loss(features, target, box[:0], image[:0]) == 0


def test_the_gradient_reaches_the_denoiser_through_a_detector_that_stays_as_it_is(detector, images):
    noisy, clean = images
    evaluator = copy.deepcopy(detector).requires_grad_(False)
    before = copy.deepcopy(evaluator.state_dict())
    predicted = noisy.clone().requires_grad_(True)
    terms = LIDnetLoss(roi=1.0, detection=0.5)(predicted, clean, BOXES, detector)
    assert terms.total.item() == pytest.approx((terms.denoising + terms.roi + 0.5 * terms.detection).item())
    for part in (terms.roi, terms.detection):
        (gradient,) = torch.autograd.grad(part, predicted, retain_graph=True)
        assert gradient.abs().sum() > 0
    terms.total.backward()
    assert all(p.grad is None and p.requires_grad for p in detector.parameters())
    # A step of the detector in training leaves the one that judges alone.
    loss = detection_loss(detector(predicted.detach()), detection_targets(BOXES, (16, 16)))
    loss.backward()
    torch.optim.SGD(detector.parameters(), lr=0.1).step()
    assert any(not torch.equal(detector.state_dict()[k], v) for k, v in before.items())
    assert all(torch.equal(evaluator.state_dict()[k], v) for k, v in before.items())


def test_without_a_detector_or_weights_it_is_the_denoisers_own_loss(detector, images):
    noisy, clean = images
    plain = denoising_loss(noisy, clean, 4096.0)
    assert LIDnetLoss()(noisy, clean, BOXES, None).total == plain
    assert LIDnetLoss(roi=0, detection=0)(noisy, clean, BOXES, detector).total == plain
    with pytest.raises(ValueError, match="0 or more"):
        LIDnetLoss(roi=-1)


def test_a_perfect_detection_costs_almost_nothing_and_a_miss_or_a_false_alarm_costs(detector, images):
    targets = detection_targets(BOXES, (16, 16))
    assert targets.heat.max() == 1 and targets.places.tolist() == [[0, 7, 6]]
    output = detector(images[1])
    heat = torch.full_like(output.heat_logits, -12.0)
    heat[0, 0, 7, 6] = 12.0
    offsets, sizes = torch.zeros_like(output.offsets), torch.zeros_like(output.log_sizes)
    offsets[0, :, 7, 6], sizes[0, :, 7, 6] = targets.offsets[0], targets.log_sizes[0]
    perfect = output._replace(heat_logits=heat, offsets=offsets, log_sizes=sizes)
    missed, alarmed = heat.clone(), heat.clone()
    missed[0, 0, 7, 6], alarmed[1, 0, 2, 2] = -12.0, 12.0
    assert detection_loss(perfect, targets) < 1e-3
    assert detection_loss(perfect._replace(heat_logits=missed), targets) > 1
    assert detection_loss(perfect._replace(heat_logits=alarmed), targets) > 1
    assert detection_loss(perfect._replace(log_sizes=sizes + 1), targets) > 0.3
    assert detection_targets([torch.zeros(0, 4)], (4, 4)).heat.sum() == 0


def test_retention_is_zero_for_the_identity_one_for_a_wipe_and_ignores_images_without_a_lesion():
    torch.manual_seed(0)
    image, lesions = torch.randn(3, 1, 16, 16), torch.zeros(3, 1, 16, 16)
    lesions[:2, :, 5:9, 5:9] = torch.tensor([1.0, 9.0])[:, None, None, None]
    assert retention_loss(image + lesions, image, lesions) < 1e-9
    assert retention_loss(image, image, lesions).item() == pytest.approx(1.0)
    assert retention_loss(image + lesions / 2, image, lesions).item() == pytest.approx(0.25, rel=1e-4)
    assert retention_loss(image + 1, image, lesions * 0) == 0
