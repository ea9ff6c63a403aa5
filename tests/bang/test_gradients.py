"""What a gradient says about each parameter: laws, words, and wrong versions that fail."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems
import pytest
from flax import nnx
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from jaxnet import bang, losses, network
from jaxnet.core.network import Layer

film_cost = losses.average(network.apply, losses.squared_error)
values = arrays.arrays(np.float32, 6, elements=st.floats(-1e6, 1e6, width=32))


@pytest.fixture(scope="module")
def grads(hundred):
    return jax.grad(film_cost)(network.init(jax.random.key(0)), hundred)


def test_the_films_three_to_one_is_a_ratio_of_magnitudes_and_nine_to_one_of_shares():
    grads = jax.grad(problems.slope)(jnp.zeros(2), None)
    assert list(bang.magnitude(grads)) == [3, 1]
    np.testing.assert_allclose(bang.share(grads), [0.9, 0.1], rtol=1e-6)
    first, second = bang.top(grads, 2)
    assert (first.position, first.up, first.ratio) == ((0,), False, 3)
    assert first.text == "nudge parameter[0] down; gradient 3 times the next"
    assert (second.position, second.ratio) == ((1,), math.inf)


@given(values)
def test_shares_sum_to_one_and_do_not_depend_on_the_scale(array):
    tree = {"a": jnp.asarray(array[:2]), "b": (jnp.asarray(array[2:]), None)}
    total = sum(float(jnp.sum(leaf)) for leaf in jax.tree.leaves(bang.share(tree)))
    assert total == pytest.approx(1 if np.any(array) else 0, abs=1e-5)
    if np.abs(array).max() > 1e-3:
        scaled = bang.share(jax.tree.map(lambda leaf: leaf * 1e25, tree))
        np.testing.assert_allclose(scaled["a"], bang.share(tree)["a"], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_earned_is_the_measured_fall_of_the_cost_to_first_order_and_a_flipped_sign_is_not(hundred):
    with jax.enable_x64(True):
        params = network.init(jax.random.key(0), dtype=jnp.float64)
        grads = jax.grad(film_cost)(params, hundred)
        updates, _ = optax.adam(1e-6).update(grads, optax.adam(1e-6).init(params), params)
        fall = float(film_cost(params, hundred) - film_cost(optax.apply_updates(params, updates), hundred))
        predicted = sum(bang.by_leaf(bang.earned(grads, updates)).values())
        flipped = sum(bang.by_leaf(bang.earned(grads, jax.tree.map(jnp.negative, updates))).values())
    assert fall > 0
    assert predicted == pytest.approx(fall, rel=0.01)
    assert flipped != pytest.approx(fall, rel=0.01)


def test_top_is_the_ranking_by_magnitude_over_all_leaves(grads):
    nudges = bang.top(grads, 500)
    everything = np.concatenate([np.asarray(leaf).ravel() for leaf in jax.tree.leaves(grads)])
    expected = np.sort(np.abs(everything))[::-1]
    np.testing.assert_array_equal([abs(nudge.gradient) for nudge in nudges], expected[:500])
    assert [nudge.ratio for nudge in nudges[:5]] == pytest.approx(expected[:5] / expected[1:6])
    for nudge in nudges:
        layer, field = nudge.leaf.split("/")
        assert getattr(grads[int(layer)], field)[nudge.position] == nudge.gradient
        assert nudge.up == (nudge.gradient < 0)


def test_top_says_in_words_what_to_nudge():
    zero = tuple(Layer(np.zeros((out, inputs)), np.zeros(out)) for inputs, out in ((784, 16), (16, 16), (16, 10)))
    zero[1].weights[7, 3] = -3.2
    zero[0].weights[2, 28 * 12 + 5] = 1.0
    zero[2].biases[4] = 0.5
    texts = [nudge.text for nudge in bang.top(zero, 4)]
    assert texts == [
        "nudge layer 2, neuron 7, weight from neuron 3 up; gradient 3.2 times the next",
        "nudge layer 1, neuron 2, weight from pixel (row 12, column 5) down; gradient 2 times the next",
        "nudge layer 3, neuron 4, bias down",
        "leave layer 1, neuron 0, weight from pixel (row 0, column 0): its gradient is zero",
    ]


def test_layers_of_other_kinds_are_named_by_leaf_and_position():
    odd = [Layer(np.array([3.0, 1.0]), np.array(2.0)), Layer(np.full((2, 2, 1, 1), 0.5), np.zeros(2))]
    texts = [nudge.text.partition(";")[0] for nudge in bang.top(odd, 4)]
    assert texts == [
        "nudge 0/weights[0] down",
        "nudge 0/biases down",
        "nudge 0/weights[1] down",
        "nudge 1/weights[0, 0, 0, 0] down",
    ]
    colored = (Layer(np.eye(1, 12, 7), np.zeros(1)),)
    assert "pixel (row 1, column 0, channel 1)" in bang.top(colored, 1, image_shape=(2, 2, 3))[0].text
    assert "weight from input 7" in bang.top(colored, 1)[0].text


def test_following_the_first_word_lowers_the_cost(hundred):
    with jax.enable_x64(True):
        params = network.init(jax.random.key(0), dtype=jnp.float64)
        nudge = bang.top(jax.grad(film_cost)(params, hundred), 1)[0]
        layer, field = nudge.leaf.split("/")
        array = getattr(params[int(layer)], field)
        moved = array.at[nudge.position].add(1e-4 if nudge.up else -1e-4)
        other = [*params]
        other[int(layer)] = params[int(layer)]._replace(**{field: moved})
        fall = film_cost(params, hundred) - film_cost(tuple(other), hundred)
        assert fall == pytest.approx(1e-4 * abs(nudge.gradient), rel=0.01)


def test_frozen_leaves_are_skipped_and_half_precision_is_summed_in_single():
    tree = {"frozen": None, "half": jnp.full(1000, 0.01, jnp.bfloat16), "int": np.zeros(3, jax.dtypes.float0)}
    assert bang.by_leaf({"half": tree["half"]})["half"] == pytest.approx(10, rel=1e-2)
    assert [name for name, _ in bang.named_leaves(tree)] == ["half"]
    assert len(bang.top(tree, 2000)) == 1000
    assert bang.share({"half": tree["half"], "frozen": None})["half"].dtype == jnp.float32
    assert float(jnp.sum(bang.share({"half": tree["half"]})["half"])) == pytest.approx(1, rel=1e-5)


def test_a_tied_parameter_counts_once():
    class Tied(nnx.Module):
        def __init__(self):
            self.up = nnx.Linear(3, 3, use_bias=False, rngs=nnx.Rngs(0))
            self.down = nnx.Linear(3, 3, use_bias=False, rngs=nnx.Rngs(1))
            self.down.kernel = self.up.kernel

        def __call__(self, x):
            return self.down(self.up(x))

    from jaxnet.models.flax_nnx import functional

    apply, params = functional(Tied())
    grads = jax.grad(lambda p: jnp.sum(apply(p, jnp.ones(3))))(params)
    assert list(bang.by_leaf(grads)) == ["down/kernel"]
    kernel = jax.tree.leaves(params)[0]
    by_hand = jax.grad(lambda k: jnp.sum(jnp.ones(3) @ k @ k))(kernel)
    np.testing.assert_allclose(jax.tree.leaves(grads)[0], by_hand, rtol=1e-6)


def test_by_neuron_joins_weights_and_bias_of_a_layer():
    layer = Layer(jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.array([10.0, 20.0]))
    (total,) = bang.by_neuron((layer,))
    np.testing.assert_array_equal(total, [13, 27])
    flax_way = bang.by_neuron({"kernel": layer.weights}, axis=-1)
    np.testing.assert_array_equal(flax_way["kernel"], [4, 6])
    transposed = bang.by_neuron((layer._replace(weights=layer.weights.T),))
    assert not np.array_equal(transposed[0], total)


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        bang.top(jnp.ones(3), 0)
    with pytest.raises(ValueError, match="gradient of 'b' holds NaN"):
        bang.top({"a": jnp.ones(2), "b": jnp.array([jnp.nan])})
