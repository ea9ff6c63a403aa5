"""Nielsen's rule chooses by validation and not by the test images, and verdicts follow."""

import numpy as np
import pytest

from jaxnet.experiments.nielsen import measurement

SOME = measurement.NielsenSettings(measurement.NAMES[:1], 6, 3)
RIGHT = np.array([95.0, 95.6, 95.2, 94.9, 95.3, 95.1])
VALIDATION = np.array([97.0, 96.0, 96.5, 96.0, 96.9, 96.1])


def test_the_rule_takes_the_best_by_validation():
    assert measurement.chosen(RIGHT[:3], VALIDATION[:3], 3).tolist() == [95.0]
    assert measurement.chosen(RIGHT[:3], RIGHT[:3], 3).tolist() == [
        95.6
    ]  # by the test images it would be better, and wrong


def test_the_interval_of_the_rule_holds_its_mean_and_is_that_of_the_runs():
    low, high = measurement.by_resampling(RIGHT, VALIDATION, 3)
    assert low < measurement.chosen(RIGHT, VALIDATION, 3).mean() < high
    ones = measurement.by_resampling(
        RIGHT, VALIDATION, 1
    )  # without choosing: the mean's own interval, by Student's distribution
    assert ones[1] - ones[0] == pytest.approx(2 * 2.571 * RIGHT.std(ddof=1) / np.sqrt(6), rel=0.1)


def test_all_sets_of_runs_are_counted():
    found = measurement.chosen(RIGHT, VALIDATION, 3)
    assert len(found) == 20
    assert (found == 95.0).sum() == 10  # run 0 has the best validation: it wins wherever it takes part


def test_verdicts_follow_the_numbers():
    arrays = {"names": np.array(SOME.networks), "right": RIGHT[None], "validation": VALIDATION[None]}
    good = measurement.answer(SOME, arrays | {"right": RIGHT[None] + 1})
    bad = measurement.answer(SOME, arrays | {"right": RIGHT[None] - 1})
    assert (good.findings[0].verdict, bad.findings[0].verdict) == ("reproduced", "missed")
    assert "1 of Nielsen's 1 networks read more than Nielsen reports" in good.words
    assert "0 of Nielsen's 1 networks read more than Nielsen reports" in bad.words
    assert "below the median" not in good.words
    lost = measurement.answer(SOME, arrays | {"right": np.where(RIGHT == 95.0, 86.0, RIGHT)[None]})
    assert "1 of the 6 runs ended more than 5 points below the median" in lost.words
    assert [f.verdict for f in good.findings[-4:]] == ["not run here"] * 4


def test_too_few_runs_to_choose_among_are_refused(small):
    with pytest.raises(ValueError, match="the best of 3 runs, with an interval, needs at least 3 seeds, got 2"):
        measurement.measure(SOME._replace(seeds=2), small)


def test_his_settings_are_his():
    settings, published, _ = measurement.NETWORKS[measurement.NAMES[0]]
    assert (settings.batch_size, settings.learning_rate, settings.epochs, published) == (10, 3.0, 30, 95.42)
    assert (settings.loss, settings.validation, settings.schedule) == ("half_squared_error", 10_000, "constant")


@pytest.mark.slow
def test_a_small_run_scores_validation_and_test_apart(small, monkeypatch):
    first = measurement.NAMES[0]
    short = measurement.BOOK._replace(epochs=2, validation=400)
    monkeypatch.setitem(measurement.NETWORKS, first, (short, 95.42, "x"))
    arrays = measurement.measure(measurement.NielsenSettings((first,), 3, 3), small)
    assert arrays["right"].shape == arrays["validation"].shape == (1, 3)
    assert not np.array_equal(arrays["right"], arrays["validation"])
    assert (arrays["right"] > 30).all()
