"""If these fail, boxes lie beside their lesions, or the denoiser is taught by features of another place."""

from __future__ import annotations

import pytest
import torch
from CTQualityAssessmentLib.networks.lesion_detector import (
    STRIDE,
    DetectorOutput,
    LesionDetector,
    LesionDetectorConfig,
    find_boxes,
)
from CTQualityAssessmentLib.networks.roi_align import roi_align

SMALL = LesionDetectorConfig(channels=(4, 4, 4, 4), features=6)


def test_every_size_gives_a_grid_of_a_quarter_and_all_weights_learn():
    torch.manual_seed(1)
    network = LesionDetector(SMALL)
    for shape, grid in (((64, 48), (16, 12)), ((50, 37), (13, 10))):
        output = network(torch.rand(2, 1, *shape))
        assert output.features.shape == (2, 6, *grid) and output.heat_logits.shape == (2, 1, *grid)
        assert output.offsets.shape == output.log_sizes.shape == (2, 2, *grid)
    sum(part.square().sum() for part in output).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())
    with pytest.raises(ValueError, match=r"\(B, 1, H, W\)"):
        network(torch.rand(64, 64))


def test_a_peak_becomes_the_box_it_stands_for():
    heat = torch.full((1, 1, 8, 10), -9.0)
    heat[0, 0, 3, 6], heat[0, 0, 3, 7], heat[0, 0, 6, 1] = 4.0, 3.0, 0.0
    offsets, sizes = torch.zeros(1, 2, 8, 10), torch.zeros(1, 2, 8, 10)
    offsets[0, :, 3, 6] = torch.tensor([0.25, -0.5])
    sizes[0, :, 3, 6] = torch.tensor([3.0, 2.0]).log()
    (found,) = find_boxes(DetectorOutput(torch.zeros(1, 1, 8, 10), heat, offsets, sizes))
    assert found.scores.tolist() == pytest.approx([torch.sigmoid(torch.tensor(4.0)).item(), 0.5])
    x, y = (6 + 0.5 + 0.25) * STRIDE, (3 + 0.5 - 0.5) * STRIDE
    torch.testing.assert_close(found.boxes[0], torch.tensor([x - 6, y - 4, x + 6, y + 4]))
    (few,) = find_boxes(DetectorOutput(torch.zeros(1, 1, 8, 10), heat, offsets, sizes), most=1, threshold=0.9)
    assert len(few.boxes) == 1


def test_regions_read_a_ramp_exactly_wherever_they_lie():
    """Bilinear reading of a plane has no error: half a pixel of offset would show."""
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(20.0), indexing="ij")
    ramp = torch.stack([x + 0.5, 10 * (y + 0.5)])
    features = torch.stack([ramp, -ramp])
    boxes = torch.tensor([[8.0, 8.0, 36.0, 22.0], [20.0, 12.0, 48.0, 54.0], [8.0, 8.0, 36.0, 22.0]])
    found = roi_align(features, boxes, torch.tensor([0, 1, 1]), stride=4.0, size=7)
    assert found.shape == (3, 2, 7, 7)
    centres = (torch.arange(7) + 0.5) / 7
    torch.testing.assert_close(found[0, 0], (2 + 7 * centres).expand(7, 7), atol=1e-4, rtol=0)
    torch.testing.assert_close(found[0, 1], 10 * (2 + 3.5 * centres)[:, None].expand(7, 7), atol=1e-3, rtol=0)
    torch.testing.assert_close(found[1, 0], -(5 + 7 * centres).expand(7, 7), atol=1e-4, rtol=0)
    torch.testing.assert_close(found[2], -found[0])
    assert roi_align(features, boxes[:0], torch.zeros(0, dtype=torch.int64), 4.0).shape == (0, 2, 7, 7)
