"""Nielsen's book, on show."""

from jaxnet.exhibits.framing import Exhibit, Moving
from jaxnet.experiments import nielsen
from jaxnet.experiments.findings import Arrays
from jaxnet.plot.spreads import seeds
from jaxnet.report import Picture


def pictures(arrays: Arrays) -> dict[str, Picture | Moving]:
    """From the arrays of `experiments.nielsen` to its picture."""
    names = arrays["names"].tolist()
    published = [nielsen.NETWORKS[name][1] for name in names]
    groups = dict(zip((name.replace(", rate", ",\nrate", 1) for name in names), arrays["right"], strict=True))
    return {
        "nielsen": Picture(
            seeds(groups, marks=published, unit="% of the test images read", title="The networks of Nielsen's book"),
            "Every dot is a run by his settings, none chosen; the dashed mark is the figure in his book, the best of his runs.",
        )
    }


exhibit = Exhibit(
    "nielsen",
    "Do the networks of Nielsen's book do what the book says?",
    "The film recommends Michael Nielsen's book, whose code and data anybody can download and play with.",
    nielsen.experiment,
    pictures,
)
