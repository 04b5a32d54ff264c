"""CMMIQA: shapes of the full network, prompts, single slices, any depth."""

import pytest
import torch
from CTQualityAssessmentLib.networks.aware_prompts import PROMPT_PLACES, drop_prompts, prompt_codes
from CTQualityAssessmentLib.networks.cmmiqa import CMMIQA, CMMIQAConfig, compact_config, weighted_score
from CTQualityAssessmentLib.prompts import MODALITIES, ORGANS, PHASES, Prompt, organ_in

TINY = CMMIQAConfig(stem=4, channels=(4, 8, 8, 16), blocks=1, layers=1, heads=2)
CT_ABDOMEN = Prompt("CT", "abdomen")


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    return CMMIQA(TINY).eval()


def test_the_full_network_has_the_shapes_of_the_design():
    """Weights trained elsewhere to the published shapes would not load."""
    torch.manual_seed(0)
    network = CMMIQA().eval()
    seen = []
    for part in (network.stem, *network.stages):
        part.register_forward_hook(lambda module, inputs, output: seen.append(tuple(output.shape[1:])))
    with torch.inference_mode():
        found = network(torch.rand(1, 1, 32, 224, 224))
    assert seen == [(32, 32, 112, 112), (64, 32, 56, 56), (128, 16, 28, 28), (256, 8, 14, 14), (384, 4, 14, 14)]
    assert found.score.shape == (1,)
    assert found.scores.shape == found.weights.shape == (1, 4, 14, 14)


def test_the_compact_network_is_small_enough_to_ship():
    """A bundle of more than 8 MB is refused by the writer of bundles."""
    count = sum(p.numel() for p in CMMIQA(compact_config()).parameters())
    assert count == 576_762
    assert 2 * count < 8 * 2**20


@pytest.mark.parametrize("depth, tokens", [(1, 1), (2, 1), (7, 1), (8, 1), (9, 2), (20, 3), (33, 5)])
@pytest.mark.parametrize("matrix", [(16, 16), (40, 57)])
def test_any_depth_and_matrix_is_read(tiny, depth, tokens, matrix):
    """Thick and thin volumes, single slices and odd matrices would crash."""
    with torch.inference_mode():
        found = tiny(torch.rand(2, 1, depth, *matrix))
    assert found.scores.shape == (2, tokens, -(-matrix[0] // 16), -(-matrix[1] // 16))
    assert torch.isfinite(found.score).all()


def test_a_single_slice_is_read_as_seven_copies(tiny):
    """A 2D image would be scored differently from the volume that it stands for."""
    slice_ = torch.rand(1, 1, 1, 48, 48)
    with torch.inference_mode():
        assert torch.equal(tiny(slice_).scores, tiny(slice_.repeat(1, 1, 7, 1, 1)).scores)


@pytest.mark.parametrize("mode", ["additive", "film"])
def test_the_prompt_changes_the_score(mode):
    """The user's choice of modality and organ would do nothing."""
    torch.manual_seed(0)
    network = CMMIQA(CMMIQAConfig(**{**TINY.to_dict(), "channels": TINY.channels, "prompt": mode})).eval()
    volume = torch.rand(1, 1, 8, 32, 32)
    prompts = [CT_ABDOMEN, Prompt("MR", "abdomen"), Prompt("CT", "brain"), Prompt("CT", "abdomen", "venous"), Prompt()]
    with torch.inference_mode():
        found = [float(network(volume, [prompt]).score) for prompt in prompts]
        assert float(network(volume).score) == found[-1], "no prompt means unknown"
    assert len({round(score, 7) for score in found}) == len(prompts)


def test_every_parameter_learns():
    """A branch or head that gets no gradient is dead weight."""
    torch.manual_seed(0)
    network = CMMIQA(TINY).train()
    found = network(torch.rand(2, 1, 16, 48, 48), [CT_ABDOMEN, Prompt()])
    ((found.score - torch.tensor([0.1, 0.9])) ** 2).sum().backward()
    silent = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


def test_the_score_is_the_weighted_mean_of_the_score_map(tiny):
    """Score and maps that are shown together would not belong together."""
    with torch.inference_mode():
        found = tiny(torch.rand(1, 1, 16, 48, 48), [CT_ABDOMEN])
    by_hand = (found.scores * found.weights).sum() / found.weights.sum()
    assert torch.allclose(found.score[0], by_hand)
    assert (found.scores >= 0).all() and ((found.weights > 0) & (found.weights < 1)).all()
    assert torch.isfinite(weighted_score(found.scores, torch.zeros_like(found.weights))).all()


def test_maps_move_with_the_volume(tiny):
    """A map that is shifted against the anatomy shows the defect elsewhere: a token stands for 8 x 16 x 16 voxels."""
    volume = torch.zeros(1, 1, 48, 160, 160)
    volume[:, :, 16:24, 64:80, 64:80] = 1
    with torch.inference_mode():
        here = tiny.stages[0](tiny.stem(volume))
        there = tiny.stages[0](tiny.stem(volume.roll((8, 16, 16), (2, 3, 4))))
    moved = here.roll((8, 4, 4), (2, 3, 4))
    assert torch.allclose(moved[:, :, 12:36, 8:32, 8:32], there[:, :, 12:36, 8:32, 8:32], atol=1e-5)


def test_what_lies_far_away_changes_no_feature(tiny):
    """The noise of a region would be read off the rest of the volume: air around the patient, or the slab it is in."""
    near = torch.rand(1, 1, 16, 256, 32)
    far = near.clone()
    far[..., 192:, :] = 0.0
    with torch.inference_mode():
        one, other = tiny.features(near), tiny.features(far)
    assert not torch.allclose(one, other)
    torch.testing.assert_close(one[..., :6, :], other[..., :6, :])


def test_codes_have_one_place_for_each_part():
    """Two words in one place would be the same to the network."""
    codes = prompt_codes([Prompt(m, o, p) for m in MODALITIES for o in ORGANS for p in PHASES])
    assert codes.shape == (len(MODALITIES) * len(ORGANS) * len(PHASES), PROMPT_PLACES)
    assert (codes.sum(1) == 3).all()
    assert len({tuple(code.tolist()) for code in codes}) == len(codes)


def test_dropped_prompts_are_unknown():
    """The network would not learn to do without a prompt."""
    codes = prompt_codes([CT_ABDOMEN] * 400)
    assert torch.equal(drop_prompts(codes, 0.0), codes)
    assert torch.equal(drop_prompts(codes, 1.0), prompt_codes([Prompt()] * 400))
    some = drop_prompts(codes, 0.25, torch.Generator().manual_seed(1))
    assert 0.15 < float((some[:, 0] == 1).float().mean()) < 0.35
    assert (some.sum(1) == 3).all()


@pytest.mark.parametrize(
    "text, organ",
    [
        ("ABDOMEN", "abdomen"),
        ("t1_tse_tra Thigh re", "extremity"),
        ("Head^Routine (Adult)", "brain"),
        ("CHEST_ABDOMEN 5mm", "abdomen"),
        ("LSPINE", "spine"),
        ("Armstrong, Dr. Chesterfield", None),
        ("", None),
        (None, None),
    ],
)
def test_organs_are_found_in_tags_as_whole_words(text, organ):
    """A name in a description would be taken for an organ."""
    assert organ_in(text) == organ


@pytest.mark.parametrize(
    "wrong",
    [
        {"channels": (8, 16, 32)},
        {"channels": (6, 8, 8, 16)},
        {"heads": 5},
        {"prompt": "shouted"},
        {"prompt_dropout": 1.5},
        {"blocks": 0},
    ],
)
def test_impossible_shapes_are_refused(wrong):
    """A damaged bundle would fail deep inside torch."""
    with pytest.raises(ValueError):
        CMMIQAConfig.from_dict({**TINY.to_dict(), **wrong})


def test_a_configuration_survives_json():
    """A bundle would be built as another network."""
    assert CMMIQAConfig.from_dict(compact_config().to_dict()) == compact_config()
    with pytest.raises(ValueError, match="colour"):
        CMMIQAConfig.from_dict({"colour": "red"})
    with pytest.raises(ValueError, match="modality"):
        Prompt("PET")
