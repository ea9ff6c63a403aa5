"""Networks trained and scored on the test images, once, for the experiments that ask how many they read."""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float

from jaxnet import ensemble, losses, recipes, training
from jaxnet._types import Dataset
from jaxnet.walking import Seen


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
