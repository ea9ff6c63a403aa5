"""What experiments share: how many parameters a shape has, and networks trained and scored on the test images, once."""

import itertools
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from jaxnet import ensemble, losses, recipes, training
from jaxnet._types import Dataset
from jaxnet.walking import Seen


def parameters(hidden: Sequence[int]) -> int:
    """Weights and biases of a network that reads 784 pixels as ten digits through so many hidden neurons a layer.

    Examples:
        >>> parameters((16, 16))
        13002
    """
    return sum((before + 1) * after for before, after in itertools.pairwise((784, *hidden, 10)))


def trained(
    members: Sequence[recipes.Settings], dataset: Dataset, show: Callable[[Seen], None]
) -> tuple[ensemble.Results, Float[np.ndarray, "member"]]:
    """Train networks of one shape, each in its own order.

    Args:
        members: Settings that differ in what one program leaves open.
        dataset: What to learn from and to be scored on.
        show: Called with what there is to see.

    Returns:
        The results, and the percentage of the test images that each network reads.
    """
    results = ensemble.train_together(members, dataset, shared=False, evaluate_every=0, show=show)
    recipe = training.plan(members[0], dataset, drawn=False).recipe
    outputs = lambda i: losses.outputs(recipe.apply, results.params(i), dataset.test.images)
    right = [100 * float(losses.accuracy(outputs(i), dataset.test.labels)) for i in range(len(members))]
    return results, np.array(right)
