"""The credit of every parameter sums to the fall of the cost, and ledgers that cheat are caught."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnet import bang, data, gradient_descent, losses, network, train
from jaxnet.core.types import Batch

film_cost = losses.average(network.apply, losses.squared_error)


@pytest.fixture(scope="module")
def subset():
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (90, 4, 4), dtype=np.uint8)
    return Batch(images, np.sort(np.arange(90) % 3))


@pytest.fixture(scope="module")
def path(subset):
    """Forty long steps in float64, one at a time, as float64 numpy arrays."""
    with jax.enable_x64(True):
        params = network.init(jax.random.key(0), [16, 6, 5, 3], dtype=jnp.float64)
        descent = gradient_descent(film_cost, 2.0)
        batches = data.shuffled(jax.random.key(1), subset, 10, epochs=5, steps=1)
        states = (state.params for state, _ in train(descent, descent.init(params), batches))
        return [jax.tree.map(np.asarray, point) for point in itertools.chain([params], itertools.islice(states, 40))]


def account(path, subset, **options):
    with jax.enable_x64(True):
        return bang.loss_change_allocation(film_cost, **options)(path, subset)


def finely(path, subset):
    """The credit by the trapezoidal rule on 200 points a step: another rule, another program."""
    with jax.enable_x64(True):
        grad = jax.jit(jax.grad(film_cost))
        mean = jax.jit(jax.vmap(grad, in_axes=(0, None)))
        total = jax.tree.map(lambda leaf: np.zeros(leaf.shape), path[0])
        parts = (np.arange(200) + 0.5) / 200
        for a, b in itertools.pairwise(path):
            line = jax.tree.map(lambda x, y: x[None] + parts.reshape(-1, *[1] * x.ndim) * (y - x)[None], a, b)
            slopes = jax.tree.map(lambda g: np.asarray(g).mean(0), mean(line, subset))
            total = jax.tree.map(lambda t, g, x, y: t - g * (y - x), total, slopes, a, b)
    return total


def flat(tree):
    return np.concatenate([np.asarray(leaf).ravel() for leaf in jax.tree.leaves(tree)])


def whole(ledger):
    return flat(jax.tree.map(lambda leaf: leaf.sum(0), ledger.credit))


def test_the_shares_sum_to_the_fall_and_the_gap_falls_with_the_fourth_power(path, subset):
    gaps = []
    for panels in (1, 2, 4):
        ledger = account(path, subset, panels=panels, labels=3)
        fall = ledger.cost[0] - ledger.cost[-1]
        assert ledger.gap == pytest.approx(fall - whole(ledger).sum(), abs=1e-12)
        gaps.append(abs(ledger.gap))
    assert fall > 0.05
    assert gaps[1] < 1e-3 * fall
    assert gaps[0] > 10 * gaps[1] > 100 * gaps[2]


def test_every_parameter_is_credited_with_what_it_earned_on_the_way(path, subset):
    exact = finely(path, subset)
    ledger = account(path, subset, panels=4)
    scale = np.abs(flat(exact)).max()
    assert np.abs(whole(ledger) - flat(exact)).max() < 1e-4 * scale
    skipped = account([path[0], *path[2:]][::2], subset, panels=4)
    chord = account([path[0], path[-1]], subset, panels=64)
    assert abs(chord.gap) < 1e-6, "a chord's sum is right"
    assert np.abs(whole(chord) - flat(exact)).max() > 0.05 * scale, "and yet it credits the wrong parameters"
    assert np.abs(whole(skipped) - flat(exact)).max() > 0.01 * scale


def test_a_ledger_that_leaves_out_steps_does_not_balance(path, subset):
    ledger = account(path, subset, panels=4)
    fall = ledger.cost[0] - ledger.cost[-1]
    assert abs(fall - ledger.by_leaf[1:].sum()) > 1e-3 * fall
    flipped = account(path[::-1], subset, panels=4)
    np.testing.assert_allclose(whole(flipped), -whole(ledger), atol=1e-9)


def test_layers_labels_and_steps_are_different_sums_of_the_same_credit(path, subset):
    ledger = account(path, subset, labels=3, panels=2)
    assert ledger.leaves == ("0/weights", "0/biases", "1/weights", "1/biases", "2/weights", "2/biases")
    assert ledger.by_leaf.shape == (40, 6)
    assert ledger.by_label.shape == (40, 3)
    np.testing.assert_allclose(ledger.by_leaf.sum(1), ledger.by_label.sum(1), atol=1e-12)
    np.testing.assert_allclose(
        ledger.by_leaf.sum(0), [leaf.sum() for leaf in jax.tree.leaves(ledger.credit)], atol=1e-12
    )
    with jax.enable_x64(True):
        for label in range(3):
            mine = subset.labels == label
            only = Batch(subset.images[mine], subset.labels[mine])
            fall = float(film_cost(path[0], only) - film_cost(path[-1], only)) / 3
            assert ledger.by_label[:, label].sum() == pytest.approx(fall, abs=1e-3)
    np.testing.assert_allclose(whole(ledger), whole(account(path, subset, panels=2)), atol=1e-12)


def test_a_real_run_in_single_precision_balances(small):
    params = network.init(jax.random.key(0))
    descent = gradient_descent(film_cost, 1.0)
    subset = Batch(small.train.images[:600], small.train.labels[:600])
    walk = train(descent, descent.init(params), data.shuffled(jax.random.key(1), small.train, 20, steps=1))
    path = itertools.chain([params], (state.params for state, _ in itertools.islice(walk, 25)))
    ledger = bang.loss_change_allocation(film_cost, labels=10, panels=2)(path, subset)
    fall = ledger.cost[0] - ledger.cost[-1]
    assert fall > 0.5
    assert abs(ledger.gap) < 1e-3 * fall
    never_lit = (subset.images == 0).all(0).ravel()
    assert (ledger.credit[0].weights[:, :, never_lit] == 0).all()


def test_nonsense_is_refused(path, subset):
    with pytest.raises(ValueError, match="panels must be at least 1, got 0"):
        bang.loss_change_allocation(film_cost, panels=0)
    with pytest.raises(ValueError, match="at least two points, got one"):
        account(path[:1], subset)
    with pytest.raises(ValueError, match="at least two points, got none"):
        account([], subset)
    assert not account(path[:2], subset, labels=4).by_label[:, 3].any(), "a label without examples earns nothing"
    with pytest.raises(ValueError, match="must be integers from 0 to 1, got 0 to 2"):
        account(path, subset, labels=2)
    with pytest.raises(ValueError, match="not a mean over examples"):
        bang.loss_change_allocation(lambda p, b: film_cost(p, b) * len(b.labels))(path, subset)
