"""Nonsense keeps its promises: what stays of an image, what goes, and what a cost with nonsense added is made of."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnet import losses, metrics, network
from jaxnet.analysis import out_of_distribution
from jaxnet.core.types import Batch

KEY = jax.random.key(3)


@pytest.fixture(scope="module")
def digits(hundred):
    return np.asarray(hundred.images)[:20]


def test_shuffled_pixels_keep_each_images_histogram_and_every_image_has_its_own_order(digits):
    made = np.asarray(out_of_distribution.draw_many(out_of_distribution.shuffled, KEY, digits))
    histogram = lambda images: np.sort(images.reshape(len(images), -1), axis=1)
    np.testing.assert_array_equal(histogram(made), histogram(digits))
    assert (made != digits).any(axis=(1, 2)).all()
    drawn_again = np.random.default_rng(0).choice(digits.ravel(), digits.shape)  # pixels of the whole set: wrong
    assert (histogram(drawn_again) != histogram(digits)).any()
    ramp = np.tile(np.arange(784, dtype=np.float32).reshape(1, 28, 28), (2, 1, 1))
    first, second = out_of_distribution.draw_many(out_of_distribution.shuffled, KEY, ramp)
    assert (np.asarray(first) != np.asarray(second)).any()


def test_uniform_noise_takes_every_gray_alike_in_the_images_own_type(digits):
    made = np.asarray(out_of_distribution.draw_many(out_of_distribution.uniform, KEY, digits))
    assert made.dtype == np.uint8
    assert (made.min(), made.max()) == (0, 255)
    assert made.mean() == pytest.approx(127.5, abs=2)
    assert made.std() == pytest.approx(256 / np.sqrt(12), abs=1)
    floats = np.asarray(out_of_distribution.draw_many(out_of_distribution.uniform, KEY, digits.astype(np.float32)))
    assert floats.mean() == pytest.approx(0.5, abs=0.01)
    assert floats.max() <= 1


def test_gaussian_noise_is_the_papers_and_goes_below_black(digits):
    made = np.asarray(out_of_distribution.draw_many(out_of_distribution.gaussian, KEY, digits))
    assert made.mean() == pytest.approx(0, abs=0.05)
    assert made.std() == pytest.approx(1, abs=0.05)
    assert made.min() < -3


def test_inverting_twice_is_nothing_for_bytes_and_for_floats(digits):
    for images in (digits, digits.astype(np.float32) / 255):
        once = out_of_distribution.draw_many(out_of_distribution.inverted, KEY, images)
        assert once.dtype == images.dtype
        np.testing.assert_allclose(
            out_of_distribution.draw_many(out_of_distribution.inverted, KEY, once), images, atol=1e-6
        )
        assert float(once[0, 0, 0]) == (255 if images.dtype == np.uint8 else 1)


def test_a_shifted_digit_loses_about_half_and_what_is_left_is_its_own(digits):
    made = np.asarray(out_of_distribution.draw_many(out_of_distribution.shifted, KEY, digits))
    left = made.sum(dtype=float) / digits.sum(dtype=float)
    assert 0.35 < left < 0.75  # one that comes in again on the other side would keep all
    moves = [(down, across) for down in (-10, -9, -8, 8, 9, 10) for across in (-10, -9, -8, 8, 9, 10)]
    for image, moved in zip(digits, made, strict=True):
        wide = np.pad(image, 10)
        assert any((wide[10 + y : 38 + y, 10 + x : 38 + x] == moved).all() for y, x in moves)


def test_letters_fill_the_digits_frame_and_the_seed_decides_them():
    made = out_of_distribution.letters(5, 60)
    np.testing.assert_array_equal(made, out_of_distribution.letters(5, 60))
    assert (made != out_of_distribution.letters(6, 60)).any()
    lit = made > 60
    heights = lit.any(2).sum(1)
    assert 8 <= heights.min()  # noqa: SIM300
    assert heights.max() <= 26
    rows, columns = np.indices((28, 28))
    for axis in (rows, columns):
        centers = (lit * axis).sum((1, 2)) / lit.sum((1, 2))
        assert abs(centers.mean() - 13.5) < 1
        assert abs(centers - 13.5).max() < 6
    assert not set("0123456789BIOQSZbgloqsz") & set(out_of_distribution.LETTERS)


def test_doubt_wants_softmax_flat_and_is_cross_entropy_elsewhere():
    output = jnp.array([0.3, -1.0, 2.0])
    assert float(out_of_distribution.cross_entropy_or_doubt(output, 2)) == pytest.approx(
        float(losses.cross_entropy(output, 2))
    )
    slope = jax.grad(out_of_distribution.cross_entropy_or_doubt)(output, out_of_distribution.NOTHING)
    np.testing.assert_allclose(slope, jax.nn.softmax(output) - 1 / 3, atol=1e-6)
    as_the_last_class = jax.grad(losses.cross_entropy)(output, -1)  # what the plain loss makes of -1: wrong
    assert abs(np.asarray(slope) - np.asarray(as_the_last_class)).max() > 0.1


def test_squared_errors_want_every_output_dark_where_there_is_nothing():
    assert float(losses.squared_error(jnp.array([0.5, 0.0, 1.0]), out_of_distribution.NOTHING)) == pytest.approx(1.25)


def test_a_cost_with_nonsense_is_that_of_the_longer_batch(digits):
    params = network.init(jax.random.key(0), [784, 4, 10])
    cost = losses.average(network.apply, losses.squared_error)
    labels = np.arange(20) % 10
    both = out_of_distribution.with_outliers(cost, out_of_distribution.inverted, one_in=4)
    images = np.concatenate([digits, 255 - digits[:5]])
    by_hand = jax.jit(cost)(params, Batch(images, np.concatenate([labels, np.full(5, out_of_distribution.NOTHING)])))
    batch = Batch(digits, labels, KEY)
    assert float(both(params, batch)) == pytest.approx(float(by_hand), rel=1e-6)
    assert abs(float(both(params, batch)) - float(cost(params, batch))) > 1e-3
    new = [
        out_of_distribution.with_outliers(cost, out_of_distribution.uniform)(
            params, batch._replace(key=jax.random.key(k))
        )
        for k in (0, 1)
    ]
    assert float(new[0]) != float(new[1])


def test_a_cost_with_nonsense_needs_a_key_and_enough_images(digits):
    cost = out_of_distribution.with_outliers(
        losses.average(network.apply, losses.squared_error), out_of_distribution.uniform
    )
    params = network.init(jax.random.key(0), [784, 4, 10])
    for batch in (Batch(digits, np.zeros(20, int)), Batch(digits[:3], np.zeros(3, int), KEY)):
        with pytest.raises(ValueError, match="with a key and at least 4 images"):
            cost(params, batch)


def test_light_is_counted_by_pixel_and_a_shift_brings_it_to_the_neighbors():
    images = np.zeros((4, 5, 5), np.uint8)
    images[0, 1, 1] = images[1, 1, 1] = images[1, 4, 4] = 9
    share = out_of_distribution.lit_share(images)
    assert share[1, 1] == 0.5
    assert share[4, 4] == 0.25
    assert (share > 0).sum() == 2
    wide = out_of_distribution.lit_share(images, shift=1)
    assert (wide[:3, :3] == 0.5).all()
    assert (wide[3:, 3:] == 0.25).all()
    assert (wide > 0).sum() == 13


def test_sixty_seven_pixels_are_never_lit(mnist):
    assert (out_of_distribution.lit_share(mnist.train.images) == 0).sum() == 67


def test_erasing_never_lit_pixels_leaves_training_digits_alone_and_the_inverted_mask_does_not(hundred):
    dark = out_of_distribution.lit_share(hundred.images).ravel() == 0
    params = network.init(jax.random.key(1), [784, 16, 10])
    read = lambda params: np.asarray(metrics.predict(network.apply, params, hundred.images))
    np.testing.assert_array_equal(read(out_of_distribution.erase(params, dark)), read(params))
    assert abs(read(out_of_distribution.erase(params, ~dark)) - read(params)).max() > 0.01
    erased = out_of_distribution.erase(params, dark)
    assert not np.asarray(erased[0].weights)[:, dark].any()
    np.testing.assert_array_equal(erased[1].weights, params[1].weights)
