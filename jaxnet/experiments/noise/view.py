"""Access to the arrays of the noise experiment by the names of their axes."""

from typing import Any

import numpy as np

from jaxnet.experiments.findings import Arrays, mean

BASIC = ("as trained", "temperature", "ensemble", "never-lit erased", "lit erased")
"""The treatments without new training. `never-lit erased` and its control, `lit erased`, belong to the causal test."""

CONFIDENT = 50.0
"""An answer counts as confident if the strongest output is at least this percentage. It is then closer to 1 than to 0."""

BETTER = 0.01
"""The smallest change of AUROC that counts as an improvement."""

TITLES = {
    "film": "film's network (sigmoids)",
    "softmax": "film's network with softmax",
    "wide": "256 hidden, ReLU, softmax",
}
"""The names of the networks in tables."""


class View:
    """The arrays of the experiment, with access by the names of the axes."""

    def __init__(self, arrays: Arrays):
        """Read the names of the axes."""
        self.arrays = arrays
        self.networks, self.treatments, self.sets = (
            [str(name) for name in arrays[axis]] for axis in ("networks", "treatments", "sets")
        )
        self.families = self.sets[1:]
        self.taught = [name for name in self.treatments if name.startswith("taught ")]

    def of(self, what: str, network: str, treatment: str, name: str = "") -> np.ndarray:
        """Return one quantity, (seed,). Ensembles have fewer values. Leave `name` out if the quantity has no axis of sets."""
        values = self.arrays[what][self.networks.index(network), self.treatments.index(treatment)]
        values = values[:, self.sets.index(name)] if name else values
        return values[np.isfinite(values)]

    def auroc(self, network: str, treatment: str, families: Any = None) -> np.ndarray:
        """Return the AUROC averaged over families, (seed,). If no families are given, the mean is over all families."""
        return np.mean([self.of("auroc", network, treatment, family) for family in families or self.families], axis=0)

    def change(self, what: str, network: str, treatment: str, name: str = "") -> np.ndarray:
        """Return how much a treatment changes a quantity, (seed,)."""
        return self.of(what, network, treatment, name) - self.of(what, network, "as trained", name)

    def guilty(self, network: str) -> bool:
        """Say whether confidence on uniform noise falls if never-lit pixels are erased, and falls more than in the control."""
        fall = mean("", -self.change("confidence", network, "never-lit erased", "uniform"))
        return fall.low > 0 and mean("", self.beyond_control(network)).low > 0

    def beyond_control(self, network: str) -> np.ndarray:
        """Return the fall of confidence on uniform noise without never-lit pixels, minus the fall in the control, (seed,)."""
        control, found = (
            self.change("confidence", network, f"{which} erased", "uniform") for which in ("lit", "never-lit")
        )
        return control - found


def called(name: str) -> str:
    """Return the name of a set of images for a sentence."""
    return {
        "digits": "real test digits", "uniform": "uniform noise", "gaussian": "Gaussian noise",
        "shuffled": "shuffled pixels of digits", "inverted": "inverted digits", "shifted": "digits half out of the frame",
        "letters": "printed letters",
    }.get(name, name)  # fmt: skip
