"""The pictures of `sensitivity`: learning in one epoch, and the gradient through training."""

import numpy as np

from jaxnet.experiments.entry import Entry, Moving
from jaxnet.experiments.findings import Arrays
from jaxnet.experiments.memorization.plots import difficulty, inequality
from jaxnet.experiments.sensitivity import measurement
from jaxnet.plot.gallery import captioned
from jaxnet.plot.style import Picture


def pictures(arrays: Arrays) -> dict[str, Picture | Moving]:
    """Draw the pictures from the arrays of `sensitivity`."""
    slopes = arrays["sensitivity"][0, 0]
    order = np.argsort(-slopes, kind="stable")
    shown = np.concatenate([order[:16], order[-8:]])
    captions = [f"{slopes[i] / np.median(slopes):.2g} ×" for i in shown]
    return {
        "easy": Picture(
            difficulty(
                dict(zip(measurement.KINDS, arrays["learned"][0], strict=True)), int(arrays["networks"]),
                title="How often each example is learned in one epoch",
            ),
            "The height is the percentage of networks that have learned an example after one epoch. The examples are "
            "sorted from hard to easy. A dashed line is the expected result if all examples are equally hard. "
            "The picture shows the first repetition.",
        ),
        "gini": Picture(
            inequality(
                dict(zip(measurement.KINDS, arrays["gini_after"], strict=True)),
                title="How unequal is the importance of examples?",
            ),
            "The picture shows how unequally the final cost depends on single examples. The measure is the gradient through "
            "all training steps. At 0 all examples are equally important. Every thin line is a network, and bands are 95 % "
            "intervals.",
        ),
        "digits": Picture(
            captioned(
                arrays["images"][shown], captions, title="The most important digits, and (last row) the least important ones"
            ),
            "The number above each digit is its loss-sensitivity divided by the median. The first two rows have the largest "
            "values. The last row has the smallest values.",
        ),
    }  # fmt: skip


entry = Entry(
    "sensitivity",
    "Can a network learn patterns in real digits that are missing in noise?",
    "Networks learn patterns in real data, but they learn random data example by example (Arpit et al. 2017).",
    measurement.experiment,
    pictures,
)
