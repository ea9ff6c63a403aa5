"""Equal minima, on show: cost by width, training against test cost, and the walls between solutions."""

from jaxnet.exhibits.framing import Exhibit, Moving
from jaxnet.experiments import minima
from jaxnet.experiments.findings import Arrays
from jaxnet.plot.valleys import agreement, by_width, walls
from jaxnet.report import Picture


def pictures(arrays: Arrays) -> dict[str, Picture | Moving]:
    """From the arrays of `experiments.minima` to its pictures."""
    widths, count = arrays["widths"].tolist(), arrays["test"].shape[1]
    names = [f"{width} hidden" for width in widths]
    return {
        "by_width": Picture(
            by_width(
                widths, arrays["test"], cost="test cost (nats)",
                title=f"{count} networks of each width: where their descents ended",
            ),
            "Every dot is a network, trained from its own random start; right, how far those of one width lie apart.",
        ),
        "agreement": Picture(
            agreement(
                names, arrays["train"], arrays["test"], x="training cost", y="test cost",
                title="Does the better minimum on the training images also read new ones better?",
            ),
            "Every dot is a network; costs in nats. The wider the network, the less the one says about the other.",
        ),
        "walls": Picture(
            walls(
                names, arrays["straight"], arrays["ordered"], cost="training cost (nats)",
                title="What lies between two solutions",
            ),
            "The training cost on the straight line from one trained network to another: once as the networks are, and once "
            "after the neurons of the second are put into the order that fits the first. The new order changes nothing that "
            "the network computes. The legend names the two colors.",
        ),
    }  # fmt: skip


exhibit = Exhibit(
    "minima",
    "Are the local minima that networks find of about equal quality?",
    "The local minima that networks tend to learn are of roughly equal quality (Choromanska et al. 2015).",
    minima.experiment,
    pictures,
)
