"""Spread, mean and correlation by width are judged as they are, and walls are measured from the line between the ends."""

import jax
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from jaxnet import training
from jaxnet.experiments.minima import measurement

TINY = measurement.MinimaSettings(
    widths=(4, 8), networks=6, orders=2, images=1000, epochs=2, learning_rate=1.0, pairs=2, points=5
)


def numbers(spreads=(0.02, 0.01), means=(0.4, 0.3)):
    generator = np.random.default_rng(0)
    shape = generator.normal(size=(2, 400))
    shape = (shape - shape.mean(1)[:, None]) / shape.std(1, ddof=1)[:, None]
    test = np.asarray(means)[:, None] + np.asarray(spreads)[:, None] * shape
    line = np.array([[[0.2, 0.6, 0.2]] * 3] * 2)
    slopes = {"slope": np.full((2, 400), 0.02), "slope_before": np.array([[1.0, 3.0]] * 2)}
    return {
        "widths": np.array([4, 8]),
        "train": test + 0.001,
        "test": test,
        "straight": line,
        "ordered": line / 2,
    } | slopes


def verdicts(arrays):
    found = measurement.answer(TINY, arrays)
    return {f.what: f.verdict for f in found.findings if "falls" in f.what}, found


def test_a_growing_spread_is_a_miss():
    good, _ = verdicts(numbers())
    assert good["spread of the test cost falls from width to width"] == "reproduced"
    bad, found = verdicts(numbers(spreads=(0.01, 0.02)))
    assert bad["spread of the test cost falls from width to width"] == "missed"
    assert bad["mean of the test cost falls from width to width"] == "reproduced"
    assert "do not both fall" in found.words


def test_a_step_that_chance_may_have_made_is_undecided():
    def verdict(means):
        tests = np.asarray(means)[:, None] + numbers()["test"][:1] - numbers()["test"][0].mean()
        found = measurement.falling("x", lambda train, test: test.mean(-1), tests, tests)
        return found.verdict, (found.low, found.value, found.high)

    assert verdict([0.40, 0.39, 0.38]) == ("reproduced", (2.0, 2.0, 2.0))
    assert verdict([0.40, 0.4001, 0.38]) == ("undecided", (1.0, 1.0, 2.0))
    assert verdict([0.40, 0.41, 0.38]) == ("missed", (1.0, 1.0, 1.0))


def test_a_spread_has_the_interval_of_resampling():
    found = next(
        f for f in measurement.answer(TINY, numbers()).findings if f.what == "spread of the test cost, 4 hidden"
    )
    assert found.value == pytest.approx(0.02)
    exact = 0.02 / np.sqrt(2 * 399)  # of a normal sample's standard deviation
    assert found.high - found.low == pytest.approx(2 * 1.96 * exact, rel=0.2)


def test_the_gradient_left_is_told_in_parts_of_the_first():
    found = measurement.answer(TINY, numbers())
    assert [f.value for f in found.findings if "remaining gradient" in f.what] == pytest.approx([1.0, 1.0])
    assert "At the end of training, the norm of the gradient is 1.0 to 1.0 % of the norm at the start." in found.words


def test_a_wall_is_measured_from_the_line_between_its_ends():
    assert measurement.barriers([0.0, 1.0, 2.0]) == 0.0  # uphill all the way is no wall
    assert measurement.barriers([[1.0, 2.0, 1.0], [1.0, 0.0, 1.0]]).tolist() == [1.0, 0.0]


def test_a_correlation_is_held_to_the_published_one():
    generator = np.random.default_rng(1)
    first = generator.normal(size=500)
    second = 0.6 * first + 0.8 * generator.normal(size=500)
    value = float(np.corrcoef(first, second)[0, 1])
    verdicts = [
        measurement.correlation("x", first, second, value + off).verdict for off in (-0.2, -0.09, 0.04, 0.09, 0.2)
    ]
    assert verdicts == ["missed", "undecided", "reproduced", "undecided", "missed"]
    assert measurement.correlation("x", first, -second, value).verdict == "missed"


def test_more_pairs_than_networks_are_refused(small):
    with pytest.raises(ValueError, match="4 pairs need 8 networks of each width, got 6"):
        measurement.measure(TINY._replace(pairs=4), small)


def test_digits_are_shrunk_without_losing_ink(small):
    found = measurement.shrunk(small, 50)
    assert found.train.images.shape == (50, 10, 10)
    before, after = np.mean(small.train.images[:50]), found.train.images.mean()
    assert after == pytest.approx(before, rel=0.03)


@pytest.mark.slow
def test_a_network_is_what_its_settings_say(small):
    arrays = measurement.measure(TINY, small)
    assert arrays["test"].shape == (2, 6)
    assert (arrays["test"] < 2.3).all()  # all learned something
    assert len(np.unique(arrays["test"])) == 12
    np.testing.assert_allclose(arrays["straight"][:, :, 0], arrays["train"][:, :2], rtol=1e-4)
    np.testing.assert_allclose(arrays["straight"][:, :, -1], arrays["train"][:, :3:-1], rtol=1e-4)
    np.testing.assert_allclose(arrays["ordered"][:, :, -1], arrays["straight"][:, :, -1], rtol=1e-3)
    begun, ended = arrays["slope_before"].mean(1), arrays["slope"].mean(1)
    assert (ended < begun).all()
    begin, tiny = measurement.trained_by(TINY, 4), measurement.shrunk(small, 1000)
    plan = training.plan(begin, tiny)
    gradient, _ = ravel_pytree(jax.grad(plan.functions.cost)(plan.params, tiny.train))
    assert arrays["slope_before"][0, 0] == pytest.approx(np.linalg.norm(gradient), rel=1e-5)
    assert measurement.answer(TINY, arrays).words
