"""Easy examples and unequal ones: the statistics tell real from alike, and the verdicts turn with the numbers."""

import numpy as np
import pytest

from jaxnet import bang
from jaxnet.experiments.sensitivity import figures as shown
from jaxnet.experiments.sensitivity import measurement, verdict

TINY = measurement.SensitivitySettings(
    examples=20, repetitions=2, networks=4, easy_batch=5, seeds=2, epochs=2, batch_size=10, pixels=3
)
gini = lambda values: bang.lorenz(np.asarray(values, float)).gini


def numbers(spreads=(0.25, 0.04, 0.04), ginis=(0.4, 0.2, 0.25), off=1e-7):
    """Arrays as `measure` returns them, of made-up networks."""
    draw = np.random.default_rng(0).normal
    slopes = np.array([1.0, -2.0, 3.0])
    bent = lambda spread: np.clip(0.5 + spread * draw(size=(3, 50)), 0, 1)
    by_seed = np.array(ginis)[:, None] + 0.001 * np.arange(4)
    return {
        "learned": np.stack([bent(spread) for spread in spreads], axis=1),
        "gini": by_seed, "gini_after": np.repeat(by_seed[:, :, None], 2, axis=2),
        "gradients": slopes * (1 + off), "quotients": slopes,
    }  # fmt: skip


def test_the_gini_is_0_of_equal_values_near_1_of_a_single_one_and_knows_no_unit():
    assert gini(np.ones(10)) == pytest.approx(0)
    assert gini(np.eye(10)[3]) == pytest.approx(0.9)  # (n - 1) / n
    values = np.random.default_rng(0).random(30)
    assert gini(1e-6 * values) == pytest.approx(gini(values))
    mean_difference = np.abs(values[:, None] - values).mean() / (2 * values.mean())  # the definition
    assert gini(values) == pytest.approx(mean_difference)
    assert gini(values - values.mean() + 2) != pytest.approx(mean_difference, rel=0.05)  # a shift is no unit


def test_equally_hard_examples_scatter_as_the_binomial_and_others_more():
    generator = np.random.default_rng(0)
    alike = generator.binomial(100, 0.3, (20, 1000)) / 100
    unlike = generator.binomial(100, generator.random((20, 1000))) / 100
    assert verdict.uneven(alike, 100).mean() == pytest.approx(1, abs=0.05)
    assert verdict.uneven(unlike, 100).min() > 20
    wrong = verdict.uneven(alike, 10).mean()  # another number of networks than there were
    assert abs(wrong - 1) > 0.5


def test_the_verdicts_turn_with_the_numbers():
    judged = lambda f: f.verdict != "measured" and "binomial" not in f.what
    verdicts = lambda arrays: [f.verdict for f in measurement.answer(TINY, arrays).findings if judged(f)]
    assert set(verdicts(numbers())) == {"reproduced"}
    assert verdicts(numbers(spreads=(0.04, 0.25, 0.25)))[0] == "missed"
    assert verdicts(numbers(ginis=(0.2, 0.4, 0.1)))[1:3] == ["missed", "reproduced"]
    assert verdicts(numbers(off=1e-3))[-2:] == ["missed", "missed"]
    assert "does not reliably agree" in measurement.answer(TINY, numbers(ginis=(0.2, 0.4, 0.1))).words
    assert "does not agree" in measurement.answer(TINY, numbers(off=1e-3)).words


def test_an_ordering_that_takes_a_while_is_told():
    late = numbers()
    late["gini_after"][0, :, 0] = 0.1
    assert "This order needs time" in measurement.answer(TINY, late).words
    assert "This order needs time" not in measurement.answer(TINY, numbers()).words


def test_the_chosen_examples_hold_as_many_of_each_digit_and_are_shrunk_by_means(small):
    chosen = measurement.balanced(small.train.labels, 200, 0)
    assert np.bincount(small.train.labels[chosen]).tolist() == [20] * 10
    assert len(set(chosen.tolist())) == 200
    images = measurement.shrunk(small.train.images[:3])
    assert images.shape == (3, 14, 14)
    assert images[1, 7, 6] == pytest.approx(small.train.images[1, 14:16, 12:14].mean() / 255)
    with pytest.raises(ValueError, match="1005 examples cannot be divided equally into 10 labels"):
        measurement.measure(measurement.SensitivitySettings(examples=1005), small)
    with pytest.raises(ValueError, match="balanced examples need"):
        measurement.balanced(small.train.labels, 20_000, 0)


def test_noise_has_the_digits_mean_and_deviation_and_random_labels_their_frequencies(small):
    images, labels = measurement.worlds(small, 500, 0)
    assert images[1].mean() == pytest.approx(images[0].mean(), abs=0.005)
    assert images[1].std() == pytest.approx(images[0].std(), abs=0.005)
    assert np.array_equal(images[0], images[2])
    assert np.bincount(labels[2]).tolist() == [50] * 10
    assert (labels[2] == labels[0]).mean() < 0.2


@pytest.mark.slow
def test_a_tiny_run_measures_what_the_answer_and_the_pictures_need(small):
    arrays = measurement.measure(TINY, small)
    assert arrays["learned"].shape == (2, 3, 20)
    assert arrays["sensitivity"].shape == (3, 2, 20)
    assert (arrays["sensitivity"] > 0).all()
    assert verdict.errors(arrays).max() <= verdict.SURE
    assert len(measurement.answer(TINY, arrays).findings) == 15
    assert set(shown.pictures(arrays)) == {"easy", "gini", "digits"}
