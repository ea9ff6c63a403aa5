"""Shifts are pure, keyed and uniform, and a cost on shifted images is what it says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnet import augment, losses, network
from jaxnet._types import Batch

film_cost = losses.average(network.apply, losses.squared_error)


def moved_by_hand(image, down, right):
    out = np.zeros_like(image)
    height, width = image.shape[:2]
    for row in range(height):
        for column in range(width):
            if 0 <= row + down < height and 0 <= column + right < width:
                out[row, column] = image[row + down, column + right]
    return out


@pytest.mark.parametrize("shape", [(5, 7), (6, 6, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_all_shifts_occur_equally_often_and_nothing_else(shape, dtype):
    image = np.arange(1, 1 + np.prod(shape)).reshape(shape).astype(dtype)
    keys = jax.random.split(jax.random.key(0), 2000)
    moved = np.asarray(jax.vmap(augment.shift, (0, None))(keys, image))
    assert moved.dtype == dtype
    expected = {moved_by_hand(image, down, right).tobytes(): 0 for down in (-1, 0, 1) for right in (-1, 0, 1)}
    for one in moved:
        expected[one.tobytes()] += 1
    counts = np.array(list(expected.values()))
    assert counts.sum() == 2000
    assert np.sum((counts - 2000 / 9) ** 2 / (2000 / 9)) < 26.1  # chi square, 8 degrees of freedom, p = 0.001


def test_a_shift_of_nothing_changes_nothing():
    image = np.random.default_rng(0).random((4, 4)).astype(np.float32)
    np.testing.assert_array_equal(augment.shift(jax.random.key(0), image, pixels=0), image)


def test_an_augmented_cost_is_the_cost_of_the_shifted_images(hundred):
    params, key = network.init(jax.random.key(0)), jax.random.key(5)
    moved = jax.vmap(augment.shift)(jax.random.split(key, 100), hundred.images)
    cost = augment.augmented(film_cost, augment.shift)
    assert cost(params, hundred._replace(key=key)) == film_cost(params, hundred._replace(images=moved))
    assert cost(params, hundred._replace(key=key)) != film_cost(params, hundred)
    assert not jnp.array_equal(moved[0], moved[1])


def test_a_batch_without_a_key_is_refused(hundred):
    with pytest.raises(ValueError, match="needs a batch with a key, got key=None"):
        augment.augmented(film_cost, augment.shift)(network.init(jax.random.key(0)), Batch(*hundred[:2]))
