"""The pictures of `minima`: cost by width, training cost against test cost, and the walls between solutions."""

from jaxnet.experiments.entry import Entry, Moving
from jaxnet.experiments.findings import Arrays
from jaxnet.experiments.minima import measurement
from jaxnet.experiments.minima.plots import agreement, by_width, walls
from jaxnet.plot.style import Picture


def pictures(arrays: Arrays) -> dict[str, Picture | Moving]:
    """Draw the pictures from the arrays of `minima`."""
    widths, count = arrays["widths"].tolist(), arrays["test"].shape[1]
    names = [f"{width} hidden" for width in widths]
    return {
        "by_width": Picture(
            by_width(
                widths, arrays["test"], cost="test cost (nats)",
                title=f"{count} networks of each width: where their descents ended",
            ),
            "Left: every dot is a network. Each network has its own random start. Right: the standard deviation of the costs, for "
            "each width.",
        ),
        "agreement": Picture(
            agreement(
                names, arrays["train"], arrays["test"], x="training cost", y="test cost",
                title="Does a better minimum on the training images also read new images better?",
            ),
            "Every dot is a network. The costs are in nats. In wider networks the correlation of the two costs is weaker.",
        ),
        "walls": Picture(
            walls(
                names, arrays["straight"], arrays["ordered"], cost="training cost (nats)",
                title="What lies between two solutions",
            ),
            "Every line is the training cost on the way from one trained network to another. One color shows the networks as they "
            "are. For the other color, the neurons of the second network are put into the order that fits the first network. This "
            "order does not change the outputs. The legend names the two colors.",
        ),
    }  # fmt: skip


entry = Entry(
    "minima",
    "Do networks find local minima that are about equally good?",
    "The local minima that networks tend to learn are of roughly equal quality (Choromanska et al. 2015).",
    measurement.experiment,
    pictures,
)
