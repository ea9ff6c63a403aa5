"""Statistics over examples equal a naive loop, whatever the model, and the three noise scales agree."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnet import bang, losses, network
from jaxnet.bang import per_example
from jaxnet.core.types import Batch

film_cost = losses.average(network.apply, losses.squared_error)
relu = functools.partial(network.apply, activation=network.relu, output=network.identity)
COSTS = {
    "film": film_cost,
    "relu": losses.average(relu, losses.cross_entropy),
    "any": lambda params, batch: film_cost(params, batch),
}


def in_double(params):
    return jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf), jnp.float64), params)


@pytest.fixture(scope="module")
def params():
    return network.init(jax.random.key(0))


@pytest.fixture(scope="module")
def two_hundred(mnist):
    return Batch(mnist.train.images[:200], mnist.train.labels[:200])


@pytest.fixture(scope="module")
def one_by_one(params, two_hundred):
    """The gradient of each of 200 images by itself, float64, in a plain loop: by cost (200, 13002)."""
    with jax.enable_x64(True):
        double = in_double(params)

        def loop(cost):
            grad = jax.jit(jax.grad(cost))
            rows = [
                grad(double, Batch(two_hundred.images[i : i + 1], two_hundred.labels[i : i + 1])) for i in range(200)
            ]
            return np.stack([flat(row) for row in rows])

        return {name: loop(COSTS[name]) for name in ("film", "relu")}


def flat(tree):
    return np.concatenate([np.asarray(leaf).ravel() for leaf in jax.tree.leaves(tree)])


@pytest.mark.parametrize("name", ["film", *(pytest.param(name, marks=pytest.mark.slow) for name in ("relu", "any"))])
def test_moments_equal_a_naive_loop_in_double_precision(name, params, two_hundred, one_by_one):
    naive = one_by_one["relu" if name == "relu" else "film"]
    with jax.enable_x64(True):
        found = bang.gradient_moments(COSTS[name], size=77)(in_double(params), two_hundred)
        mean, variance = flat(found.mean), flat(found.variance)
        clear = flat(bang.signal_to_noise(found))
    np.testing.assert_allclose(mean, naive.mean(0), atol=1e-10)
    np.testing.assert_allclose(variance, naive.var(0, ddof=1), atol=1e-10)
    scatter = naive.std(0, ddof=1)
    np.testing.assert_allclose(clear[scatter > 0], np.abs(naive.mean(0))[scatter > 0] / scatter[scatter > 0], atol=1e-8)
    assert (clear[scatter == 0] == 0).all()
    assert np.abs(variance - naive.var(0)).max() > 1e-8, "divided by 199, not by 200"


def test_moments_in_single_precision_are_close(params, two_hundred, one_by_one):
    found = bang.gradient_moments(film_cost)(params, two_hundred)
    naive = one_by_one["film"]
    assert np.abs(flat(found.variance) - naive.var(0, ddof=1)).max() < 1e-5 * naive.var(0).max()


def test_a_piece_left_out_or_a_layer_transposed_is_caught(params, two_hundred, one_by_one):
    naive = one_by_one["film"]
    part = bang.gradient_moments(film_cost)(params, Batch(two_hundred.images[:150], two_hundred.labels[:150]))
    assert np.abs(flat(part.variance) - naive.var(0, ddof=1)).max() > 1e-3 * naive.var(0).max()
    found = bang.gradient_moments(film_cost)(params, two_hundred)
    turned = (found.variance[0], found.variance[1]._replace(weights=found.variance[1].weights.T), found.variance[2])
    assert np.abs(flat(turned) - naive.var(0, ddof=1)).max() > 1e-3 * naive.var(0).max()


@pytest.mark.parametrize("name", ["film", "any"])
def test_lengths_and_pulls_are_those_of_each_example(name, params, two_hundred, one_by_one):
    naive = one_by_one["film"]
    np.testing.assert_allclose(
        bang.per_example_norms(COSTS[name], size=77)(params, two_hundred), np.linalg.norm(naive, axis=1), rtol=1e-5
    )
    where = 16 * 784 + 16 + 5 * 16 + 3
    found = bang.per_example_derivative(COSTS[name], "1/weights", (5, 3))(params, two_hundred)
    np.testing.assert_allclose(found, naive[:, where], atol=1e-7)
    assert not np.allclose(
        bang.per_example_derivative(COSTS[name], "1/weights", (3, 5))(params, two_hundred), naive[:, where], atol=1e-4
    )


@pytest.mark.parametrize("name", ["film", "any"])
def test_the_tug_of_war_sums_to_the_gradient_and_is_split_by_label(name, params, two_hundred, one_by_one):
    naive, labels = one_by_one["film"], np.asarray(two_hundred.labels)
    by_label = bang.gradient_by_label(COSTS[name], 10)(params, two_hundred)
    rows = np.stack([flat(jax.tree.map(lambda leaf, i=i: leaf[i], by_label)) for i in range(10)])
    np.testing.assert_allclose(rows.sum(0), naive.mean(0), atol=1e-6)
    for digit in range(10):
        np.testing.assert_allclose(rows[digit], naive[labels == digit].sum(0) / 200, atol=1e-6)
    assert np.abs(rows[3] - naive[labels == 4].sum(0) / 200).max() > 1e-3


def test_three_noise_scales_agree_and_a_wrong_one_does_not(params, mnist):
    batch = Batch(mnist.train.images[:20_000], mnist.train.labels[:20_000])
    exact = bang.noise_scale(film_cost)(params, batch)
    others = [
        bang.noise_scale(film_cost, method="batches", batch_size=10)(params, batch),
        bang.noise_scale(film_cost, method="two_sizes", batch_size=10)(params, batch),
    ]
    for other in others:
        assert other.low < exact.scale < other.high
        assert other.squared_norm == pytest.approx(exact.squared_norm, rel=0.01)
    forgotten = exact.trace / 10 / exact.squared_norm
    assert not others[0].low < forgotten < others[0].high, "forgetting the batch size is caught"
    flipped = 1 / exact.scale
    assert not others[1].low < flipped < others[1].high


def test_the_noise_scale_of_numbers_is_known():
    numbers = np.random.default_rng(1).normal(size=4000).astype(np.float32)
    found = bang.noise_scale(lambda x, batch: jnp.mean((x - batch) ** 2) / 2)(jnp.array(2.0), numbers)
    assert found.trace == pytest.approx(numbers.var(ddof=1), rel=1e-4)
    assert found.squared_norm == pytest.approx((2 - numbers.mean()) ** 2 - numbers.var(ddof=1) / 4000, rel=1e-4)
    assert found.low < found.scale < found.high


def test_the_images_are_never_all_on_the_device(params, monkeypatch, two_hundred):
    seen = []
    original = per_example._outer_sums
    watch = lambda form, params, piece, size: (seen.append(len(piece.labels)), original(form, params, piece, size))[1]
    monkeypatch.setattr(per_example, "_outer_sums", watch)
    whole = bang.gradient_moments(film_cost, size=30)(params, two_hundred)
    monkeypatch.setattr(per_example, "RESIDENT", 80 * 784)
    part = bang.gradient_moments(film_cost, size=30)(params, two_hundred)
    assert seen == [200, 80, 80, 40]
    np.testing.assert_allclose(flat(part.variance), flat(whole.variance), rtol=1e-3, atol=1e-8)
    assert per_example.at_once({"big": np.zeros(10_000_000, np.float32)}) == 1


def test_the_same_numbers_as_pytorch(params, two_hundred):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    layers = [[torch.tensor(np.asarray(array), requires_grad=True) for array in layer] for layer in params]
    leaves = [array for layer in layers for array in layer]
    rows = []
    for image, label in zip(two_hundred.images, two_hundred.labels, strict=True):
        lit = torch.tensor(image.reshape(-1) / 255, dtype=torch.float32)
        for weights, biases in layers:
            lit = torch.sigmoid(weights @ lit + biases)
        loss = torch.sum((lit - torch.nn.functional.one_hot(torch.tensor(int(label)), 10)) ** 2)
        rows.append(torch.cat([g.ravel() for g in torch.autograd.grad(loss, leaves)]))
    rows = torch.stack(rows).double()
    found = bang.gradient_moments(film_cost)(params, two_hundred)
    np.testing.assert_allclose(flat(found.mean), rows.mean(0), atol=1e-7)
    np.testing.assert_allclose(flat(found.variance), rows.var(0), atol=1e-8, rtol=1e-4)


def test_nonsense_is_refused(params, two_hundred):
    with pytest.raises(ValueError, match="a variance needs at least 2 examples, got 1"):
        bang.gradient_moments(film_cost)(params, Batch(two_hundred.images[:1], two_hundred.labels[:1]))
    summed = lambda p, batch: film_cost(p, batch) * len(batch.labels)
    for instrument in (
        bang.gradient_moments(summed),
        bang.per_example_norms(summed),
        bang.gradient_by_label(summed, 10),
    ):
        with pytest.raises(ValueError, match="not a mean over examples"):
            instrument(params, two_hundred)
    with pytest.raises(ValueError, match="there is no parameter 0/weigths"):
        bang.per_example_derivative(film_cost, "0/weigths", (0, 0))(params, two_hundred)
    with pytest.raises(ValueError, match=r"there is no parameter 0/weights\[16, 0\]"):
        bang.per_example_derivative(film_cost, "0/weights", (16, 0))(params, two_hundred)
    with pytest.raises(ValueError, match="needs at least 1,280 examples, got 200"):
        bang.noise_scale(film_cost, method="batches")(params, two_hundred)
    with pytest.raises(ValueError, match="same number of examples along the leading axis"):
        bang.gradient_moments(film_cost)(params, Batch(two_hundred.images, two_hundred.labels[:10]))


def test_a_small_scatter_around_a_large_gradient_is_not_rounded_away():
    numbers = (1e4 + np.random.default_rng(0).normal(size=5000)).astype(np.float32)
    found = bang.gradient_moments(lambda x, batch: jnp.mean((x - batch) ** 2) / 2)(jnp.array(0.0), numbers)
    assert float(found.variance) == pytest.approx(numbers.astype(np.float64).var(ddof=1), rel=1e-3)
    assert float(found.mean) == pytest.approx(-numbers.mean(), rel=1e-5)


def test_labels_out_of_range_are_refused_and_identical_examples_have_no_noise(params, two_hundred):
    with pytest.raises(ValueError, match="integers from 0 to 4, got 0 to 9"):
        bang.gradient_by_label(film_cost, 5)(params, two_hundred)
    same = np.full(100, 2.0, np.float32)
    assert bang.noise_scale(lambda x, batch: jnp.mean((x - batch) ** 2))(jnp.array(0.0), same).scale == 0
    with pytest.raises(ValueError, match="size must be at least 1"):
        bang.gradient_moments(film_cost, size=0)


def test_half_precision_is_summed_in_single(params, two_hundred):
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
    single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), half)
    a, b = (bang.gradient_moments(film_cost)(p, two_hundred).mean for p in (half, single))
    np.testing.assert_array_equal(flat(a), flat(b))
