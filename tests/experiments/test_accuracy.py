"""The verdicts on accuracy follow from the numbers, and member k of an experiment is the run of its seed."""

import numpy as np
import pytest

from jaxnet import presets, training
from jaxnet.experiments.accuracy import measurement
from jaxnet.experiments.findings import mean, share

TINY = measurement.AccuracySettings(seeds=2, epochs=1, tweak_seeds=2, tweak_epochs=1, shapes=((3,),))


def numbers(right, last=98.5, misread=(0, 3, 3)):
    """Arrays as `measure` returns them, of made-up networks."""
    ladder = np.repeat(np.linspace(95, last, 6)[:, None], 3, axis=1) + np.array([-0.1, 0.0, 0.1])
    everyone = np.zeros(10_000, int)
    everyone[: len(misread)] = misread  # of three networks
    return {
        "right": np.asarray(right), "train_right": np.asarray(right) + 1, "misread": everyone, "ladder": ladder,
        "without": ladder[:-1], "shapes": np.array([[90.0, 91.0]]), "hidden": np.array(["3"]),
        "parameters": np.array([2395]),
    }  # fmt: skip


def test_the_verdict_on_96_percent_turns_with_the_numbers():
    good = measurement.answer(TINY, numbers([96.1, 96.3, 96.2]))
    bad = measurement.answer(TINY, numbers([95.1, 95.3, 95.2]))
    assert (good.findings[0].verdict, good.findings[1].value) == ("reproduced", 100.0)
    assert (bad.findings[0].verdict, bad.findings[1].value) == ("missed", 0.0)
    assert "none of them reach 96 %" in bad.words


def test_the_verdict_on_98_percent_turns_with_the_last_rung():
    verdict = lambda last: next(
        f.verdict for f in measurement.answer(TINY, numbers([95, 96, 96], last)).findings if "last rung" in f.what
    )
    assert (verdict(98.4), verdict(97.0)) == ("reproduced", "missed")


def test_images_that_all_networks_misread_are_counted():
    found = {f.what: f.value for f in measurement.answer(TINY, numbers([95.0, 96.0, 95.5])).findings}
    assert found["number of test images that every network misreads"] == 2


def test_doubted_labels_are_fifteen_test_images():
    assert len(set(measurement.DOUBTED)) == 15
    assert max(measurement.DOUBTED) < 10_000


def test_a_figure_is_reproduced_by_the_number_itself_and_undecided_by_its_interval_alone():
    assert mean("x", [95.0, 98.5], least=96.5).verdict == "reproduced"
    assert mean("x", [95.0, 97.5], least=96.5).verdict == "undecided"
    verdict = lambda values: mean("x", values, equal=96.5, within=0.5).verdict  # neither better nor worse is asked for
    assert verdict([96.0, 97.4]) == "reproduced"
    assert verdict([94.5, 97.0]) == "undecided"  # a wide interval settles nothing
    assert verdict([95.0, 95.1]) == verdict([98.5, 98.6]) == "missed"
    assert mean("x", [95.0, 95.1], least=96.5).verdict == "missed"
    assert mean("x", [5.0, 5.1], most=4.0).verdict == "missed"
    assert mean("x", [95.0], least=96.0).verdict == "missed"  # without an interval the number itself must do
    assert np.isnan(mean("x", [95.0]).low)


def test_the_interval_of_a_share_is_exact():
    found = share("x", 3, 10)
    assert (round(found.low, 2), round(found.high, 2)) == (6.67, 65.25)  # Clopper and Pearson's for 3 of 10


@pytest.mark.slow
def test_a_network_of_the_experiment_is_the_run_of_its_seed(small):
    arrays = measurement.measure(TINY, small)
    run = training.plan(presets.film._replace(epochs=1, seed=1), small)
    *_, last = training.fit(run, evaluate_every=0)
    alone = training.evaluate(run.functions.apply, run.functions.loss, last.state.params, small.test)
    assert arrays["right"][1] == pytest.approx(100 * float(alone.accuracy), abs=0.21)  # one image of 500
    assert arrays["misread"].max() <= TINY.seeds
    assert measurement.answer(TINY, arrays | {"misread": np.zeros(10_000, int)}).findings
