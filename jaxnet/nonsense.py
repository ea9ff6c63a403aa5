"""Images that show no digit, each a pure keyed function of one image, and a cost that trains on them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key, Shaped, UInt8

from jaxnet._types import Cost, Params
from jaxnet.augment import Pixels
from jaxnet.network import intensities

NOTHING = -1
"""The label of an image that shows no digit: `jax.nn.one_hot` makes zeros of it, so squared errors want every output at zero."""

LETTERS = "AEFHKMNPRUVWXfkmnrtwx"
"""Letters that nobody takes for a digit."""


def uniform(key: Key[Array, ""], image: Pixels) -> Shaped[Array, "height width *channels"]:
    """Noise of the image's shape and type: every pixel on its own, every gray equally likely."""
    if image.dtype == jnp.uint8:
        return jax.random.bits(key, image.shape, jnp.uint8)
    return jax.random.uniform(key, image.shape, image.dtype)


def gaussian(
    key: Key[Array, ""], image: Pixels, *, mean: float | int = 0.0, deviation: float | int = 1.0
) -> Float[Array, "height width *channels"]:
    """Noise of the image's shape: every pixel on its own from a normal distribution, where black is 0 and white 1.

    Nothing is clipped, so half of the pixels are darker than black: no camera takes such an image, but the paper did.

    Args:
        key: A typed random key.
        image: Only its shape matters.
        mean: Of the pixels.
        deviation: Of the pixels.

    Source: Hendrycks and Gimpel, "A baseline for detecting misclassified and out-of-distribution examples", 2017; mean 0 and
    deviation 1 are those of the authors' notebook.
    """
    return mean + deviation * jax.random.normal(key, image.shape, jnp.float32)


def shuffled(key: Key[Array, ""], image: Pixels) -> Shaped[Array, "height width *channels"]:
    """The image's own pixels in an order of its own: the same grays, nothing to read."""
    places = image.shape[0] * image.shape[1]
    pixels = jnp.reshape(jnp.asarray(image), (places, *image.shape[2:]))
    return jax.random.permutation(key, pixels).reshape(image.shape)


def inverted(key: Key[Array, ""], image: Pixels) -> Shaped[Array, "height width *channels"]:
    """Black for white. A person reads it at once; nothing in training looked like it. The key is not used."""
    return (255 if image.dtype == jnp.uint8 else 1) - jnp.asarray(image)


def shifted(
    key: Key[Array, ""], image: Pixels, *, least: int = 8, most: int = 10
) -> Shaped[Array, "height width *channels"]:
    """The image moved towards one of the four corners, so that about half of its digit is out of the frame.

    Args:
        key: A typed random key.
        image: One image, of any type.
        least: The shortest move along each axis, in pixels.
        most: The longest.
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
"""What can be made of any image."""


def many(
    family: Callable[..., Array], key: Key[Array, ""], images: Any
) -> Shaped[Array, "batch height width *channels"]:
    """One image of nonsense for each of a batch, each by its own part of the key."""
    return jax.jit(jax.vmap(family))(jax.random.split(key, len(images)), jnp.asarray(images))


def letters(seed: int, size: int, *, alphabet: str = LETTERS) -> UInt8[np.ndarray, "letters 28 28"]:
    """Printed letters, white on black, in the digits' format: turned, scaled and moved a little at random.

    Args:
        seed: Decides letters and distortions.
        size: How many images.
        alphabet: The letters to draw from.

    Returns:
        Images that fill about 20 x 20 pixels, as the digits do.
    """
    from PIL import Image

    generator = np.random.default_rng(seed)
    glyphs = [_glyph(letter, bold) for letter in alphabet for bold in range(3)]
    drawn = np.zeros((size, 28, 28), np.uint8)
    for i, which in enumerate(generator.integers(len(glyphs), size=size)):
        turn, zoom = np.deg2rad(generator.uniform(-15, 15)), generator.uniform(0.8, 1.1)
        across, down = generator.uniform(-4, 4, 2)  # of 56 pixels: two of the image's 28
        # From a pixel of the image, twice as fine, back to a pixel of the glyph, four times as fine.
        a, b = 2 * np.cos(turn) / zoom, 2 * np.sin(turn) / zoom
        back = (a, b, 56 - a * (28 + across) - b * (28 + down), -b, a, 56 + b * (28 + across) - a * (28 + down))
        fine = glyphs[which].transform((56, 56), Image.Transform.AFFINE, back, Image.Resampling.BILINEAR)
        drawn[i] = np.asarray(fine.reduce(2))
    return drawn


def _glyph(letter: str, bold: int) -> Any:
    """One letter in the middle of 112 x 112 pixels, its longer side 80 of them."""
    from PIL import Image, ImageDraw, ImageFont

    left, top, right, bottom = ImageFont.load_default(100).getbbox(letter)
    font = ImageFont.load_default(100 * 80 / max(right - left, bottom - top))
    page = Image.new("L", (112, 112))
    left, top, right, bottom = font.getbbox(letter)
    corner = (56 - (left + right) / 2, 56 - (top + bottom) / 2)
    ImageDraw.Draw(page).text(corner, letter, fill=255, font=font, stroke_width=bold)
    return page


def cross_entropy_or_doubt(output: Any, label: Any) -> Float[Array, ""]:
    """`losses.cross_entropy`, but an image that shows `NOTHING` wants every answer equally likely; outputs are logits.

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


def added(cost: Cost, family: Callable[..., Array], *, one_in: int = 4) -> Cost:
    """The same cost on batches with nonsense added: one new image, labeled `NOTHING`, for every so many digits.

    Args:
        cost: `cost(params, batch)` whose loss knows the label `NOTHING`, as squared errors and `cross_entropy_or_doubt` do.
        family: Makes nonsense of an image, such as `uniform`; new at every step.
        one_in: Digits for each image of nonsense.

    Returns:
        A cost of batches that carry a key; the cost below gets a key of its own.

    Raises:
        ValueError: From the new cost, if the batch carries no key or is too small.
    """
    inside = jax.jit(cost)  # there a label is not looked at: NOTHING is no class

    def cost_with_nonsense(params: Params, batch: Any) -> Any:
        extra = len(batch.labels) // one_in
        if batch.key is None or not extra:
            raise ValueError(
                f"adding one image of nonsense to every {one_in} needs a batch of at least {one_in} with a key, got "
                f"{len(batch.labels)} images and key={batch.key}; data.shuffled(..., keyed=True) gives keys"
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
    """How often each pixel, or one within `shift` of it, is not black: the share of the images, 0..1.

    Zero means never: the weights from there have no gradient and keep their random start for ever.

    Args:
        images: (batch, height, width).
        shift: The farthest move of training images, in pixels, which may bring light where there was none.
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
    """The network with all weights from the given pixels set to zero: it no longer looks there."""
    first, *others = params
    return (first._replace(weights=jnp.where(jnp.asarray(pixels)[None, :], 0, first.weights)), *others)
