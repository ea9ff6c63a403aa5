"""Images without a digit, and a cost that trains on them. Pure functions of a key and one image make these images."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key, Shaped, UInt8

from jaxnet.core.augment import Pixels
from jaxnet.core.network import intensities
from jaxnet.core.types import Cost, Params

NOTHING = -1
"""The label of an image that shows no digit.

`jax.nn.one_hot` turns this label into zeros, so the squared error is smallest if every output is zero.
"""

LETTERS = "AEFHKMNPRUVWXfkmnrtwx"
"""Letters that cannot be mistaken for a digit."""


def uniform(key: Key[Array, ""], image: Pixels) -> Shaped[Array, "height width *channels"]:
    """Make noise of the image's shape and type. Every pixel is independent, and every gray level is equally likely."""
    if image.dtype == jnp.uint8:
        return jax.random.bits(key, image.shape, jnp.uint8)
    return jax.random.uniform(key, image.shape, image.dtype)


def gaussian(
    key: Key[Array, ""], image: Pixels, *, mean: float | int = 0.0, deviation: float | int = 1.0
) -> Float[Array, "height width *channels"]:
    """Make noise of the image's shape. Every pixel is independent and normally distributed. Black is 0 and white is 1.

    Nothing is clipped, so with mean 0 half of the pixels are darker than black. No camera takes such images, but the
    paper used them.

    Args:
        key: A typed random key.
        image: Only the shape of this image matters.
        mean: The mean of the pixels.
        deviation: The standard deviation of the pixels.

    Source: Hendrycks and Gimpel, "A baseline for detecting misclassified and out-of-distribution examples", 2017. The
    authors' notebook uses mean 0 and deviation 1.
    """
    return mean + deviation * jax.random.normal(key, image.shape, jnp.float32)


def shuffled(key: Key[Array, ""], image: Pixels) -> Shaped[Array, "height width *channels"]:
    """Put the image's pixels in a random order. The gray levels stay, but no digit can be seen."""
    places = image.shape[0] * image.shape[1]
    pixels = jnp.reshape(jnp.asarray(image), (places, *image.shape[2:]))
    return jax.random.permutation(key, pixels).reshape(image.shape)


def inverted(key: Key[Array, ""], image: Pixels) -> Shaped[Array, "height width *channels"]:
    """Exchange black and white. People still see the digit, but no training image looks like this. The key is not used."""
    return (255 if image.dtype == jnp.uint8 else 1) - jnp.asarray(image)


def shifted(
    key: Key[Array, ""], image: Pixels, *, least: int = 8, most: int = 10
) -> Shaped[Array, "height width *channels"]:
    """Move the image towards one of its four corners, so that about half of its digit is outside the frame.

    Args:
        key: A typed random key.
        image: One image, of any type.
        least: The shortest move along each axis, in pixels.
        most: The longest move along each axis, in pixels.
    """
    how_far, which_way = jax.random.split(key)
    far = jax.random.randint(how_far, (2,), least, most + 1, dtype=jnp.int32)
    move = far * (2 * jax.random.bernoulli(which_way, 0.5, (2,)).astype(jnp.int32) - 1)
    rows, columns = (jnp.arange(size) + part for size, part in zip(image.shape[:2], move, strict=True))
    outside = {"mode": "fill", "fill_value": 0, "wrap_negative_indices": False}
    return jnp.asarray(image).at[rows].get(**outside).at[:, columns].get(**outside)


FAMILIES: dict[str, Callable[..., Array]] = {
    f.__name__: f for f in (uniform, gaussian, shuffled, inverted, shifted)
}  # fmt: skip
"""The functions that make an image without a digit from any image, by name."""


def draw_many(
    family: Callable[..., Array], key: Key[Array, ""], images: Any
) -> Shaped[Array, "batch height width *channels"]:
    """Apply one of the functions in `FAMILIES` to every image of a batch. Each image gets its own random key."""
    return jax.jit(jax.vmap(family))(jax.random.split(key, len(images)), jnp.asarray(images))


def letters(seed: int, size: int, *, alphabet: str = LETTERS) -> UInt8[np.ndarray, "letters 28 28"]:
    """Make images of printed letters, white on black, in the format of MNIST's digits.

    The letters are turned, scaled and moved a little at random.

    Args:
        seed: The seed of the choice of letters and of the distortions.
        size: How many images to make.
        alphabet: The letters to choose from.

    Returns:
        Images whose letters fill about 20 x 20 pixels, like the digits.
    """
    from PIL import Image

    generator = np.random.default_rng(seed)
    glyphs = [_glyph(letter, bold) for letter in alphabet for bold in range(3)]
    drawn = np.zeros((size, 28, 28), np.uint8)
    for i, which in enumerate(generator.integers(len(glyphs), size=size)):
        turn, zoom = np.deg2rad(generator.uniform(-15, 15)), generator.uniform(0.8, 1.1)
        # The letter is drawn on 56 x 56 pixels, which are then reduced to 28 x 28. The letter moves by at most 4 of the
        # 56 pixels. These are 2 of the 28 pixels.
        across, down = generator.uniform(-4, 4, 2)
        # This map takes a pixel of the 56 x 56 picture, and gives the matching pixel of the glyph, which has 112 x 112.
        a, b = 2 * np.cos(turn) / zoom, 2 * np.sin(turn) / zoom
        back = (a, b, 56 - a * (28 + across) - b * (28 + down), -b, a, 56 + b * (28 + across) - a * (28 + down))
        fine = glyphs[which].transform((56, 56), Image.Transform.AFFINE, back, Image.Resampling.BILINEAR)
        drawn[i] = np.asarray(fine.reduce(2))
    return drawn


def _glyph(letter: str, bold: int) -> Any:
    """Draw one letter in the middle of 112 x 112 pixels. Its longer side has 80 pixels."""
    from PIL import Image, ImageDraw, ImageFont

    left, top, right, bottom = ImageFont.load_default(100).getbbox(letter)
    font = ImageFont.load_default(100 * 80 / max(right - left, bottom - top))
    page = Image.new("L", (112, 112))
    left, top, right, bottom = font.getbbox(letter)
    corner = (56 - (left + right) / 2, 56 - (top + bottom) / 2)
    ImageDraw.Draw(page).text(corner, letter, fill=255, font=font, stroke_width=bold)
    return page


def cross_entropy_or_doubt(output: Any, label: Any) -> Float[Array, ""]:
    """The cross-entropy of `losses.cross_entropy`, which also accepts the label `NOTHING`.

    For an image with this label, the loss is smallest if all classes are equally likely.

    Examples:
        >>> doubt = cross_entropy_or_doubt(jnp.zeros(10), NOTHING)
        >>> sure = cross_entropy_or_doubt(10.0 * jax.nn.one_hot(3, 10), NOTHING)
        >>> round(float(doubt), 3), float(sure) > float(doubt)
        (2.303, True)
    """
    output = jnp.asarray(output)
    classes = output.shape[-1]
    wanted = jnp.where(label == NOTHING, 1 / classes, jax.nn.one_hot(label, classes, dtype=output.dtype))
    return -jnp.sum(wanted * jax.nn.log_softmax(output))


def with_outliers(cost: Cost, family: Callable[..., Array], *, one_in: int = 4) -> Cost:
    """Make a cost that also trains on images without a digit. It adds new images, labeled `NOTHING`, to each batch.

    Args:
        cost: `cost(params, batch)` whose loss accepts the label `NOTHING`: squared errors or `cross_entropy_or_doubt`.
        family: The function that makes an image without a digit, such as `uniform`. The images are new at every step.
        one_in: How many digits there are for each added image.

    Returns:
        A cost of batches that carry a key. The new cost splits this key: one part makes the added images, and the given
        cost gets the other part.

    Raises:
        ValueError: The new cost raises this error if the batch carries no key or is too small.
    """
    inside = jax.jit(cost)  # inside jit labels are not checked, so NOTHING is accepted although it is not a class

    def cost_with_nonsense(params: Params, batch: Any) -> Any:
        extra = len(batch.labels) // one_in
        if batch.key is None or not extra:
            raise ValueError(
                f"adding one image without a digit for every {one_in} images needs a batch with a key and at least "
                f"{one_in} images, got {len(batch.labels)} images and key={batch.key}; "
                "data.shuffled(..., keyed=True) gives keys"
            )
        below, above = jax.random.split(batch.key)
        nonsense = jax.vmap(family)(jax.random.split(above, extra), batch.images[:extra])
        labels = jnp.asarray(batch.labels).astype(jnp.int32)
        return inside(
            params,
            batch._replace(
                images=jnp.concatenate([intensities(batch.images), intensities(nonsense)]),
                labels=jnp.concatenate([labels, jnp.full(extra, NOTHING, jnp.int32)]),
                key=below,
            ),
        )

    return cost_with_nonsense


def lit_share(images: Any, *, shift: int = 0) -> Float[np.ndarray, "height width"]:
    """For each pixel, the fraction of the images in which this pixel or a neighbor is not black, 0..1.

    Neighbors are all pixels at a distance of at most `shift` along each axis. If the fraction of a pixel is zero, the
    weights from this pixel have no gradient and always keep their random start.

    Args:
        images: (batch, height, width).
        shift: How far the training images are moved at most, in pixels. Such moves can light pixels that are otherwise
            always black.
    """
    images = np.asarray(images)
    total = np.zeros(images.shape[1:])
    for chunk in np.array_split(images > 0, max(1, len(images) // 5000)):
        lit = np.pad(chunk, ((0, 0), (shift, shift), (shift, shift)))
        height, width = images.shape[1:]
        moved = [
            lit[:, down : down + height, across : across + width]
            for down in range(2 * shift + 1)
            for across in range(2 * shift + 1)
        ]
        total += np.any(moved, axis=0).sum(0)
    return total / len(images)


def erase(params: Any, pixels: Bool[Array, "pixels"] | Bool[np.ndarray, "pixels"]) -> Any:
    """Set all weights from the given pixels to zero, so that the network ignores these pixels."""
    first, *others = params
    return (first._replace(weights=jnp.where(jnp.asarray(pixels)[None, :], 0, first.weights)), *others)
