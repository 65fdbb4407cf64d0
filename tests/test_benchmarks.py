"""The baselines measure what they say: the same data, the same networks, the same number of updates."""

import pytest
import torch

import gan_utils as gu
from benchmarks.__main__ import BENCHMARKS, reach
from benchmarks.baselines import classic_loop, torchvision_mnist


def test_torchvision_reads_the_same_digits(tmp_path):
    """Image by image, scaled by its own transforms, equal to the package's up to one rounding of float32."""
    theirs, (images, labels) = torchvision_mnist(str(tmp_path)), gu.load_mnist("train")
    assert len(theirs) == len(images)
    for i in (0, 1, 777, 59_999):
        x, y = theirs[i]
        torch.testing.assert_close(x, images[i], rtol=0, atol=2e-7)
        assert y == int(labels[i])


@pytest.mark.slow
def test_classic_loop_is_the_classic_pair_for_whole_epochs():
    """One epoch of 60,000 in batches of 64 is 938 updates, the last batch short; the networks count as ours do."""
    seen = []
    G, seconds, steps = classic_loop(1, after_epoch=lambda *epoch: seen.append(epoch))
    assert steps == 938 and seconds > 0 and [e for e, _, _ in seen] == [1]
    assert gu.count_parameters(G) == gu.count_parameters(gu.classic_generator())
    assert gu.frechet_digits(G(torch.randn(500, 100)).detach().view(-1, 1, 28, 28)) < 400  # noise scores above 900


def test_reach_stops_at_the_first_score_below_the_target():
    steps, seconds, distance = reach(1e9, seed=0)
    assert steps == 10 and seconds > 0 and distance <= 1e9


def test_recorded_figures_are_whole():
    """What the chapter quotes: 20 epochs of 938 updates, one distance an epoch, and the command."""
    record = gu.recorded("classic-mnist-loop")
    assert record["steps"] == 20 * 938
    assert record["epochs"] == list(range(1, 21)) and len(record["frechet"]) == 20
    assert record["command"].split()[-1] in BENCHMARKS
    with pytest.raises(ValueError, match="no figures called 'nothing'"):
        gu.recorded("nothing")
