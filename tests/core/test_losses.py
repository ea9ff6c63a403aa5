"""Costs and their gradients against numpy, Nielsen's backpropagation and central differences."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads
from problems import backpropagation

from jaxnet import losses, metrics, network
from jaxnet.core.losses import average, cross_entropy, half_squared_error, squared_error
from jaxnet.core.metrics import cost_by_output, evaluation, predict
from jaxnet.core.types import Batch

film_cost = average(network.apply, squared_error)


@pytest.fixture(scope="module")
def params():
    return network.init(jax.random.key(0), weights=network.scaled(2.0))


def test_the_films_cost_of_one_example_is_the_sum_of_squared_differences():
    output = jnp.array([0.43, 0.28, 0.19, 0.88, 0.72, 0.01, 0.64, 0.86, 0.99, 0.63])
    wanted = np.eye(10)[3]
    assert squared_error(output, 3) == pytest.approx(np.sum((np.asarray(output) - wanted) ** 2), rel=1e-6)
    assert half_squared_error(output, 3) == squared_error(output, 3) / 2
    assert squared_error(jnp.eye(10)[3], 3) == 0


def test_cross_entropy_is_minus_the_log_of_the_right_softmax():
    logits = np.array([1.0, -2.0, 0.5])
    expected = -np.log(np.exp(0.5) / np.exp(logits).sum())
    assert cross_entropy(jnp.asarray(logits, jnp.float32), 2) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    "loss", [squared_error, half_squared_error, pytest.param(cross_entropy, marks=pytest.mark.slow)]
)
def test_losses_have_right_gradients(loss):
    with jax.enable_x64(True):
        check_grads(lambda output: loss(output, 4), (jnp.linspace(-0.5, 1.5, 10),), order=2)


def test_the_gradient_of_all_13002_equals_a_hand_written_backpropagation(mnist):
    with jax.enable_x64(True):
        params = network.init(jax.random.key(0), weights=network.scaled(2.0), dtype=jnp.float64)
        some = Batch(mnist.train.images[:64], mnist.train.labels[:64])
        grads = jax.tree.leaves(jax.jit(jax.grad(film_cost))(params, some))
        layers = [(np.asarray(w), np.asarray(b)) for w, b in params]
        examples = [backpropagation(layers, image, label) for image, label in zip(*some[:2], strict=True)]
        by_hand = [np.mean([one[layer][part] for one in examples], axis=0) for layer in range(3) for part in (0, 1)]
        scale = max(np.abs(expected).max() for expected in by_hand)
        for found, expected in zip(grads, by_hand, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10 * scale * 1e-3)
        wrong = [g.T if g.shape == (16, 16) else g for g in by_hand]
        assert not np.allclose(grads[2], wrong[2], rtol=1e-3)
        assert not np.allclose(grads[0].astype(np.float32), -by_hand[0], rtol=1e-3)


@pytest.mark.slow
def test_the_gradient_of_all_13002_equals_central_differences(mnist):
    with jax.enable_x64(True):
        params = network.init(jax.random.key(5), weights=network.scaled(2.0), dtype=jnp.float64)
        some = Batch(jnp.asarray(mnist.train.images[:16]), jnp.asarray(mnist.train.labels[:16]))
        vector, _ = jax.flatten_util.ravel_pytree(params)
        cost = losses.of_vector(film_cost, params)

        @jax.jit
        def slope(nudge, vector, i):
            return (cost(vector.at[i].add(nudge), some) - cost(vector.at[i].add(-nudge), some)) / (2 * nudge)

        @jax.jit
        def differences(vector):
            return jax.lax.map(lambda i: slope(1e-5, vector, i), jnp.arange(len(vector)), batch_size=128)

        grads = np.asarray(jax.grad(cost)(vector, some))
        wrong_by = lambda found: np.abs(np.asarray(found) - grads).max() / np.abs(grads).max()
        assert wrong_by(differences(vector)) <= 1e-7
        single = np.array([slope(np.float32(1e-3), vector.astype(jnp.float32), i) for i in range(12_990, 13_002)])
        assert np.abs(single - grads[-12:]).max() / np.abs(grads).max() > 1e-6  # what float32 would have shown


def test_one_example_at_a_time_accumulated_equals_the_batch_gradient(mnist):
    with jax.enable_x64(True):
        params = network.init(jax.random.key(0), dtype=jnp.float64)
        images, labels = jnp.asarray(mnist.train.images[:50]), jnp.asarray(mnist.train.labels[:50])
        grad = jax.jit(jax.grad(film_cost))
        single = [grad(params, Batch(images[i : i + 1], labels[i : i + 1])) for i in range(50)]
        mean = jax.tree.map(lambda *parts: sum(parts) / 50, *single)
        for found, whole in zip(
            jax.tree.leaves(mean), jax.tree.leaves(grad(params, Batch(images, labels))), strict=True
        ):
            np.testing.assert_allclose(found, whole, rtol=0, atol=1e-12)


@given(st.permutations(range(12)))
def test_the_order_within_a_batch_changes_nothing(order):
    images = jnp.asarray(np.random.default_rng(0).integers(0, 256, (12, 2, 2)), jnp.uint8)
    labels = jnp.arange(12) % 3
    params = network.init(jax.random.key(0), [4, 3])
    order = jnp.array(order)
    shuffled = film_cost(params, Batch(images[order], labels[order]))
    assert shuffled == pytest.approx(float(film_cost(params, Batch(images, labels))), rel=1e-6)


def test_the_cost_in_chunks_is_the_cost_and_so_is_its_gradient(params, hundred):
    chunked = average(network.apply, squared_error, chunk_size=32)
    assert chunked(params, hundred) == pytest.approx(float(film_cost(params, hundred)), rel=1e-6)
    for found, whole in zip(
        jax.tree.leaves(jax.grad(chunked)(params, hundred)),
        jax.tree.leaves(jax.grad(film_cost)(params, hundred)),
        strict=True,
    ):
        np.testing.assert_allclose(found, whole, atol=1e-6)


def test_the_cost_of_all_60000_images_is_one_call_within_bounded_memory(params, mnist):
    everything = Batch(jnp.asarray(mnist.train.images), jnp.asarray(mnist.train.labels))
    use = lambda cost: jax.jit(jax.grad(cost)).lower(params, everything).compile().memory_analysis().temp_size_in_bytes
    chunked = average(network.apply, squared_error, chunk_size=1000)
    assert use(chunked) < 20e6 < use(film_cost)
    assert 0 < jax.jit(chunked)(params, everything) < 10


def test_an_empty_batch_is_refused(params):
    with pytest.raises(ValueError, match="empty batch"):
        film_cost(params, Batch(np.zeros((0, 28, 28)), np.zeros(0, int)))


@pytest.mark.parametrize("chunk_size", [1, 7, 100, 1000])
def test_every_image_is_scored_at_any_chunk_size(params, hundred, chunk_size):
    found = predict(network.apply, params, hundred.images[:83], chunk_size=chunk_size)
    assert found.shape == (83, 10)
    expected = jax.vmap(network.apply, (None, 0))(params, hundred.images[:83])
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_an_evaluation_splits_the_cost_by_class_and_by_output(params, hundred):
    answers = predict(network.apply, params, hundred.images)
    judged = evaluation(squared_error, answers, hundred.labels)
    labels = np.asarray(hundred.labels)
    each = np.asarray(jax.vmap(squared_error)(answers, hundred.labels))
    assert judged.cost == pytest.approx(float(film_cost(params, hundred)), rel=1e-6)
    for digit in range(10):
        assert judged.cost_by_class[digit] == pytest.approx(each[labels == digit].mean(), rel=1e-5)
        right = np.asarray(answers).argmax(-1)[labels == digit] == digit
        assert judged.accuracy_by_class[digit] == pytest.approx(right.mean(), rel=1e-5)
    assert judged.count_by_class.sum() == judged.confusion.sum() == 100
    assert np.trace(judged.confusion) / 100 == pytest.approx(float(judged.accuracy))
    assert judged.accuracy == metrics.accuracy(answers, hundred.labels)
    assert np.sum(cost_by_output(answers, hundred.labels)) == pytest.approx(float(judged.cost), rel=1e-6)


def test_the_confusion_has_labels_in_rows():
    judged = evaluation(squared_error, jnp.array([[0.0, 1.0], [0.0, 1.0], [1.0, 0.0]]), np.array([0, 1, 0]))
    np.testing.assert_array_equal(judged.confusion, [[1, 1], [0, 1]])


def test_mistakes_come_with_the_most_confident_first():
    answers = jnp.array([[0.6, 0.5], [0.9, 0.1], [0.2, 0.9], [0.3, 0.7]])
    np.testing.assert_array_equal(metrics.mistakes(answers, np.array([1, 1, 1, 0])), [1, 3, 0])


def test_any_apply_and_loss_make_a_cost(hundred):
    apply = functools.partial(network.apply, activation=network.relu, output=network.identity)
    params = network.init(jax.random.key(0), [784, 10])
    assert average(apply, cross_entropy)(params, hundred).shape == ()


def test_an_output_that_is_nan_reads_nothing():
    outputs = np.full((4, 10), np.nan)
    outputs[1:] = np.eye(10)[:3]
    assert (
        metrics.accuracy(outputs, np.zeros(4, int)) == 0.25
    )  # NaN is not taken for a zero, which it would be by argmax
