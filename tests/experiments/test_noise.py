"""The verdicts on confident nonsense follow from the numbers, and what is measured is what its name says."""

import functools

import jax
import numpy as np
import pytest

from jaxnet import metrics, network, presets, training
from jaxnet.analysis import calibration
from jaxnet.experiments.noise import figures, measurement, networks
from jaxnet.experiments.noise.view import View
from jaxnet.training.functions import build

TINY = measurement.NoiseSettings(2, 1, 1, 2, ("uniform",), (0.0, 0.01), images=200)
SETS = ["digits", "uniform", "gaussian", "shuffled", "inverted", "shifted", "letters"]


def numbers(noise_confidence=70.0, fall=0.0, taught=0.1, wide_gaussian=90.0, moved=0.0, cooled=1.0):
    """Arrays as `measure` returns them, of made-up networks: three kinds, six treatments, four seeds, seven sets."""
    wiggle = np.linspace(-0.5, 0.5, 4)[:, None]
    shape = (3, 6, 4, 7)
    confidence = np.full(shape, 60.0) + wiggle
    confidence[..., 0] = 95.0
    confidence[:, :, :, 1] = noise_confidence + wiggle[:, 0]
    confidence[:, 3, :, 1] -= fall + 0.1 * wiggle[:, 0]
    confidence[2, 0, :, 2] = wide_gaussian + 0.1 * wiggle[:, 0]
    auroc = np.full(shape, 0.85) + 0.001 * wiggle
    auroc[:, 5, :, 1] = 1.0
    auroc[:, 5, :, 2:4] += taught
    auroc[..., 0] = np.nan
    for of in (confidence, auroc):
        of[:, 2, 2:] = np.nan
    right = np.full(shape[:3], 95.0)
    right[:, 2, 2:] = np.nan
    ece = np.full(shape[:3], 2.0)
    ece[:, 1] = cooled
    disagreement = np.full((3, 4, 7), np.nan)
    disagreement[:, :2, 1:] = 0.9
    return {
        "networks": np.array(["film", "softmax", "wide"]), "treatments": np.array(measurement.treatments(TINY)),
        "sets": np.array(SETS),
        "confidence": confidence, "sure": confidence / 4, "entropy": confidence / 40, "auroc": auroc,
        "right": right, "ece": ece, "temperature": np.full((3, 4), 1.2), "disagreement": disagreement,
        "dark": np.eye(3, 784, dtype=bool), "blind": np.full((3, 4), 0.5), "moved": np.full((3, 4), moved),
    }  # fmt: skip


def found(arrays, what):
    return next(f for f in measurement.answer(TINY, arrays).findings if what in f.what)


def test_the_films_claim_stands_or_falls_with_the_strongest_output_on_noise():
    what = "film's network (sigmoids): strongest output on uniform noise"
    assert found(numbers(70.0), what).verdict == "reproduced"
    assert found(numbers(30.0), what).verdict == "missed"
    assert "is confident on noise" in measurement.answer(TINY, numbers(70.0)).words
    assert "is not confident on noise" in measurement.answer(TINY, numbers(30.0)).words


def test_the_papers_91_percent_is_judged_by_their_network_where_there_is_one():
    what = "Gaussian noise: mean softmax confidence"
    assert found(numbers(wide_gaussian=91.0), what).verdict == "reproduced"
    assert found(numbers(wide_gaussian=85.0), what).verdict == "missed"
    theirs = {
        "paper_confidence": np.array([[99, 88, 90], [99, 89, 91.0]]),
        "paper_auroc": np.array([[np.nan, 0.9, 0.8]] * 2),
    }
    judged = found(numbers(wide_gaussian=50.0) | theirs, what)
    assert (judged.value, judged.seeds, judged.verdict) == (90.5, 2, "reproduced")


def test_networks_surer_of_noise_than_of_digits_are_called_so():
    def said(auroc):
        arrays = numbers()
        arrays["auroc"][0, 0, :, 1] = auroc
        return measurement.answer(TINY, arrays).words

    assert "more confident on digits than on noise most of the time: in 85 of 100" in said(0.85)
    assert "about as confident on noise as on digits: in 45 of 100" in said(0.45)
    assert "more confident on noise than on digits most of the time: in 10 of 100" in said(0.10)


def test_blind_weights_are_to_blame_only_where_confidence_falls_without_them():
    what = "fall of confidence on uniform noise without its 1 never-lit"
    guilty, innocent = numbers(fall=5.0), numbers(fall=0.0)
    assert (found(guilty, what).verdict, found(innocent, what).verdict) == ("reproduced", "missed")
    assert found(guilty, what).value == pytest.approx(5.0)
    assert "are part of the reason" in measurement.answer(TINY, guilty).words
    assert "do not seem to be part of the reason" in measurement.answer(TINY, innocent).words
    rises = numbers(fall=-5.0)  # a flipped sign would call them guilty
    assert "do not seem to be part of the reason" in measurement.answer(TINY, rises).words


def test_never_lit_weights_that_moved_are_told():
    assert found(numbers(moved=0.0), "largest move").verdict == "reproduced"
    assert found(numbers(moved=0.1), "largest move").verdict == "missed"
    assert "should keep" in measurement.answer(TINY, numbers(moved=0.1)).words


def test_what_noise_in_training_carries_over_to_is_counted():
    words = measurement.answer(TINY, numbers(taught=0.1)).words
    assert "(2, 2, 2 of 5 families get better" in words
    assert "carries over to no other family" in measurement.answer(TINY, numbers(taught=0.0)).words
    gained = found(numbers(taught=0.1), "film's network (sigmoids), taught uniform: gain of AUROC on other families")
    assert gained.value == pytest.approx(4.0)  # two of five by ten points; its own family would make it 5.8


def test_a_temperature_that_makes_calibration_worse_is_told():
    assert "smaller in 3 of 3 kinds" in measurement.answer(TINY, numbers(cooled=1.0)).words
    assert "smaller in 0 of 3 kinds" in measurement.answer(TINY, numbers(cooled=3.0)).words


def test_ensembles_are_fewer_than_networks_and_the_rest_is_left_out():
    view = View(numbers())
    assert len(view.of("right", "film", "ensemble")) == 2
    assert len(view.of("right", "film", "as trained")) == 4
    assert np.isfinite(view.auroc("film", "ensemble")).all()


def test_erased_are_the_rare_pixels_and_the_control_is_as_many_of_the_others():
    share = np.array([0.0, 0.0, 0.5, 0.001, 0.9, 0.7])
    dark, others = networks.masks(share, 0.0, 3)
    assert dark.tolist() == [[True, True, False, False, False, False]] * 3
    assert not (dark & others).any()
    assert (others.sum(1) == 2).all()
    assert networks.masks(share, 0.01, 3)[0].sum() == 9


def test_every_image_is_read_whatever_their_number(hundred):
    kind = networks.Kind(
        presets.film, None, None, None, None, functools.partial(network.apply, output=network.identity)
    )
    params = jax.tree.map(lambda leaf: np.asarray(leaf)[None], jax.jit(build(
        presets.film, image_shape=(28, 28), classes=10, steps=1).init)(jax.random.key(0)))  # fmt: skip
    images = np.asarray(hundred.images)
    read = networks.read(kind, params, images[:37])
    alone = metrics.predict(kind.apply, jax.tree.map(lambda leaf: leaf[0], params), images[:37])
    assert read.shape == (1, 37, 10)
    np.testing.assert_allclose(read[0], alone, atol=1e-5)


def test_ensembles_larger_than_all_networks_are_refused(small):
    with pytest.raises(ValueError, match=r"must be 0 .*, got rare=\(0\.01,\)"):
        measurement.measure(TINY._replace(rare=(0.01,)), small)
    with pytest.raises(ValueError, match="got together=5"):
        measurement.measure(TINY._replace(together=5), small)


@pytest.mark.slow
def test_a_tiny_run_measures_judges_and_draws_and_its_first_network_is_the_run_of_its_seed(small, monkeypatch):
    monkeypatch.setattr(measurement, "NETWORKS", {name: measurement.NETWORKS[name] for name in ("film", "wide")})
    arrays = measurement.measure(TINY, small)
    assert measurement.answer(TINY, arrays).findings
    assert set(figures.pictures(arrays)) == {"read", "confidence", "remedies", "calibration", "blind"}
    assert (arrays["moved"] == 0).all()  # never-lit weights keep their start
    np.testing.assert_array_equal(arrays["right"][:, 1], arrays["right"][:, 0])  # a temperature changes no answer
    plan = training.plan(presets.film._replace(epochs=1, validation=500), small)
    *_, last = training.fit(plan, evaluate_every=0)
    outputs = metrics.predict(plan.functions.apply, last.state.params, small.test.images[:200])
    alone = 100 * calibration.confidence(outputs).mean()
    assert arrays["confidence"][0, 0, 0, 0] == pytest.approx(alone, abs=0.05)
    digits = lambda treatment: arrays["confidence"][:, View(arrays).treatments.index(treatment)][:, :, 0]
    # The film's network never learned from these pixels, and few test digits light them; random others it did learn from.
    assert abs(digits("never-lit erased") - digits("as trained")).max() < 0.5
    assert abs(digits("lit erased") - digits("as trained"))[1].min() > 0.5
