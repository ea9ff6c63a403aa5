"""The pictures of `accuracy`: the scatter over seeds, the tweaks, the layers, and the images that most networks misread."""

from jaxnet import plot
from jaxnet.experiments.accuracy import measurement
from jaxnet.experiments.entry import Entry, Moving
from jaxnet.experiments.findings import Arrays
from jaxnet.plot.style import Picture


def pictures(arrays: Arrays) -> dict[str, Picture | Moving]:
    """Draw the pictures from the arrays of `accuracy`."""
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
            "Every dot is a network. The tick is the mean, and the thick bar is its 95 % interval. The dashed line is the film's "
            "96 %.",
        ),
        "ladder": Picture(
            plot.ladder(
                ["film, rate 3", *(f"+ {name}" for name in measurement.TWEAKS)], arrays["ladder"],
                arrays["ladder"][-1] - arrays["without"], mark=98.0,
                unit="% of the test images read", title="What a few tweaks bring",
            ),
            "Left: one tweak is added after the other. Every dot is a network. Right: how many points are lost if one tweak is "
            "left out and all others stay.",
        ),
        "shapes": Picture(
            plot.sizes(
                arrays["parameters"], arrays["shapes"], arrays["hidden"].tolist(), unit="% of the test images read",
                title="Playing with the hidden layers",
            ),
            "Every dot is a network with ReLU, cross-entropy and Adam. The axis is the number of parameters, and the labels name "
            "the hidden layers.",
        ),
        "hard": Picture(
            plot.captioned(arrays["images"], captions, title=f"What {seeds} networks misread together"),
            "The test images that most networks misread. Above each image: its label → the most frequent wrong answer, and the "
            "percentage of the networks that misread the image.",
        ),
    }  # fmt: skip


entry = Entry(
    "accuracy",
    "How well does the network read new digits?",
    "The network reads about 96 % of new images correctly. Some of its mistakes are excusable. With tweaks it reaches 98 %.",
    measurement.experiment,
    pictures,
)
