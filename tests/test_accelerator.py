"""What must hold on a GPU or TPU: the CPU's numbers, one way of training like the other, and nothing fetched in between.

JAXNET_PRETEND_ACCELERATOR=1 lets these tests take a CPU for one, which shows that the tests themselves are right.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnet import bang, commands, data, devices, ensemble, loop, losses, network, training
from jaxnet.core.losses import average
from jaxnet.core.types import Batch
from jaxnet.models import flax_nnx
from jaxnet.training import run_folder
from jaxnet.training.presets import film, modern

pytestmark = pytest.mark.accelerator
HERE = jax.default_backend()


def farthest(one, other):
    """The largest difference between two pytrees, in units of the largest number."""
    pairs = list(zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))
    largest = max(float(np.abs(np.asarray(b)).max()) for _, b in pairs)
    return max(float(np.abs(np.asarray(a) - np.asarray(b)).max()) for a, b in pairs) / largest


def on(device, f, **how):
    with devices.arithmetic(device=device, **how):
        return jax.tree.map(np.asarray, f())


def first(mnist, count):
    return Batch(mnist.train.images[:count], mnist.train.labels[:count])


@pytest.mark.parametrize("activation", [network.sigmoid, network.relu, network.tanh, network.gelu])
@pytest.mark.parametrize("loss", [losses.squared_error, losses.cross_entropy])
def test_gradients_are_the_cpus_in_double_precision(activation, loss, mnist):
    apply = functools.partial(network.apply, activation=activation, output=network.identity)

    def gradient():
        params = network.init(jax.random.key(0), dtype=jnp.float64)
        return jax.jit(jax.grad(average(apply, loss)))(params, first(mnist, 200))

    assert farthest(on(HERE, gradient, dtype="float64"), on("cpu", gradient, dtype="float64")) < 1e-10


def test_a_convolutional_networks_gradient_is_the_cpus(mnist):
    init, apply = flax_nnx.convnet(image_shape=(28, 28), classes=10)
    start = on("cpu", lambda: init(jax.random.key(0)))

    def gradient(dtype):
        params = jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), start)
        return jax.jit(jax.grad(average(apply, losses.cross_entropy)))(params, first(mnist, 20))

    exact = on("cpu", lambda: gradient(jnp.float64), dtype="float64")
    assert farthest(on(HERE, lambda: gradient(jnp.float32)), exact) < 1e-4
    assert farthest(on(HERE, lambda: gradient(jnp.bfloat16)), exact) > 1e-3  # half precision would be noticed


def test_highest_precision_is_that_of_single_numbers():
    factors = np.random.default_rng(0).normal(size=(2, 512, 512)).astype(np.float32)
    exact = factors[0].astype(np.float64) @ factors[1].astype(np.float64)
    assert farthest(on(HERE, lambda: jax.jit(jnp.matmul)(*factors)), exact) < 3e-6
    halves = factors.astype(jnp.bfloat16).astype(np.float32)
    assert farthest(halves[0] @ halves[1], exact) > 1e-3  # half precision would be noticed


@pytest.mark.parametrize("shared", [True, False])
def test_a_loop_a_scan_and_a_member_of_an_ensemble_agree(shared, small):
    members = ensemble.grid(film._replace(epochs=1, batch_size=40, validation=500), seed=[0, 7, 1])
    with devices.arithmetic():
        plan = ensemble.alone(members, 1, small, shared=shared)
        update, looped = jax.jit(plan.functions.descent.update), plan.functions.descent.init(plan.params)
        (epoch,) = data.resident_epochs(plan.order_key, plan.train, 40)
        batches = epoch.batches()
        for i in range(plan.num_steps):
            looped, _ = update(looped, jax.tree.map(lambda leaf, i=i: leaf[i], batches))
        scanned, _ = loop.run_chunk(plan.functions.descent.update, plan.functions.descent.init(plan.params), epoch)
    together = ensemble.train_together(members, small, shared=shared)
    assert farthest(scanned.params, looped.params) < 1e-5
    assert farthest(together.params(1), looped.params) < 1e-5
    assert farthest(together.params(0), looped.params) > 1e-3


@pytest.mark.parametrize(
    "settings",
    [film._replace(epochs=1), modern._replace(candidates=2, epochs=1, dropout=0.2, learning_rate=0.001)],
    ids=["film", "candidates with shifts and dropout"],
)
def test_an_epoch_ends_where_the_cpus_ends(settings, small):
    ends = [on(device, lambda: list(training.fit(training.plan(settings, small)))[-1]) for device in (HERE, "cpu")]
    assert farthest(ends[0].state.params, ends[1].state.params) < 1e-4
    np.testing.assert_allclose(ends[0].evaluation.cost, ends[1].evaluation.cost, rtol=1e-4)


def test_nothing_is_fetched_while_epochs_run(small):
    plan = training.plan(film._replace(epochs=3), small)
    descent, states = plan.functions.descent, []
    epochs = data.resident_epochs(plan.order_key, plan.train, 32, epochs=3)
    with jax.transfer_guard_device_to_host("disallow"):
        for state, _ in loop.train(descent, descent.init(plan.params), epochs, guarded=False):
            states.append(
                (state, training.evaluate(plan.functions.apply, plan.functions.loss, state.params, plan.judged))
            )
    costs = [float(judged.cost) for _, judged in states]
    assert costs == sorted(costs, reverse=True)


def test_worth_is_the_cpus(mnist):
    params = jax.tree.map(np.asarray, network.init(jax.random.key(0)))
    measure = lambda: bang.worth(average(network.apply, losses.squared_error))(params, first(mnist, 500))
    here, there = on(HERE, measure), on("cpu", measure)
    assert farthest((here.measured, here.curvature), (there.measured, there.curvature)) < 1e-9


def test_moments_are_the_cpus(mnist):
    params = jax.tree.map(np.asarray, network.init(jax.random.key(0)))
    measure = lambda: bang.gradient_moments(average(network.apply, losses.squared_error))(params, first(mnist, 3000))[
        :2
    ]
    for here, there in zip(on(HERE, measure), on("cpu", measure), strict=True):
        assert farthest(here, there) < 1e-4


@pytest.mark.parametrize(("writer", "reader"), [(HERE, "cpu"), ("cpu", HERE)])
def test_a_checkpoint_crosses_from_device_to_device(writer, reader, tmp_path):
    settings = film._replace(epochs=1, batch_size=500, device=writer)
    result = commands.train(settings, out=tmp_path / "run", pictures=False)
    with devices.arithmetic(device=reader) as device:
        loaded = run_folder.load(tmp_path / "run")
        assert loaded.params[0].weights.devices() == {device}
        assert run_folder.params_sha256(loaded.params) == result["params_sha256"]
        descent, chunk = loaded.functions.descent, data.shuffled(jax.random.key(0), data.mnist().train, 500, steps=10)
        state, info = loop.run_chunk(descent.update, loaded.state, next(chunk))
    assert int(state.step) == 130
    assert np.isfinite(np.asarray(info.cost)).all()
