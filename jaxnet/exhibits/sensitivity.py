"""Easy examples and the ones that count, on show: what one epoch teaches, and the gradient back through training."""

import numpy as np

from jaxnet.exhibits.framing import Exhibit, Moving
from jaxnet.experiments import sensitivity
from jaxnet.experiments.findings import Arrays
from jaxnet.plot.gallery import captioned
from jaxnet.plot.memories import difficulty, inequality
from jaxnet.report import Picture


def pictures(arrays: Arrays) -> dict[str, Picture | Moving]:
    """From the arrays of `experiments.sensitivity` to its pictures."""
    slopes = arrays["sensitivity"][0, 0]
    order = np.argsort(-slopes, kind="stable")
    shown = np.concatenate([order[:16], order[-8:]])
    captions = [f"{slopes[i] / np.median(slopes):.2g} ×" for i in shown]
    return {
        "easy": Picture(
            difficulty(
                dict(zip(sensitivity.KINDS, arrays["learned"][0], strict=True)), int(arrays["networks"]),
                title="How often each example is learned in one epoch",
            ),
            "How many of the networks had learned each example after one epoch, the examples sorted; a dashed line is what "
            "equally hard examples would give by chance. First repetition.",
        ),
        "gini": Picture(
            inequality(
                dict(zip(sensitivity.KINDS, arrays["gini_after"], strict=True)),
                title="How unequally the examples count",
            ),
            "How unequally the cost after training depends on single examples, by the gradient through all steps until then; "
            "0 is all alike. Thin lines are networks, bands 95 % intervals.",
        ),
        "digits": Picture(
            captioned(
                arrays["images"][shown], captions, title="The digits that count most, and (last row) least"
            ),
            "Above each digit its loss-sensitivity as a multiple of the median: two rows of the largest, one of the smallest.",
        ),
    }  # fmt: skip


exhibit = Exhibit(
    "sensitivity",
    "Are there patterns to learn in real digits that noise does not have?",
    "Real data is learned by its patterns, random data example by example (Arpit et al. 2017).",
    sensitivity.experiment,
    pictures,
)
