"""The pictures of `memorization`: true and shuffled labels, capacity, noise in the labels, and meaningless images."""

from jaxnet.experiments.entry import Entry, Moving
from jaxnet.experiments.findings import Arrays
from jaxnet.experiments.memorization import measurement
from jaxnet.experiments.memorization.controls import CONTROLS
from jaxnet.experiments.memorization.plots import capacity, corruption, falls
from jaxnet.plot.style import Picture


def pictures(arrays: Arrays) -> dict[str, Picture | Moving]:
    """The pictures from the arrays of `memorization`."""
    curves = {f"{kind} labels": (arrays[f"{kind}_steps"], arrays[f"{kind}_right"]) for kind in ("true", "shuffled")}
    five = zip(CONTROLS, arrays["control_steps"], arrays["control_right"], strict=True)
    shapes = zip(arrays["hidden"], arrays["parameters"], strict=True)
    return {
        "curves": Picture(
            falls(curves, title="Same start, same order: true labels and shuffled labels"),
            "The percentage of training labels that the network still has wrong, by step. The steps on the right are on a "
            "logarithmic scale. A line ends when 99.5 % are fitted. The dashed line is guessing.",
        ),
        "capacity": Picture(
            capacity(
                arrays["counts"], arrays["capacity"], [f"784-{hidden}-10 ({size:,})" for hidden, size in shapes],
                title="How many shuffled labels can a network fit?",
            ),
            "The percentage of shuffled labels that networks fit, by number of images. The key names the hidden layers, with the "
            "number of parameters in brackets. All networks take the same number of steps. Thin lines are single networks, bands "
            "are 95 % intervals. Dashed line: 99 %. Dotted line: guessing.",
        ),
        "noise": Picture(
            corruption(
                100 * arrays["shares"], arrays["noise_train"], arrays["noise_test"],
                title="What is remembered and what is known",
            ),
            "Networks trained on partly shuffled labels: the percentage of training labels that they fit, and the percentage of "
            "new images that they read correctly. Dashed line: the percentage of true labels.",
        ),
        "controls": Picture(
            falls(
                {name: (steps, right) for name, steps, right in five},
                title="Which nonsense is hard to remember?",
            ),
            "The five kinds of data of Zhang et al.: true labels; shuffled labels; the pixels of all images in one new order; the "
            "pixels of each image in an order of its own; images of normal noise. Thin lines are single networks, bands are 95 % "
            "intervals.",
        ),
    }  # fmt: skip


entry = Entry(
    "memorization",
    "Does it understand, or does it just memorize?",
    "A deep network trained on shuffled labels reaches the same training accuracy: it memorizes (Zhang et al. 2017).",
    measurement.experiment,
    pictures,
)
