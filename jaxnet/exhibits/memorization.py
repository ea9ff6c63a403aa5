"""Memorizing on show: true and shuffled labels, how much fits in, noise in the labels, and images without sense."""

from jaxnet.exhibits.framing import Exhibit, Moving
from jaxnet.experiments import memorization
from jaxnet.experiments.findings import Arrays
from jaxnet.experiments.memorization_controls import CONTROLS
from jaxnet.plot.memories import capacity, corruption, falls
from jaxnet.report import Picture


def pictures(arrays: Arrays) -> dict[str, Picture | Moving]:
    """From the arrays of `experiments.memorization` to its pictures."""
    curves = {f"{kind} labels": (arrays[f"{kind}_steps"], arrays[f"{kind}_right"]) for kind in ("true", "shuffled")}
    five = zip(CONTROLS, arrays["control_steps"], arrays["control_right"], strict=True)
    shapes = zip(arrays["hidden"], arrays["parameters"], strict=True)
    return {
        "curves": Picture(
            falls(curves, title="The same start, the same order: true labels and shuffled ones"),
            "Labels of the training images that the network still has wrong, left by step, right the same on a logarithmic "
            "scale; the line ends where 99.5 % are fitted. The dashed line is guessing.",
        ),
        "capacity": Picture(
            capacity(
                arrays["counts"], arrays["capacity"], [f"784-{hidden}-10 ({size:,})" for hidden, size in shapes],
                title="How many shuffled labels fit in",
            ),
            "Shuffled labels fitted by networks of several hidden layers, parameters in brackets, each with the same number "
            "of steps; thin lines are single networks, bands 95 % intervals. Dashed: 99 %; dotted: guessing.",
        ),
        "noise": Picture(
            corruption(
                100 * arrays["shares"], arrays["noise_train"], arrays["noise_test"],
                title="What is remembered and what is known",
            ),
            "Networks on labels of which a share was shuffled: how many of all of them they fit, and how much they read of new "
            "images. Dashed: the labels that are true.",
        ),
        "controls": Picture(
            falls(
                {name: (steps, right) for name, steps, right in five},
                title="Which nonsense is hard to remember?",
            ),
            "Zhang's five kinds of data: true and shuffled labels, all images with their pixels in one new order, each with an "
            "order of its own, and images of normal noise. Thin lines are single networks, bands 95 % intervals.",
        ),
    }  # fmt: skip


exhibit = Exhibit(
    "memorization",
    "Does it understand, or does it just memorize?",
    "A deep network trained on shuffled labels reaches the same training accuracy: it memorizes (Zhang et al. 2017).",
    memorization.experiment,
    pictures,
)
