"""How well does it read, on show: the spread over seeds, the ladder, the shapes, the images everybody misreads."""

from jaxnet import plot
from jaxnet.exhibits.framing import Exhibit, Moving
from jaxnet.experiments import accuracy
from jaxnet.experiments.findings import Arrays
from jaxnet.report import Picture


def pictures(arrays: Arrays) -> dict[str, Picture | Moving]:
    """From the arrays of `experiments.accuracy` to its pictures."""
    seeds = len(arrays["right"])
    captions = []
    for label, votes, count in zip(arrays["labels"], arrays["answers"], arrays["misread"][arrays["hard"]], strict=True):
        wrong = max((digit for digit in range(10) if digit != label), key=lambda digit: votes[digit])
        captions.append(f"{label} → {wrong}  {100 * count / seeds:.0f} %")
    return {
        "seeds": Picture(
            plot.seeds(
                {"test": arrays["right"], "training": arrays["train_right"]}, marks=[96.0], unit="% read correctly",
                title=f"The film's network from {seeds} random starts",
            ),
            "Every dot is a network; the tick is the mean, the thick bar its 95 % interval. The dashed line is the film's 96 %.",
        ),
        "ladder": Picture(
            plot.ladder(
                ["film, rate 3", *(f"+ {name}" for name in accuracy.TWEAKS)], arrays["ladder"],
                arrays["ladder"][-1] - arrays["without"], mark=98.0,
                unit="% of the test images read", title="A few tweaks, each with what it brings",
            ),
            "Left: one tweak after the other, every dot a network. Right: what is lost when that one is left out of all.",
        ),
        "shapes": Picture(
            plot.sizes(
                arrays["parameters"], arrays["shapes"], arrays["hidden"].tolist(), unit="% of the test images read",
                title="Playing with the hidden layers",
            ),
            "Networks with ReLU, cross-entropy and Adam by their number of parameters; the label gives the hidden layers.",
        ),
        "hard": Picture(
            plot.captioned(arrays["images"], captions, title=f"What {seeds} networks misread together"),
            "The test images that most networks misread: label → what most of the mistaken read, and how many are mistaken.",
        ),
    }  # fmt: skip


exhibit = Exhibit(
    "accuracy",
    "How well does it read digits it has never seen?",
    "About 96 % of new images are read correctly; for some of its mistakes you may cut it slack; with tweaks it reaches 98 %.",
    accuracy.experiment,
    pictures,
)
