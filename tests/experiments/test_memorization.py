"""Shuffles that shuffle, starts and orders that are the same, and verdicts on memorizing that turn with the numbers."""

import math

import numpy as np
import pytest

from jaxnet.experiments.memorization import controls, measurement, verdict
from jaxnet.experiments.memorization import figures as shown
from jaxnet.experiments.memorization import fitting as fits

TINY = measurement.MemorizationSettings(
    images=500, hidden=(8,), seeds=2, learning_rate=0.01, schedule="constant", epochs=3,
    capacity_images=(500, 1000), capacity_hidden=((4,), (3, 3)), capacity_seeds=2, capacity_steps=10,
    control_images=500, control_hidden=8, control_seeds=2, control_epochs=1, shares=(0.0, 1.0),
)  # fmt: skip


def numbers(fitted=99.8, test=10.0, film=20.0, order=("a", "b"), start="s", noise=(90.0, 50.0), falls=None):
    """Arrays as `measure` returns them, of made-up networks."""
    steps = np.array([0, 10, 20, 40, 60, 100])
    right = np.linspace(10, fitted, 6) if falls is None else np.asarray(falls)
    both = lambda values: np.repeat(np.asarray(values, float)[:, None], 2, axis=1)
    return {
        "true_steps": steps, "true_right": both([10, 90, 95, 98, 99, 99.9]), "true_test": np.array([92.0, 92.5]),
        "true_start": np.array(["s", "t"]), "true_order": np.array(["a"]),
        "shuffled_steps": steps if falls is not None else np.linspace(0, 100, 6), "shuffled_right": both(right),
        "shuffled_test": np.array([test - 0.1, test + 0.1]), "shuffled_start": np.array([start, "t"]),
        "shuffled_order": np.array(order), "unchanged": np.array([10.0, 10.2]), "doubt": np.array([0.4, 0.6]),
        "film_right": np.full(2, film), "shape_right": np.full(2, film), "shares": np.array([0.0, 1.0]),
        "capacity": np.array([[[100.0, 100.0], [90.0, 80.0]], [[50.0, 40.0], [20.0, 30.0]]]),
        "counts": np.array([500, 1000]), "hidden": np.array(["4", "3-3"]), "parameters": np.array([3190, 2407]),
        "noise_train": np.full((2, 2), 100.0), "noise_test": both(noise),
        "control_steps": np.tile(np.arange(3.0), (5, 1)), "control_right": np.full((5, 3, 2), 100.0),
        "control_test": np.full((5, 2), 10.0),
        "control_to_fit": np.repeat([[10.0], [40.0], [10.0], [20.0], [30.0]], 2, axis=1),
    }  # fmt: skip


def found(arrays, words):
    return next(f for f in measurement.answer(TINY, arrays).findings if words in f.what)


def labels_of(count=5000):
    return np.random.default_rng(7).integers(0, 10, count)


def test_a_shuffle_keeps_every_digits_frequency_and_nothing_else():
    before = labels_of()
    after = controls.shuffled(before, 0)
    assert np.bincount(after).tolist() == np.bincount(before).tolist()
    judged = controls.judge_shuffle(before, after)
    assert judged.unchanged == pytest.approx(judged.expected, abs=2)
    assert judged.doubt > 1e-3


def test_shuffles_that_keep_some_order_are_found_out():
    before = labels_of()
    moved_on = (before + 1) % 10  # none unchanged, and nothing hidden
    assert controls.judge_shuffle(before, moved_on).unchanged == 0
    assert controls.judge_shuffle(before, moved_on).doubt < 1e-6
    assert controls.judge_shuffle(before, controls.shuffled(before, 0, 0.9)).doubt < 1e-6  # a tenth stayed
    in_order = np.sort(before)
    neighbors = in_order.reshape(-1, 100)[:, ::-1].ravel()  # dealt out anew only among a hundred neighbors
    assert controls.judge_shuffle(in_order, neighbors).doubt < 1e-6


def test_a_larger_share_of_noise_moves_what_a_smaller_one_moves():
    before = labels_of()
    kept = [(controls.shuffled(before, 3, part) == before).mean() for part in (0, 0.2, 0.6, 1)]
    np.testing.assert_allclose(kept, [1, 0.82, 0.46, 0.1], atol=0.03)
    with pytest.raises(ValueError, match="between 0 and 1"):
        controls.shuffled(before, 0, 20)


def test_moved_pixels_are_the_same_pixels_in_one_order_or_in_many():
    images = np.arange(5 * 16, dtype=np.uint8).reshape(5, 4, 4)
    same, own = controls.same_pixels_moved(images, 0), controls.own_pixels_moved(images, 0)
    assert all(
        np.array_equal(np.sort(one.ravel()), np.sort(image.ravel())) for one, image in zip(own, images, strict=True)
    )
    assert len({tuple((one - 16 * i).ravel()) for i, one in enumerate(same)}) == 1
    assert len({tuple((one - 16 * i).ravel()) for i, one in enumerate(own)}) == 5


def test_a_start_that_differs_by_one_bit_and_an_order_that_differs_are_noticed():
    assert verdict.same_bits(numbers()).all()
    assert verdict.same_bits(numbers(start="other")).tolist() == [False, True]
    assert not verdict.same_bits(numbers(order=("b", "a"))).any()
    weights = np.random.default_rng(0).normal(size=(2, 30)).astype(np.float32)
    changed = weights.copy()
    changed[1, 5] = np.nextafter(changed[1, 5], np.float32(9))
    one, other = fits.digests({"w": weights}), fits.digests({"w": changed})
    assert [a == b for a, b in zip(one, other, strict=True)] == [True, False]


def test_the_verdict_on_memorizing_turns_with_the_numbers():
    assert found(numbers(), "shuffled labels: share that is fitted").verdict == "reproduced"
    assert found(numbers(fitted=90.0), "shuffled labels: share that is fitted").verdict == "missed"
    assert found(numbers(test=15.0), "shuffled labels: share of test").verdict == "missed"
    assert found(numbers(film=99.8), "film's settings").verdict == "missed"
    assert "it memorizes" in measurement.answer(TINY, numbers()).words
    assert "it memorizes" not in measurement.answer(TINY, numbers(fitted=90.0)).words
    assert "parameters can also fit" in measurement.answer(TINY, numbers(film=99.8)).words
    assert "step by step" not in measurement.answer(TINY, numbers(noise=(50.0, 50.0))).words


def test_a_straight_fall_is_told_from_a_steep_one():
    straight, steep = numbers(), numbers(falls=[10, 90, 95, 98, 99, 99.9])
    assert found(straight, "R² of a straight line").verdict == "reproduced"
    assert found(steep, "R² of a straight line").verdict == "missed"
    assert "but not quite" in measurement.answer(TINY, steep).words


def test_what_was_never_reached_has_no_number_instead_of_a_wrong_one():
    assert np.isnan(fits.steps_to([0, 5], [[10.0, 50.0], [99.9, 60.0]], 99.5)).tolist() == [False, True]
    assert math.isnan(fits.fitted_up_to([500, 1000], [98.0, 20.0], 99))
    limits = verdict.capacities(numbers(), 99)
    assert 500 < limits[0, 1] < limits[0, 0] < 1000
    assert np.isnan(limits[1]).all()
    assert (
        "2 of 2 outside"
        in found(
            numbers(), "784-3-3-10 (2,407 parameters): largest number of shuffled labels that are fitted to 99 %"
        ).what
    )


@pytest.mark.slow
def test_each_network_fits_its_own_column_from_its_own_start_in_the_order_of_all(small):
    images, true = measurement.digits(small, 500)
    network = measurement.MODERN._replace(sizes=(32,), learning_rate=0.01, batch_size=50, epochs=12)
    both = np.stack([true, (true + 1) % 10], axis=1)
    together = fits.fit(network, images, both, [3, 3])
    assert together.start[0] == together.start[1]
    assert (together.right[-1] > 90).all()
    crossed, _ = fits.judge(network, together.params, images, both[:, ::-1])
    assert (crossed < 10).all()  # read by the other's labels both are wrong
    other = fits.fit(network._replace(epochs=1, seed=1), images, both, [3, 4])
    assert (other.start[0] == together.start[0], other.start[1] == together.start[1]) == (True, False)
    assert other.order[0] != together.order[0]
    with pytest.raises(ValueError, match="as many seeds"):
        fits.fit(network, images, both, [3])
    with pytest.raises(ValueError, match=r"0 epochs .* make no step"):
        fits.fit(network._replace(epochs=0), images, both, [3, 3])


@pytest.mark.slow
def test_a_tiny_run_measures_what_the_answer_and_the_pictures_need(small):
    arrays = measurement.measure(TINY, small)
    assert verdict.same_bits(arrays).all()
    assert arrays["capacity"].shape == (2, 2, 2)
    assert arrays["control_test"].shape == (5, 2)
    assert measurement.answer(TINY, arrays).findings
    assert set(shown.pictures(arrays)) == {"curves", "capacity", "noise", "controls"}
