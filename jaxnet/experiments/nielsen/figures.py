"""The picture of `nielsen`."""

from jaxnet.experiments.entry import Entry, Moving
from jaxnet.experiments.findings import Arrays
from jaxnet.experiments.nielsen import measurement
from jaxnet.plot.dot_plots import seeds
from jaxnet.plot.style import Picture


def pictures(arrays: Arrays) -> dict[str, Picture | Moving]:
    """Draw the picture from the arrays of `nielsen`."""
    names = arrays["names"].tolist()
    published = [measurement.NETWORKS[name][1] for name in names]
    groups = dict(zip((name.replace(", rate", ",\nrate", 1) for name in names), arrays["right"], strict=True))
    return {
        "nielsen": Picture(
            seeds(groups, marks=published, unit="% of the test images read", title="The networks of Nielsen's book"),
            "Every dot is a run with the settings of the book. All runs are shown. The dashed mark is the number in the book, "
            "from the best of Nielsen's runs.",
        )
    }


entry = Entry(
    "nielsen",
    "Do the networks of Nielsen's book reach the numbers of the book?",
    "The film recommends Michael Nielsen's book. Anybody can download the book's code and data and play with them.",
    measurement.experiment,
    pictures,
)
