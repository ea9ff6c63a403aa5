"""Data without meaning: shuffled labels, shuffled pixels and noise. A function tests whether the labels are well shuffled."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Num

Labels = Int[np.ndarray, "image"]
Images = Num[np.ndarray, "image height width"]


CONTROLS = ("true labels", "shuffled labels", "same pixels moved", "own pixels moved", "noise images")
"""The five kinds of data of Zhang et al., here with digits. The last three kinds have true labels."""


class Shuffle(NamedTuple):
    """How much new labels depend on the old labels.

    Attributes:
        unchanged: The share of unchanged labels, in percent.
        expected: The share of unchanged labels by chance, if new and old labels are independent, in percent.
        doubt: The p-value. It is the probability that independent labels have a table (old against new) that is at
            least as uneven.
    """

    unchanged: float
    expected: float
    doubt: float


def shuffled(labels: Labels, seed: int, share: float | int = 1) -> Labels:
    """Shuffle a random share of the labels among themselves. Every digit keeps its frequency.

    Args:
        labels: The true labels.
        seed: The seed of the choice and of the shuffle. With one seed, the choice for a larger share contains the
            choice for a smaller share.
        share: The share of labels to shuffle, from 0 for none to 1 for all.

    Raises:
        ValueError: If the share is not between 0 and 1.

    Source: Zhang et al. 2017, section 2.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"the share to shuffle must be between 0 and 1, got {share}")
    generator = np.random.default_rng(seed)
    moved = generator.permutation(len(labels))[: round(share * len(labels))]
    noisy = np.array(labels)
    noisy[moved] = labels[moved[generator.permutation(len(moved))]]
    return noisy


def judge_shuffle(before: Labels, after: Labels) -> Shuffle:
    """Test whether new labels are independent of the old labels, by Pearson's chi-squared test of their table.

    The number of unchanged labels is not enough. Example: if every label grows by one, no label is unchanged, but the old
    labels are still known.

    Raises:
        ValueError: If the numbers of old and new labels differ.
    """
    from scipy import stats

    if len(before) != len(after):
        raise ValueError(f"{len(before)} labels need as many new labels, got {len(after)}")
    old, first = np.unique(before, return_inverse=True)
    new, second = np.unique(after, return_inverse=True)
    table = np.zeros((len(old), len(new)))
    np.add.at(table, (first, second), 1)
    chance = sum((before == label).mean() * (after == label).mean() for label in old)
    _, doubt, _, _ = stats.chi2_contingency(table, correction=False)
    return Shuffle(100 * float((before == after).mean()), 100 * float(chance), float(np.asarray(doubt)))


def same_pixels_moved(images: Images, seed: int) -> Images:
    """Put the pixels of all images into one new order. Patterns remain, but the eye does not see them."""
    order = np.random.default_rng(seed).permutation(images[0].size)
    return images.reshape(len(images), -1)[:, order].reshape(images.shape)


def own_pixels_moved(images: Images, seed: int) -> Images:
    """Put the pixels of every image into an order of its own. Only the set of intensities remains."""
    mixed = np.random.default_rng(seed).permuted(images.reshape(len(images), -1), axis=1)
    return mixed.reshape(images.shape)


def noise(images: Images, seed: int) -> Num[np.ndarray, "image height width"]:
    """Draw images of normal noise with the mean and standard deviation of all pixels. The floats can be outside 0..1."""
    values = images / 255 if images.dtype == np.uint8 else images
    drawn = np.random.default_rng(seed).normal(values.mean(), values.std(), values.shape)
    return drawn.astype(np.float32)
