"""How sure a network is, and how well this matches its accuracy: confidence, entropy, AUROC, calibration, temperature."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from jaxnet.core.losses import require_labels

BINS = 15
"""The number of bins of a reliability diagram, as in Guo et al. (2017)."""


def _real(numbers: Any, what: str = "outputs and logits") -> np.ndarray:
    """Convert to double precision. Complex numbers are refused, because numpy would drop their imaginary part."""
    if np.iscomplexobj(numbers):
        raise ValueError(
            f"{what} must be real numbers, got complex ones; take their real part or their magnitude first"
        )
    try:
        values = np.asarray(numbers).astype(np.float64)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{what} must be an array of numbers, got {type(numbers).__name__}") from error
    if numbers is None or not values.ndim:
        raise ValueError(f"{what} must be an array of numbers, got {numbers!r}")
    return values


def probabilities(
    logits: Any, *, independent: bool = False, temperature: Any = 1.0
) -> Float[np.ndarray, "... classes"]:
    """Turn logits into outputs in 0..1, in double precision.

    In single precision, the most confident outputs would all become 1.

    Args:
        logits: (..., classes), the last layer's weighted sums.
        independent: Whether to take a sigmoid of each logit, as in the film. If not, the softmax is taken, so that the
            outputs sum to 1.
        temperature: The logits are divided by this number. If the number is above 1, the network becomes less sure. The
            class with the largest output stays the same.

    Raises:
        ValueError: If a temperature is not positive.
    """
    from scipy import special

    if not np.all(np.asarray(temperature) > 0):
        raise ValueError(f"a temperature must be positive, got {temperature}")
    scaled = _real(logits) / temperature
    return special.expit(scaled) if independent else special.softmax(scaled, axis=-1)


def confidence(outputs: Any) -> Float[np.ndarray, "..."]:
    """The largest output, 0..1."""
    return np.asarray(_real(outputs).max(-1))


def normalized(outputs: Any) -> Float[np.ndarray, "... classes"]:
    """Divide outputs by their sum, so that they can be understood as probabilities.

    Raises:
        ValueError: If an output is negative. Logits can be negative.
    """
    outputs = _real(outputs)
    if (outputs < 0).any():
        raise ValueError(
            f"only outputs that are not negative become probabilities, got {np.nanmin(outputs):g}; "
            "pass logits through `probabilities` first"
        )
    return outputs / np.maximum(outputs.sum(-1, keepdims=True), np.finfo(np.float64).tiny)


def entropy(outputs: Any) -> Float[np.ndarray, "..."]:
    """The entropy of normalized outputs, in bits. It is 0 for one certain answer, and log2(10) = 3.32 for ten equal outputs.

    Examples:
        >>> entropy([[0.5, 0.5], [1.0, 0.0]]).tolist()
        [1.0, 0.0]
    """
    shares = normalized(outputs)
    return np.asarray(np.sum(shares * -np.log2(np.where(shares > 0, shares, 1)), axis=-1) + 0.0)


def disagreement(outputs: Any) -> Float[np.ndarray, "image"]:
    """How much of an ensemble's entropy comes from disagreement between its members, in bits.

    The result is the entropy of the members' mean minus the mean of the members' entropies. It is 0 if all members give
    equal outputs, whether they are sure or not.

    Args:
        outputs: (member, image, classes).

    Source: for ensembles, Lakshminarayanan et al., "Simple and scalable predictive uncertainty estimation using deep
    ensembles", 2017; for this measure, Houlsby et al., 2011.
    """
    shares = normalized(outputs)
    return entropy(shares.mean(0)) - entropy(shares).mean(0)


def auroc(inside: Any, outside: Any) -> float:
    """The probability that a random number of `inside` is larger than a random number of `outside`. Ties count half.

    If the result is 1, a limit separates the two groups without a mistake. If it is 0.5, the numbers do not separate
    the groups at all. If it is below 0.5, the numbers of `outside` are usually larger.

    Args:
        inside: The confidences for digits.
        outside: The confidences for images that are not digits.

    Raises:
        ValueError: If `inside` or `outside` is empty.

    Examples:
        >>> auroc([0.9, 0.8], [0.8, 0.1])
        0.875
    """
    from scipy import stats

    inside, outside = (_real(side, "confidences").ravel() for side in (inside, outside))
    if not (len(inside) and len(outside)):
        raise ValueError(f"AUROC needs at least one number in each group, got {len(inside)} and {len(outside)}")
    ranks = stats.rankdata(np.concatenate([inside, outside]))[: len(inside)]
    return float((ranks.sum() - len(inside) * (len(inside) + 1) / 2) / (len(inside) * len(outside)))


class Reliability(NamedTuple):
    """Confidence compared with accuracy, in bins of equal width over 0..1.

    Attributes:
        images: The number of images in each bin.
        confidence: The mean confidence in each bin. For an empty bin, it is 0.
        right: The fraction of each bin's images that are recognized correctly. For an empty bin, it is 0.
    """

    images: Int[np.ndarray, "bins"]
    confidence: Float[np.ndarray, "bins"]
    right: Float[np.ndarray, "bins"]


def reliability(confidences: Any, right: Any, *, bins: int = BINS) -> Reliability:
    """Put images into bins by confidence. The last bin includes confidence 1.

    Args:
        confidences: (image,), 0..1.
        right: (image,), whether each image was recognized correctly.
        bins: The number of bins.

    Raises:
        ValueError: If a confidence is not between 0 and 1, or if the two arrays are empty or have different lengths.

    Source: Guo et al., "On calibration of modern neural networks", 2017.
    """
    confidences, right = _real(confidences, "confidences"), _real(right, "readings")
    if confidences.ndim != 1 or confidences.shape != right.shape or not len(right):
        raise ValueError(
            "confidences and right must have one axis each and the same length, "
            f"got shapes {confidences.shape} and {right.shape}"
        )
    if not ((confidences >= 0) & (confidences <= 1 + 1e-6)).all():
        low, high = confidences.min(), confidences.max()
        raise ValueError(f"confidences must be between 0 and 1, got {low:g} to {high:g}; divide percentages by 100")
    where = np.minimum((confidences * bins).astype(int), bins - 1)
    total = lambda weights: np.bincount(where, weights, minlength=bins)
    images = np.bincount(where, minlength=bins)
    return Reliability(
        images, total(confidences) / np.maximum(images, 1), total(right) / np.maximum(images, 1)
    )  # fmt: skip


def expected_calibration_error(confidences: Any, right: Any, *, bins: int = BINS) -> float:
    """The mean difference between confidence and accuracy over the bins of `reliability`, 0..1.

    Each bin is weighted by its number of images.

    Source: Naeini et al., 2015; Guo et al., 2017 ("expected calibration error").
    """
    found = reliability(confidences, right, bins=bins)
    return float(np.sum(found.images * np.abs(found.confidence - found.right)) / len(np.asarray(confidences)))


def nll(logits: Any, labels: Any, temperature: float | int, *, independent: bool = False) -> float:
    """The mean cross-entropy at a temperature, in nats.

    The outputs are the softmax of the logits. If `independent` is true, the outputs are sigmoids, and their
    cross-entropies are added.

    Raises:
        ValueError: If there is not one label for each row of logits, or if a label is not one of the logits' classes.
    """
    scaled = _real(logits) / temperature
    require_labels(labels, scaled.shape[-1])
    if scaled.shape[:-1] != np.shape(labels):
        raise ValueError(f"there must be one label for each row of logits, got {len(labels)} for shape {scaled.shape}")
    chosen = np.take_along_axis(scaled, np.asarray(labels, int)[:, None], -1)[:, 0]
    each = np.logaddexp(0, scaled).sum(-1) if independent else np.logaddexp.reduce(scaled, axis=-1)
    return float(np.mean(each - chosen))


def fit_temperature(logits: Any, labels: Any, *, independent: bool = False) -> float:
    """Find the temperature with the lowest cross-entropy. The search covers temperatures from 0.05 to 20.

    Args:
        logits: (image, classes), from images that were not used for training.
        labels: (image,).
        independent: Whether the outputs are sigmoids.

    Source: Guo et al., "On calibration of modern neural networks", 2017.
    """
    from scipy import optimize

    cost = lambda log: nll(logits, labels, np.exp(log), independent=independent)
    found = optimize.minimize_scalar(cost, bounds=(-3, 3), method="bounded")
    return float(np.exp(found.x))  # pyright: ignore[reportAttributeAccessIssue]
