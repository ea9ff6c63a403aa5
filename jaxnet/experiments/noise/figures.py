"""The pictures of `noise`: answers to noise, confidence, remedies, calibration, and the test of never-lit pixels."""

import numpy as np

from jaxnet.experiments.entry import Entry, Moving
from jaxnet.experiments.findings import Arrays
from jaxnet.experiments.noise import measurement
from jaxnet.experiments.noise.plots import confidences, erased, nonsense_read, reliability, remedies
from jaxnet.experiments.noise.view import TITLES
from jaxnet.plot.style import Picture

NAMES = {
    "digits": "real digits", "uniform": "uniform noise", "gaussian": "Gaussian noise", "shuffled": "shuffled pixels",
    "inverted": "inverted", "shifted": "half out", "letters": "letters",
}  # fmt: skip


def pictures(arrays: Arrays) -> dict[str, Picture | Moving]:
    """Draw the pictures from the arrays of `noise`."""
    networks = [TITLES[str(name)] for name in arrays["networks"]]
    treatments = [str(name) for name in arrays["treatments"]]
    names = [NAMES.get(str(name), str(name)) for name in arrays["sets"]]
    film, seeds = list(arrays["networks"]).index("film"), arrays["right"].shape[-1]
    helping = [i for i, name in enumerate(treatments) if not name.endswith("erased")]
    auroc = np.nanmean(arrays["auroc"][:, helping, :, 1:], axis=2)
    right = np.nanmean(arrays["right"][:, helping], axis=2)
    confidence = arrays["confidence"][film]
    changes = {
        told: (confidence[treatments.index(name)] - confidence[0]).T
        for told, name in (
            ("never-lit pixels erased", "never-lit erased"),
            ("equally many others erased", "lit erased"),
        )
    }
    uniform = names.index("uniform noise")
    untouched = confidence[0, :, uniform].mean(), arrays["right"][film, 0].mean()
    doses = [0, *arrays["rare_pixels"][film]]
    sure = np.stack([[untouched[0], *of] for of in arrays["rare_confidence"][film, ..., uniform].mean(-1).T])
    read = np.stack([[untouched[1], *of] for of in arrays["rare_right"][film].mean(-1).T])
    return {
        "read": Picture(
            nonsense_read(
                arrays["shown"], arrays["shown_answers"][film], arrays["shown_confidence"][film], names,
                sure=measurement.SURE, title="What the film's network reads into nonsense",
            ),
            "The text above every image gives the network's answer and its strongest output. The text is bold and "
            "colored if the output is at least 90 %. Gaussian noise has values outside the range of the picture. These "
            "values are cut off.",
        ),
        "confidence": Picture(
            confidences(
                arrays["histogram"], arrays["edges"], arrays["confidence"][:, 0].mean(1), names, networks,
                title="Confidence on digits, and on images without a digit",
            ),
            f"Every curve is the distribution of the strongest output over all images and {seeds} networks of one kind. The tick "
            "and the number beside the tick are the mean.",
        ),
        "remedies": Picture(
            remedies(
                auroc, right, [treatments[i].replace("taught", "learned from") for i in helping], names[1:], networks,
                title="What teaches a network to doubt?",
            ),
            "The axis shows how often a real digit gets more confidence than an image of nonsense; 50 % is guessing. Every "
            "treatment has a mark. The key gives the percentage of test digits that are read correctly after the "
            "treatment. All numbers are means over seeds.",
        ),
        "calibration": Picture(
            reliability(arrays["reliability"], networks, title="Can you trust the confidence on real digits?"),
            "Every dot is a group of test digits with similar confidence. A larger dot has more images. On the "
            "dotted line confidence and accuracy are equal. The temperature was fitted on held-out training digits. The "
            "picture pools all networks. A single network has a slightly larger error.",
        ),
        "blind": Picture(
            erased(
                arrays["dark"][film].reshape(arrays["shown"].shape[-2:]), changes, names, doses, sure, read,
                title="Are the weights from never-lit pixels to blame?",
            ),
            "The weights from pixels that are never lit in training are set to zero. The control sets the weights from equally "
            "many other pixels to zero. Middle: the change of confidence. Every dot is a network. Right: the pixels that are lit "
            "in at most 0, 0.1 or 1 % of the images are erased. With quick settings only the limit 0 is used.",
        ),
    }  # fmt: skip


entry = Entry(
    "noise",
    "What does the network answer to nonsense, and what makes the network doubt?",
    "The network answers random noise with confidence, because nothing in training gave it an incentive to be unsure.",
    measurement.experiment,
    pictures,
)
