"""The published errors are the published ones, and verdicts turn with the numbers."""

import itertools

import numpy as np
import pytest

from jaxnet.experiments.classics import measurement
from jaxnet.training import config

SOME = measurement.ClassicsSettings(measurement.by("Simard")[2:], 3, 0)


def numbers(errors):
    shape = np.array([-0.01, 0.0, 0.01])
    return {
        "names": np.array(SOME.networks),
        "error": np.asarray(errors)[:, None] + shape[None],
        "epochs": np.array([1, 2, 3]),
    }


def test_an_error_above_the_published_one_is_a_miss_and_is_named():
    found = measurement.answer(SOME, numbers([1.5, 1.3, 0.69]))
    assert [f.verdict for f in found.findings[:3]] == ["reproduced", "missed", "reproduced"]
    assert found.words.startswith("2 of 3")
    assert found.words.endswith("Not met: 800 hidden, affine distortions.")
    assert "Undecided" not in found.words


def test_an_undecided_network_is_not_called_missed():
    found = measurement.answer(SOME, numbers([1.5, 1.3, 0.705]))
    assert [f.verdict for f in found.findings[:3]] == ["reproduced", "missed", "undecided"]
    assert "Not met: 800 hidden, affine distortions." in found.words
    assert found.words.endswith("reaches the published error: 800 hidden, elastic distortions.")


def test_networks_that_were_not_trained_are_told():
    some = SOME._replace(networks=SOME.networks[:1])
    arrays = {name: values[:1] for name, values in numbers([1.5, 1.3, 0.69]).items()}
    found = measurement.answer(some, arrays).findings
    assert [f.verdict for f in found] == ["reproduced"] + ["not run here"] * 4
    assert [f.what for f in found[1:]] == [*measurement.by("Simard")[:2], *SOME.networks[1:]]
    small = measurement.ciresan.quick
    arrays = {"names": np.array(small.networks), "error": np.array([[0.69, 0.7]]), "epochs": np.array([4])}
    assert [f.verdict for f in measurement.answer(small, arrays).findings] == ["missed", "not run here"]


def test_published_errors_are_those_of_the_papers():
    published = {name: protocol.error for name, protocol in measurement.PROTOCOLS.items()}
    assert published["300 hidden, MSE"] == 4.7
    assert published["300 + 100 hidden"] == 3.05
    assert published["500 + 150 hidden"] == 2.95
    assert published["500 + 300 hidden, softmax, weight decay"] == 1.53
    assert [published[name] for name in measurement.by("Simard")] == [1.6, 1.1, 1.6, 1.1, 0.7]
    assert [published[name] for name in measurement.by("Ciresan")] == [0.49, 0.35]


@pytest.mark.parametrize("name", list(measurement.PROTOCOLS))
def test_every_protocol_makes_sense_and_uses_the_papers_loss(name):
    protocol = measurement.PROTOCOLS[name]
    config.check(protocol.settings)
    wanted = "squared_error" if "LeCun" in protocol.source else "cross_entropy"
    assert protocol.settings.loss == wanted
    named = any(word in name for word in ("distorted", "affine", "elastic"))
    assert named == (protocol.settings.distortion != "none")
    sizes = config.all_sizes(protocol.settings.sizes, 784, 10)
    assert sum((a + 1) * b for a, b in itertools.pairwise(sizes)) < 12.2e6


@pytest.mark.slow
def test_fewer_epochs_are_said_and_every_seed_is_another_network(small, monkeypatch):
    name = measurement.by("LeCun")[1]
    short = measurement.PROTOCOLS[name]._replace(settings=measurement.PROTOCOLS[name].settings._replace(sizes=(20,)))
    monkeypatch.setitem(measurement.PROTOCOLS, name, short)
    asked = measurement.ClassicsSettings((name,), 2, 3)
    arrays = measurement.measure(asked, small)
    assert arrays["error"].shape == (1, 2)
    assert arrays["error"][0, 0] != arrays["error"][0, 1]
    assert (arrays["error"] < 60).all()
    assert "3 epochs instead of the protocol's" in measurement.answer(asked, arrays).words
