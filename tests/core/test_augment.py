"""Shifts are pure, keyed and uniform, and a cost on shifted images is what it says."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnet import augment, losses, network
from jaxnet.core.types import Batch

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


DISTORTIONS = [augment.affine, augment.elastic]
blob = np.zeros((28, 28), np.float32)
blob[10:18, 12:16] = 1.0


@pytest.mark.parametrize("distortion", DISTORTIONS)
def test_a_distortion_is_pure_and_keyed_and_keeps_shape_and_type(distortion):
    for image in (blob, (255 * blob).astype(np.uint8), np.stack([blob] * 3, -1)):
        one, same, other = (distortion(jax.random.key(k), image) for k in (0, 0, 1))
        assert one.shape == image.shape
        assert one.dtype == image.dtype
        assert jnp.array_equal(one, same)
        assert not jnp.array_equal(one, other)


@pytest.mark.parametrize("distortion", DISTORTIONS)
def test_a_distortion_of_nothing_changes_nothing(distortion):
    nothing = dict.fromkeys(("turn", "scale", "slant", "move"), 0) | (
        {"strength": 0} if distortion is augment.elastic else {}
    )
    np.testing.assert_allclose(distortion(jax.random.key(0), blob, **nothing), blob, atol=1e-6)


@pytest.mark.slow
def test_ink_is_kept_on_average():
    keys = jax.random.split(jax.random.key(0), 200)
    for distortion in DISTORTIONS:
        many = jax.vmap(distortion, (0, None))(keys, blob)
        assert float(many.sum((1, 2)).mean()) == pytest.approx(blob.sum(), rel=0.08)


def test_a_quarter_turn_is_a_quarter_turn_clockwise():
    """Drawn amounts are uniform; this key's turn is read back from the picture."""
    key = jax.random.key(3)
    part = float(jax.random.uniform(key, (6,), jnp.float32, -1.0, 1.0)[0])
    flag = blob.copy()
    flag[5:20, 6] = 1.0  # so that every quarter turn looks different
    turned = augment.affine(key, flag, turn=90 / part, scale=0, slant=0, move=0)
    np.testing.assert_allclose(turned, np.rot90(flag, -1), atol=1e-4)
    assert not np.allclose(turned, np.rot90(flag, 1), atol=1e-4)


def test_elastic_moves_neighbors_together():
    """Of a ramp the moves can be read: they are smooth as the Gaussian says, and not as raw noise."""
    ramp = np.broadcast_to(100 + np.arange(28, dtype=np.float32), (28, 28))
    still = dict.fromkeys(("turn", "scale", "slant", "move"), 0)
    read = lambda key, smoothness: augment.elastic(key, ramp, smoothness=smoothness, strength=2 * smoothness, **still)
    moves = np.stack([np.asarray(read(jax.random.key(k), 4.0))[8:20, 8:20] - ramp[8:20, 8:20] for k in range(20)])
    rough = np.stack([np.asarray(read(jax.random.key(k), 0.5))[8:20, 8:20] - ramp[8:20, 8:20] for k in range(20)])
    together = lambda m: np.corrcoef(m[:, :, 1:].ravel(), m[:, :, :-1].ravel())[0, 1]
    assert together(moves) == pytest.approx(np.exp(-1 / (4 * 16)), abs=0.03)
    assert together(rough) < 0.5


@pytest.mark.parametrize("distortion", DISTORTIONS)
def test_a_distortion_is_the_same_compiled_and_for_many_and_has_a_gradient(distortion):
    keys, images = jax.random.split(jax.random.key(0), 3), np.stack([blob, blob[::-1], 2 * blob])
    alone = np.stack([distortion(key, image) for key, image in zip(keys, images, strict=True)])
    np.testing.assert_allclose(jax.jit(jax.vmap(distortion))(keys, images), alone, atol=1e-5)
    slopes = jax.grad(lambda image: distortion(keys[0], image)[14, 14])(jnp.asarray(blob))
    assert float(slopes.sum()) == pytest.approx(1, abs=1e-5)  # a pixel is a weighted mean of its neighbors


def test_moves_smoothed_over_nothing_are_refused(hundred):
    with pytest.raises(ValueError, match="got smoothness=0"):
        augment.elastic(jax.random.key(0), hundred.images[0], smoothness=0)
