"""The noise experiment's arrays, asked by the names of their axes."""

from typing import Any

import numpy as np

from jaxnet.experiments.findings import Arrays, mean

BASIC = ("as trained", "temperature", "ensemble", "never-lit erased", "lit erased")
"""What is done to networks without training them again; `never-lit erased` and its control, `lit erased`, are the causal test."""

CONFIDENT = 50.0
"""An answer counts as confident where the strongest output is at least this, in percent: nearer to yes than to no."""

BETTER = 0.01
"""A change of AUROC that counts."""

TITLES = {
    "film": "film's network (sigmoids)",
    "softmax": "the same with softmax",
    "wide": "256 hidden, ReLU, softmax",
}
"""What the networks are called in tables."""


class View:
    """The arrays by the names of their axes."""

    def __init__(self, arrays: Arrays):
        """Remember the names."""
        self.arrays = arrays
        self.networks, self.treatments, self.sets = (
            [str(name) for name in arrays[axis]] for axis in ("networks", "treatments", "sets")
        )
        self.families = self.sets[1:]
        self.taught = [name for name in self.treatments if name.startswith("taught ")]

    def of(self, what: str, network: str, treatment: str, name: str = "") -> np.ndarray:
        """(seed,), one quantity; an ensemble's are fewer. Without a set, of a quantity that has none."""
        values = self.arrays[what][self.networks.index(network), self.treatments.index(treatment)]
        values = values[:, self.sets.index(name)] if name else values
        return values[np.isfinite(values)]

    def auroc(self, network: str, treatment: str, families: Any = None) -> np.ndarray:
        """(seed,), AUROC averaged over families, all of them if none are given."""
        return np.mean([self.of("auroc", network, treatment, family) for family in families or self.families], axis=0)

    def change(self, what: str, network: str, treatment: str, name: str = "") -> np.ndarray:
        """(seed,), what a treatment adds, network by network."""
        return self.of(what, network, treatment, name) - self.of(what, network, "as trained", name)

    def guilty(self, network: str) -> bool:
        """Whether confidence on uniform noise surely falls without never-lit pixels, and more than without as many others."""
        fall = mean("", -self.change("confidence", network, "never-lit erased", "uniform"))
        return fall.low > 0 and mean("", self.beyond_control(network)).low > 0

    def beyond_control(self, network: str) -> np.ndarray:
        """(seed,), how much more confidence on uniform noise falls without never-lit pixels than without as many others."""
        control, found = (
            self.change("confidence", network, f"{which} erased", "uniform") for which in ("lit", "never-lit")
        )
        return control - found


def called(name: str) -> str:
    """What a set of images is called in a sentence."""
    return {
        "digits": "real test digits", "uniform": "uniform noise", "gaussian": "Gaussian noise",
        "shuffled": "shuffled pixels of digits", "inverted": "inverted digits", "shifted": "digits half out of the frame",
        "letters": "printed letters",
    }.get(name, name)  # fmt: skip
