"""Data with nothing to understand: labels shuffled, pixels shuffled, pixels of noise; and the test that a shuffle shuffles."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Num

Labels = Int[np.ndarray, "image"]
Images = Num[np.ndarray, "image height width"]


CONTROLS = ("true labels", "shuffled labels", "same pixels moved", "own pixels moved", "noise images")
"""Zhang's five kinds of data, here of digits; the last three have true labels."""


class Shuffle(NamedTuple):
    """How much new labels still say about the old ones.

    Attributes:
        unchanged: The share of labels that stayed what they were, in percent.
        expected: The same by chance: the labels that a stranger with the same frequencies would have.
        doubt: The probability of a table of old against new at least as uneven as this, were they independent.
    """

    unchanged: float
    expected: float
    doubt: float


def shuffled(labels: Labels, seed: int, share: float | int = 1) -> Labels:
    """Labels of which a share, chosen at random, is dealt out anew among themselves: every digit stays as frequent.

    Args:
        labels: The true ones.
        seed: Decides which and how; a larger share moves all that a smaller one moves.
        share: From 0 for none to 1 for all.

    Raises:
        ValueError: If the share is not between 0 and 1.

    Source: Zhang et al. 2017, section 2.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"the share to shuffle lies between 0 and 1, got {share}")
    generator = np.random.default_rng(seed)
    moved = generator.permutation(len(labels))[: round(share * len(labels))]
    noisy = np.array(labels)
    noisy[moved] = labels[moved[generator.permutation(len(moved))]]
    return noisy


def judge_shuffle(before: Labels, after: Labels) -> Shuffle:
    """Whether new labels are independent of the old: by Pearson's chi-squared test of the table of one against the other.

    Counting unchanged labels is not enough: every label moved on by one leaves none unchanged and hides nothing.

    Raises:
        ValueError: If there is not one new label for each old one.
    """
    from scipy import stats

    if len(before) != len(after):
        raise ValueError(f"{len(before)} labels need as many new ones, got {len(after)}")
    old, first = np.unique(before, return_inverse=True)
    new, second = np.unique(after, return_inverse=True)
    table = np.zeros((len(old), len(new)))
    np.add.at(table, (first, second), 1)
    chance = sum((before == label).mean() * (after == label).mean() for label in old)
    _, doubt, _, _ = stats.chi2_contingency(table, correction=False)
    return Shuffle(100 * float((before == after).mean()), 100 * float(chance), float(np.asarray(doubt)))


def same_pixels_moved(images: Images, seed: int) -> Images:
    """Every image with its pixels in one new order, the same for all: a pattern still, though none for the eye."""
    order = np.random.default_rng(seed).permutation(images[0].size)
    return images.reshape(len(images), -1)[:, order].reshape(images.shape)


def own_pixels_moved(images: Images, seed: int) -> Images:
    """Every image with its pixels in a new order of its own: nothing is left but how many are lit."""
    mixed = np.random.default_rng(seed).permuted(images.reshape(len(images), -1), axis=1)
    return mixed.reshape(images.shape)


def noise(images: Images, seed: int) -> Num[np.ndarray, "image height width"]:
    """Images of normal noise with the mean and the deviation of all pixels; intensities, as floats that may leave 0..1."""
    values = images / 255 if images.dtype == np.uint8 else images
    drawn = np.random.default_rng(seed).normal(values.mean(), values.std(), values.shape)
    return drawn.astype(np.float32)
