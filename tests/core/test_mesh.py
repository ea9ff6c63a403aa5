"""A training divided among devices has the result of one device, and with `reproducible` the same bits on any number of devices."""

import jax
import numpy as np
import pytest

from jaxnet import bang, data, devices, ensemble, gradient_descent, losses, network, training
from jaxnet.analysis import landscape
from jaxnet.core import mesh
from jaxnet.core.loop import train
from jaxnet.core.types import Batch
from jaxnet.training.checkpoints import Checkpoints
from jaxnet.training.presets import film, wide

SMALL = film._replace(epochs=2, sizes=(8,))
ADAM = wide._replace(epochs=2, sizes=(16,), batch_size=64)
FIRST = SMALL._replace(epochs=1)
KEYED = SMALL._replace(dropout=0.2, activation="relu")


def params_of(settings, small):
    return jax.tree.leaves(jax.device_get(training.fit_and_record(training.plan(settings, small)).state.params))


def largest_difference(one, other):
    return max(np.abs(a - b).max() for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("resident", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"devices": 8}, marks=pytest.mark.slow),
        pytest.param({"devices": 8, "layer_devices": 4}, id="layers", marks=pytest.mark.slow),
        pytest.param({"devices": 2, "candidates": 3}, marks=pytest.mark.slow),
    ],
)
def test_several_devices_give_the_result_of_one(changes, resident, small, monkeypatch):
    monkeypatch.setattr(devices, "_forced", resident)
    settings = ADAM._replace(candidates=changes.get("candidates", 1))
    assert largest_difference(params_of(settings, small), params_of(settings._replace(**changes), small)) < 1e-5


@pytest.mark.parametrize("resident", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(FIRST, id="two numbers of devices"),
        pytest.param(SMALL, marks=pytest.mark.slow, id="film"),
        pytest.param(ADAM, marks=pytest.mark.slow, id="adam"),
        pytest.param(KEYED, marks=pytest.mark.slow, id="keys"),
        pytest.param(SMALL._replace(candidates=2), marks=pytest.mark.slow, id="candidates"),
    ],
)
def test_reproducible_bits_do_not_depend_on_the_number_of_devices(settings, resident, small, monkeypatch):
    monkeypatch.setattr(devices, "_forced", resident)
    numbers = (1, 8) if settings is FIRST else (1, 2, 4, 8)
    one, *others = (params_of(settings._replace(reproducible=True, devices=number), small) for number in numbers)
    for other in others:
        jax.tree.map(np.testing.assert_array_equal, one, other)
    if not settings.dropout and not settings.shift:  # every part of a batch has a key of its own
        assert largest_difference(one, params_of(settings, small)) < 1e-4


@pytest.mark.slow
def test_a_sum_whose_order_depends_on_the_devices_is_noticed(small, monkeypatch):
    monkeypatch.setattr(
        mesh, "_pairwise", lambda leaf: jax.lax.fori_loop(1, len(leaf), lambda i, total: total + leaf[i], leaf[0])
    )
    one, other = (params_of(SMALL._replace(reproducible=True, devices=number), small) for number in (1, 4))
    assert 0 < largest_difference(one, other) < 1e-4


@pytest.mark.slow
def test_layers_are_really_divided(small):
    plan = training.plan(ADAM._replace(devices=4, layer_devices=4), small)
    *_, last = training.fit(plan, evaluate_every=0)
    weights = last.state.params[0].weights
    assert {shard.data.shape for shard in weights.addressable_shards} == {(4, 784)}
    assert len(weights.sharding.device_set) == 4
    moments = [leaf for leaf in jax.tree.leaves(last.state.opt_state) if leaf.shape == (16, 784)]
    assert moments
    assert all(leaf.addressable_shards[0].data.shape == (4, 784) for leaf in moments)


@pytest.mark.slow
def test_a_training_on_several_devices_continues(small, tmp_path):
    settings = ADAM._replace(devices=4)
    plan = training.plan(settings, small)
    whole = training.fit_and_record(plan)
    asked = []
    training.fit_and_record(
        plan, asked=asked, on_progress=lambda seen: asked.append(15), checkpoints=Checkpoints(tmp_path)
    )
    again = training.fit_and_record(plan, checkpoints=Checkpoints(tmp_path))
    jax.tree.map(np.testing.assert_array_equal, again.state, whole.state)
    assert len(again.history["cost"]) == plan.num_steps


@pytest.fixture(scope="module")
def divided(hundred):
    """A network and a batch, on one device and on eight."""
    params = network.init(jax.random.key(0), [784, 16, 10])
    batch = Batch(hundred.images[:64], hundred.labels[:64])
    over = mesh.mesh_of(8, 2)
    chunk = mesh.place_chunk(jax.tree.map(lambda leaf: np.asarray(leaf)[None], batch), over)
    return params, batch, mesh.place_state(params, over), jax.tree.map(lambda leaf: leaf[0], chunk)


COST = losses.average(network.apply, losses.squared_error)
INSTRUMENTS = {
    "gradient": lambda params, batch: jax.grad(COST)(params, batch),
    "worth": lambda params, batch: bang.worth(COST, sizes=[0.1])(params, batch).measured,
    "moments": lambda params, batch: tuple(bang.gradient_moments(COST)(params, batch)),
    "watch": lambda params, batch: _watched(params, batch),
    "evaluate": lambda params, batch: training.evaluate(network.apply, losses.squared_error, params, batch),
    "landscape": lambda params, batch: landscape.line(COST)(params, params, [-0.1, 0.0, 0.1], batch),
}


def _watched(params, batch):
    descent = bang.watch(gradient_descent(COST, 0.5))
    return descent.update(descent.init(params), batch)[1].signals


@pytest.mark.slow
@pytest.mark.parametrize("name", INSTRUMENTS)
def test_instruments_give_the_same_numbers_on_divided_arrays(name, divided):
    params, batch, params_there, batch_there = divided
    one, other = INSTRUMENTS[name](params, batch), INSTRUMENTS[name](params_there, batch_there)
    assert len(params_there[0].weights.sharding.device_set) == 8
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(np.asarray(a, np.float64), np.asarray(b, np.float64), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"devices": 3},
            "multiple of 3, because 3 devices share every batch, got 32; for example 30 or 33",
        ),
        ({"devices": 4, "layer_devices": 3}, "devices must be a multiple of layer_devices, got 4 devices and 3"),
        (
            {"reproducible": True, "batch_size": 10},
            "batch_size must be a multiple of 16, because repro.*, got 10; for example 16",
        ),
        ({"reproducible": True, "devices": 16}, "reproducible works on 1, 2, 4 or 8 devices, got 16"),
        (
            {"devices": 16},
            r"at most the 8 cpu devices of this process, got 16; JAX_NUM_CPU_DEVICES=16 in the environment",
        ),
        ({"devices": 0}, "devices must be at least 1, got 0"),
    ],
)
def test_what_cannot_be_divided_is_said(changes, message, small):
    with pytest.raises(ValueError, match=message):
        list(training.fit(training.plan(SMALL._replace(**changes), small)))


def test_many_networks_are_divided_anyway(small):
    with pytest.raises(ValueError, match="many networks are divided among all devices anyway; leave devices out"):
        ensemble.check(ensemble.grid(SMALL._replace(devices=2), seed=[0, 1]))


@pytest.mark.slow
def test_the_loop_takes_divided_chunks_of_any_iterator(small):
    descent = training.plan(ADAM, small).functions.descent
    start = jax.jit(descent.init)(training.plan(ADAM, small).params)
    over = mesh.mesh_of(8)
    batches = lambda: data.shuffled(jax.random.key(1), small.train, 64, keyed=True)
    *_, (one, _) = train(descent, start, batches())
    divided = (mesh.place_chunk(chunk, over) for chunk in batches())
    *_, (other, _) = train(descent, mesh.place_state(start, over), divided)
    assert largest_difference(jax.tree.leaves(one.params), jax.tree.leaves(jax.device_get(other.params))) < 1e-5
