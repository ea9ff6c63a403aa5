"""Loop, scan and chunks agree bit for bit, and NaN is caught where it arises."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnet import augment, data, loop, losses, network
from jaxnet.core.descent import gradient_descent
from jaxnet.core.leaves import first_not_finite
from jaxnet.core.loop import Diverged, run_chunk, train
from jaxnet.core.types import Batch

film_cost = losses.average(network.apply, losses.squared_error)
KEY = jax.random.key(11)


def last(walk):
    return list(walk)[-1][0]


def same(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize(
    ("optimizer", "shifted"),
    [
        (optax.sgd(1.0), False),
        pytest.param(optax.adam(1e-3), True, marks=pytest.mark.slow),
        pytest.param(optax.sgd(1.0), True, marks=pytest.mark.slow),
        pytest.param(optax.adam(1e-3), False, marks=pytest.mark.slow),
    ],
)
def test_loop_scan_and_chunks_give_the_same_bits(optimizer, shifted, small):
    cost = augment.augmented(film_cost, augment.shift) if shifted else film_cost
    descent = gradient_descent(cost, optimizer)
    start = descent.init(network.init(jax.random.key(0)))
    chunked = {}
    for steps in (5, 15, 60):
        chunked[steps] = last(train(descent, start, data.shuffled(KEY, small.train, 32, keyed=shifted, steps=steps)))
    update, looped = jax.jit(descent.update), start
    for chunk in data.shuffled(KEY, small.train, 32, keyed=shifted, steps=1):
        looped, _ = update(looped, jax.tree.map(lambda leaf: leaf[0], chunk))
    (whole,) = data.shuffled(KEY, small.train, 32, keyed=shifted, steps=62)
    scanned, history = run_chunk(descent.update, start, whole)
    assert history.cost.shape == (62,)
    for state in (*chunked.values(), looped):
        same(state.params, scanned.params)
        same(state.opt_state, scanned.opt_state)
        assert state.step == 62


def test_a_run_repeated_gives_the_same_bits_and_another_key_others(small):
    descent = gradient_descent(film_cost, 1.0)

    def run(key):
        start = descent.init(network.init(jax.random.key(0)))
        return last(train(descent, start, data.shuffled(key, small.train, 50, epochs=2))).params

    same(run(KEY), run(KEY))
    assert not np.array_equal(run(KEY)[0].weights, run(jax.random.key(12))[0].weights)


def test_a_state_that_was_yielded_stays_valid(small):
    descent = gradient_descent(film_cost, 1.0)
    start = descent.init(network.init(jax.random.key(0)))
    states = [state for state, _ in train(descent, start, data.shuffled(KEY, small.train, 100, steps=5))]
    assert [int(state.step) for state in states] == [5, 10, 15, 20]
    assert all(np.isfinite(state.params[0].weights).all() for state in [start, *states])


def test_stopping_early_is_a_break(small):
    descent = gradient_descent(film_cost, 1.0)
    for state, _info in train(
        descent, descent.init(network.init(jax.random.key(0))), data.shuffled(KEY, small.train, 10, steps=5)
    ):
        if int(state.step) >= 10:
            break
    assert int(state.step) == 10


def cost_with_a_trap(params, batch):
    """The mean of p * x: infinite at images that hold 255, and none of its business elsewhere."""
    brightest = jnp.max(batch.images)
    return params["a"] * jnp.where(brightest == 255, jnp.inf, 1.0) + 0 * params["b"]


def trapped(position, steps):
    images = np.zeros((12, 1, 2, 2), np.uint8)
    images[position] = 255
    whole = Batch(images, np.zeros((12, 1), np.int32))
    return [jax.tree.map(lambda leaf, i=i: leaf[i : i + steps], whole) for i in range(0, 12, steps)]


@pytest.mark.parametrize("position", [0, 4, 5, 11])
@pytest.mark.parametrize("steps", [1, 3, 12])
def test_infinity_stops_the_run_naming_step_and_leaf_with_the_last_good_state(position, steps):
    descent = gradient_descent(cost_with_a_trap, 0.5)
    with pytest.raises(Diverged, match=f"step {position} made a NaN or infinite") as caught:
        for _ in train(descent, descent.init({"a": jnp.float32(1), "b": jnp.float32(1)}), trapped(position, steps)):
            pass
    assert caught.value.step == position
    assert caught.value.leaf == "a"
    assert float(caught.value.state.params["a"]) == pytest.approx(1 - 0.5 * position)
    assert int(caught.value.state.step) == position


def test_a_cost_that_is_nan_while_the_parameters_are_fine_is_named_too():
    stopped = lambda params, batch: (
        jax.lax.stop_gradient(jnp.where(jnp.max(batch.images) == 255, jnp.nan, 1.0)) + 0 * params
    )
    descent = gradient_descent(stopped, 0.5)
    with pytest.raises(Diverged, match="step 7 made cost NaN") as caught:
        list(train(descent, descent.init(jnp.float32(1)), trapped(7, 3)))
    assert caught.value.leaf == "cost"


def test_a_run_that_stays_finite_is_not_stopped():
    descent = gradient_descent(cost_with_a_trap, 0.5)
    harmless = [chunk._replace(images=0 * chunk.images) for chunk in trapped(0, 3)]
    assert len(list(train(descent, descent.init({"a": jnp.float32(1), "b": jnp.float32(1)}), harmless))) == 4


def test_the_first_leaf_that_is_not_finite_is_named():
    tree = {"fine": jnp.ones(2), "kinds": (jnp.arange(3), jnp.array([1.0, jnp.nan])), "worse": jnp.array(jnp.inf)}
    assert first_not_finite(tree) == "kinds/1"
    assert first_not_finite({"fine": jnp.ones(2)}) is None
    assert first_not_finite({"count": jnp.arange(2), "key": KEY, "absent": None}) is None


def test_compiling_again_is_counted_and_explained(caplog):
    descent = gradient_descent(lambda p, batch: jnp.mean((batch["x"] - p) ** 2), 0.1)
    walk = lambda steps, size, dtype=jnp.float32: list(
        train(descent, descent.init(jnp.ones(())), [{"x": jnp.ones((steps, size), dtype)}], stacked=True)
    )
    known = len(loop.retraced())
    walk(4, 3)
    walk(4, 3)
    assert len(loop.retraced()) == known  # the same program
    walk(4, 5)
    walk(4, 5, jnp.float16)
    assert loop.retraced()[known:] == (
        "the step is compiled for the second time: changed batches/x from float32[4,3] to float32[4,5]",
        "the step is compiled for the third time: changed batches/x from float32[4,5] to float16[4,5]",
    )
    with jax.default_matmul_precision("highest"):
        walk(4, 5)
    assert "no shape or type" in loop.retraced()[-1]
    assert [record.message for record in caplog.records if record.name == "jaxnet"] == list(loop.retraced()[known:])
    other = gradient_descent(lambda p, batch: jnp.mean((batch["x"] - p) ** 2), 0.1)
    list(train(other, other.init(jnp.ones(())), [{"x": jnp.ones((4, 9))}]))
    assert len(loop.retraced()) == known + 3  # another descent has its own first time


def test_a_parameter_that_was_a_python_number_is_named_as_the_reason():
    descent = gradient_descent(lambda p, batch: (p["a"] - jnp.mean(batch["x"])) ** 2 + jnp.sum(p["b"] ** 2), 0.1)
    known = len(loop.retraced())
    list(train(descent, descent.init({"a": 0.0, "b": jnp.ones(2)}), [{"x": jnp.ones((4, 3))}] * 3, stacked=False))
    (reason,) = loop.retraced()[known:]
    assert "changed state/params/a from float32[] of a Python number" in reason
    assert "the device, the precision" not in reason
