"""Measures of confidence against other people's code and against numbers worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from jaxnet import losses
from jaxnet.analysis import calibration

LOGITS = np.random.default_rng(0).normal(0, 3, (400, 10))
LABELS = np.array(
    [np.random.default_rng(i).choice(10, p=p) for i, p in enumerate(calibration.probabilities(LOGITS / 2))]
)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30), st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_auroc_is_mann_and_whitneys_with_ties_counted_half(inside, outside):
    theirs = stats.mannwhitneyu(inside, outside, method="asymptotic").statistic / (len(inside) * len(outside))
    assert calibration.auroc(inside, outside) == pytest.approx(theirs)
    assert calibration.auroc(outside, inside) == pytest.approx(1 - theirs)


def test_an_auroc_that_drops_ties_is_another_number():
    inside, outside = np.array([0.9, 0.5, 0.5]), np.array([0.5, 0.1])
    assert calibration.auroc(inside, outside) == pytest.approx((2 + 4 * 0.75) / 6)
    assert (inside[:, None] > outside[None, :]).mean() != pytest.approx(calibration.auroc(inside, outside))
    with pytest.raises(ValueError, match="at least one number in each group"):
        calibration.auroc(inside, [])


def test_percentages_are_no_confidences():
    with pytest.raises(ValueError, match="got 50 to 90; divide percentages by 100"):
        calibration.expected_calibration_error(np.array([50.0, 90.0]), np.array([True, False]))


def test_the_calibration_error_by_hand():
    confidences, right = [0.95, 0.85, 1.0, 0.3, 0.1], [1, 0, 1, 1, 0]
    # Bins of a quarter: (0.1), (0.3), none, (0.95, 0.85, 1.0), of which two are right.
    by_hand = (1 * 0.1 + 1 * 0.7 + 3 * abs(2.8 / 3 - 2 / 3)) / 5
    assert calibration.expected_calibration_error(confidences, right, bins=4) == pytest.approx(by_hand)
    found = calibration.reliability(confidences, right, bins=4)
    assert found.images.tolist() == [1, 1, 0, 3]
    assert found.images.sum() == 5  # an open last bin would lose the surest
    unweighted = np.mean(abs(found.confidence - found.right)[found.images > 0])
    assert unweighted != pytest.approx(by_hand)
    assert calibration.expected_calibration_error([0.5] * 10, [1, 0] * 5) == pytest.approx(0)


@pytest.mark.parametrize("independent", [False, True])
def test_the_best_temperature_is_the_grids(independent):
    found = calibration.fit_temperature(LOGITS, LABELS, independent=independent)
    grid = np.exp(np.linspace(-3, 3, 2001))
    costs = [calibration.nll(LOGITS, LABELS, by, independent=independent) for by in grid]
    assert found == pytest.approx(grid[int(np.argmin(costs))], rel=0.004)
    assert 0.06 < found < 19


def test_logits_three_times_too_large_want_three_times_the_temperature():
    once, thrice = (calibration.fit_temperature(by * LOGITS, LABELS) for by in (1, 3))
    assert thrice == pytest.approx(3 * once, rel=1e-3)
    assert once == pytest.approx(2, rel=0.2)  # the labels were drawn at temperature 2


def test_the_cost_at_temperature_one_is_the_networks_own():
    own = np.mean(
        [
            float(losses.cross_entropy(np.float32(one), label))
            for one, label in zip(LOGITS[:40], LABELS[:40], strict=True)
        ]
    )
    assert calibration.nll(LOGITS[:40], LABELS[:40], 1.0) == pytest.approx(own, rel=1e-5)
    yes = 1 / (1 + np.exp(-LOGITS))
    wanted = np.eye(10)[LABELS]
    by_hand = -np.mean((wanted * np.log(yes) + (1 - wanted) * np.log(1 - yes)).sum(1))
    assert calibration.nll(LOGITS, LABELS, 1.0, independent=True) == pytest.approx(by_hand)


@pytest.mark.parametrize("independent", [False, True])
def test_a_temperature_changes_no_answer_but_every_confidence(independent):
    before, after = (calibration.probabilities(LOGITS, independent=independent, temperature=by) for by in (1.0, 2.5))
    np.testing.assert_array_equal(before.argmax(-1), after.argmax(-1))
    changed = calibration.confidence(after) != calibration.confidence(before)
    assert changed.all()
    with pytest.raises(ValueError, match="must be positive"):
        calibration.probabilities(LOGITS, temperature=-1.0)  # a flipped sign would turn every answer around


def test_sure_answers_are_told_apart_in_double_precision_only():
    sure, surer = calibration.confidence(calibration.probabilities([[20.0, 0.0], [25.0, 0.0]], independent=True))
    assert sure < surer < 1
    single = np.float32(1) / (1 + np.exp(-np.float32([20, 25])))
    assert single[0] == single[1]


def test_doubt_is_measured_in_bits():
    flat, certain, two = np.full(10, 0.1), np.eye(10)[3], np.array([0.5, 0.5, *[0.0] * 8])
    assert calibration.entropy([flat, certain, two]) == pytest.approx([np.log2(10), 0, 1])
    assert calibration.entropy(5 * flat) == pytest.approx(np.log2(10))  # sigmoids need not sum to one
    assert calibration.entropy(np.zeros(10)) == 0


def test_members_disagree_where_they_contradict_not_where_all_doubt():
    certain, other, flat = np.eye(10)[3], np.eye(10)[5], np.full(10, 0.1)
    members = np.array([[certain, flat, certain], [other, flat, certain]])
    assert calibration.disagreement(members) == pytest.approx([1, 0, 0], abs=1e-12)
