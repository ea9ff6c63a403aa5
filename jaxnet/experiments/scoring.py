"""Shared functions of the experiments. They count parameters, train networks and score them on the test images."""

import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from jaxnet import training
from jaxnet.core import metrics
from jaxnet.core.types import Dataset
from jaxnet.training import config, ensemble
from jaxnet.training.progress import OnProgress


def parameters(hidden: Sequence[int]) -> int:
    """Count the weights and biases of a network with 784 inputs, these hidden layers and ten outputs.

    Examples:
        >>> parameters((16, 16))
        13002
    """
    return sum((before + 1) * after for before, after in itertools.pairwise((784, *hidden, 10)))


def trained(
    members: Sequence[config.TrainConfig], dataset: Dataset, on_progress: OnProgress
) -> tuple[ensemble.Results, Float[np.ndarray, "member"]]:
    """Train networks with the same layers; each network has its own order of the images.

    Args:
        members: The settings of the networks. They may only differ in numbers that a compiled program takes as arguments.
        dataset: The images for training and for scoring.
        on_progress: Called with the progress.

    Returns:
        The results, and the percentage of the test images that each network recognizes correctly.
    """
    results = ensemble.train_together(members, dataset, shared=False, evaluate_every=0, on_progress=on_progress)
    functions = training.plan(members[0], dataset, drawn=False).functions
    outputs = lambda i: metrics.predict(functions.apply, results.params(i), dataset.test.images)
    right = [100 * float(metrics.accuracy(outputs(i), dataset.test.labels)) for i in range(len(members))]
    return results, np.array(right)
