"""How sure a network is, and whether it may be: confidence, doubt, telling digits from nonsense, calibration, temperature."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxnet.losses import require_labels

BINS = 15
"""Bins of a reliability diagram, as Guo et al. (2017) took."""


def _real(numbers: Any, what: str = "outputs and logits") -> np.ndarray:
    """In double precision; complex numbers are refused, of which numpy would drop a part."""
    if np.iscomplexobj(numbers):
        raise ValueError(f"{what} are real numbers, got complex ones; take their real part or size first")
    try:
        values = np.asarray(numbers).astype(np.float64)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{what} are an array of numbers, got {type(numbers).__name__}") from error
    if numbers is None or not values.ndim:
        raise ValueError(f"{what} are an array of numbers, got {numbers!r}")
    return values


def answers(logits: Any, *, independent: bool = False, temperature: Any = 1.0) -> Float[np.ndarray, "... classes"]:
    """Logits as the outputs that a person looks at, in double precision: in single precision the surest ones all become 1.

    Args:
        logits: (..., classes), the last layer's weighted sums.
        independent: Sigmoids, each output on its own, as in the film; otherwise softmax, which sums to 1.
        temperature: What the logits are divided by: above 1 the network is less sure. The strongest output stays the same.

    Raises:
        ValueError: If a temperature is not positive.
    """
    from scipy import special

    if not np.all(np.asarray(temperature) > 0):
        raise ValueError(f"a temperature must be positive, got {temperature}")
    scaled = _real(logits) / temperature
    return special.expit(scaled) if independent else special.softmax(scaled, axis=-1)


def confidence(outputs: Any) -> Float[np.ndarray, "..."]:
    """The strongest output, 0..1."""
    return np.asarray(_real(outputs).max(-1))


def normalized(outputs: Any) -> Float[np.ndarray, "... classes"]:
    """Outputs divided by their sum, to be read as probabilities.

    Raises:
        ValueError: If an output is negative, as logits may be.
    """
    outputs = _real(outputs)
    if (outputs < 0).any():
        raise ValueError(
            f"outputs to be read as probabilities are not negative, got {np.nanmin(outputs):g}; pass logits through `answers`"
        )
    return outputs / np.maximum(outputs.sum(-1, keepdims=True), np.finfo(np.float64).tiny)


def entropy(outputs: Any) -> Float[np.ndarray, "..."]:
    """The doubt in normalized outputs, in bits: 0 for one certain answer, log2(10) = 3.32 where all ten are alike.

    Examples:
        >>> entropy([[0.5, 0.5], [1.0, 0.0]]).tolist()
        [1.0, 0.0]
    """
    shares = normalized(outputs)
    return np.asarray(np.sum(shares * -np.log2(np.where(shares > 0, shares, 1)), axis=-1) + 0.0)


def disagreement(outputs: Any) -> Float[np.ndarray, "image"]:
    """How much of an ensemble's doubt is its members' contradicting each other, in bits.

    The entropy of the mean less the mean of the entropies: 0 where all members answer alike, sure or not.

    Args:
        outputs: (member, image, classes).

    Source: Lakshminarayanan et al., "Simple and scalable predictive uncertainty estimation using deep ensembles", 2017,
    for ensembles; Houlsby et al., 2011, for this measure.
    """
    shares = normalized(outputs)
    return entropy(shares.mean(0)) - entropy(shares).mean(0)


def auroc(inside: Any, outside: Any) -> float:
    """The probability that a number of `inside` is larger than one of `outside`; ties count half.

    1 tells them apart without a mistake, 0.5 is a coin, below 0.5 the wrong ones are larger.

    Args:
        inside: Confidences on digits.
        outside: Confidences on what is none.

    Raises:
        ValueError: If one of them is empty.

    Examples:
        >>> auroc([0.9, 0.8], [0.8, 0.1])
        0.875
    """
    from scipy import stats

    inside, outside = (_real(side, "confidences").ravel() for side in (inside, outside))
    if not (len(inside) and len(outside)):
        raise ValueError(f"telling apart needs numbers on both sides, got {len(inside)} and {len(outside)}")
    ranks = stats.rankdata(np.concatenate([inside, outside]))[: len(inside)]
    return float((ranks.sum() - len(inside) * (len(inside) + 1) / 2) / (len(inside) * len(outside)))


class Reliability(NamedTuple):
    """Confidence against what it is worth, in bins of equal width over 0..1.

    Attributes:
        images: How many fall into each bin.
        confidence: Their mean confidence; 0 for an empty bin.
        right: The share of them that is read correctly; 0 for an empty bin.
    """

    images: Int[np.ndarray, "bins"]
    confidence: Float[np.ndarray, "bins"]
    right: Float[np.ndarray, "bins"]


def reliability(confidences: Any, right: Any, *, bins: int = BINS) -> Reliability:
    """Put images into bins by confidence, the last one closed at 1.

    Args:
        confidences: (image,), 0..1.
        right: (image,), whether each was read correctly.
        bins: How many.

    Raises:
        ValueError: If a confidence is not between 0 and 1, or the two rows are empty or not of one length.

    Source: Guo et al., "On calibration of modern neural networks", 2017.
    """
    confidences, right = _real(confidences, "confidences"), _real(right, "readings")
    if confidences.ndim != 1 or confidences.shape != right.shape or not len(right):
        raise ValueError(
            f"confidences and whether each was right are two rows of one length, got shapes {confidences.shape} and {right.shape}"
        )
    if not ((confidences >= 0) & (confidences <= 1 + 1e-6)).all():
        low, high = confidences.min(), confidences.max()
        raise ValueError(f"confidences lie between 0 and 1, got {low:g} to {high:g}; divide percentages by 100")
    where = np.minimum((confidences * bins).astype(int), bins - 1)
    total = lambda weights: np.bincount(where, weights, minlength=bins)
    images = np.bincount(where, minlength=bins)
    return Reliability(
        images, total(confidences) / np.maximum(images, 1), total(right) / np.maximum(images, 1)
    )  # fmt: skip


def calibration_error(confidences: Any, right: Any, *, bins: int = BINS) -> float:
    """How far confidence is from the share that is right: the gaps of `reliability`, weighted by images; 0..1.

    Source: Naeini et al., 2015; Guo et al., 2017 ("expected calibration error").
    """
    found = reliability(confidences, right, bins=bins)
    return float(np.sum(found.images * np.abs(found.confidence - found.right)) / len(np.asarray(confidences)))


def doubt_cost(logits: Any, labels: Any, temperature: float | int, *, independent: bool = False) -> float:
    """The mean cross-entropy at a temperature, in nats: of softmax, or summed over sigmoids that each say yes or no.

    Raises:
        ValueError: If labels are no classes of these logits, or not one for each row.
    """
    scaled = _real(logits) / temperature
    require_labels(labels, scaled.shape[-1])
    if scaled.shape[:-1] != np.shape(labels):
        raise ValueError(f"there must be one label for each row of logits, got {len(labels)} for shape {scaled.shape}")
    chosen = np.take_along_axis(scaled, np.asarray(labels, int)[:, None], -1)[:, 0]
    each = np.logaddexp(0, scaled).sum(-1) if independent else np.logaddexp.reduce(scaled, axis=-1)
    return float(np.mean(each - chosen))


def best_temperature(logits: Any, labels: Any, *, independent: bool = False) -> float:
    """The temperature with the lowest cross-entropy on images held out of training; looked for between 0.05 and 20.

    Args:
        logits: (image, classes).
        labels: (image,).
        independent: Whether the outputs are sigmoids.

    Source: Guo et al., "On calibration of modern neural networks", 2017.
    """
    from scipy import optimize

    cost = lambda log: doubt_cost(logits, labels, np.exp(log), independent=independent)
    found = optimize.minimize_scalar(cost, bounds=(-3, 3), method="bounded")
    return float(np.exp(found.x))  # pyright: ignore[reportAttributeAccessIssue]
