"""The pictures of `memorization`: true and shuffled labels, capacity, noise in the labels, and meaningless images."""

from jaxnet.experiments.entry import Entry, Moving
from jaxnet.experiments.findings import Arrays
from jaxnet.experiments.memorization import measurement
from jaxnet.experiments.memorization.controls import CONTROLS
from jaxnet.experiments.memorization.plots import capacity, corruption, falls
from jaxnet.plot.style import Picture


def pictures(arrays: Arrays) -> dict[str, Picture | Moving]:
    """Draw the pictures from the arrays of `memorization`."""
    curves = {f"{kind} labels": (arrays[f"{kind}_steps"], arrays[f"{kind}_right"]) for kind in ("true", "shuffled")}
    five = zip(CONTROLS, arrays["control_steps"], arrays["control_right"], strict=True)
    shapes = zip(arrays["hidden"], arrays["parameters"], strict=True)
    return {
        "curves": Picture(
            falls(curves, title="Same start, same order: true labels and shuffled labels"),
            "The height is the percentage of training labels that the network still has wrong after each step. On the right the "
            "scale of steps is logarithmic. A line ends when 99.5 % of the labels are fitted. The dashed line is guessing.",
        ),
        "capacity": Picture(
            capacity(
                arrays["counts"], arrays["capacity"], [f"784-{hidden}-10 ({size:,})" for hidden, size in shapes],
                title="How many shuffled labels can a network fit?",
            ),
            "The height is the percentage of shuffled labels that networks fit, for each number of images. The key names the "
            "hidden layers, with the number of parameters in brackets. All networks take the same number of steps. Thin lines "
            "are single networks, and bands are 95 % intervals. The dashed line is at 99 %, and the dotted line is guessing.",
        ),
        "noise": Picture(
            corruption(
                100 * arrays["shares"], arrays["noise_train"], arrays["noise_test"],
                title="Remembered training labels and correctly read new images",
            ),
            "The networks are trained on partly shuffled labels. One line is the percentage of training labels that they fit, the "
            "other line is the percentage of new images that they read correctly. The dashed line is the percentage of true "
            "labels.",
        ),
        "controls": Picture(
            falls(
                {name: (steps, right) for name, steps, right in five},
                title="Which nonsense is hard to remember?",
            ),
            "Zhang et al. compare five kinds of data: true labels, shuffled labels, images with the same new order of "
            "pixels, images with a different order of pixels in each image, and images of normal noise. Thin lines are "
            "single networks, and bands are 95 % intervals.",
        ),
    }  # fmt: skip


entry = Entry(
    "memorization",
    "Does the network understand, or does it just memorize?",
    "A deep network that is trained on shuffled labels reaches the training accuracy of true labels. The network memorizes "
    "(Zhang et al. 2017).",
    measurement.experiment,
    pictures,
)
