"""Confident nonsense on show: what is read into noise, how surely, what helps, and the test of the blind weights."""

import numpy as np

from jaxnet.exhibits.framing import Exhibit, Moving
from jaxnet.experiments import noise
from jaxnet.experiments.findings import Arrays
from jaxnet.experiments.noise_view import TITLES
from jaxnet.plot.doubt import confidences, erased, nonsense_read, reliability, remedies
from jaxnet.report import Picture

NAMES = {
    "digits": "real digits", "uniform": "uniform noise", "gaussian": "Gaussian noise", "shuffled": "shuffled pixels",
    "inverted": "inverted", "shifted": "half out", "letters": "letters",
}  # fmt: skip


def pictures(arrays: Arrays) -> dict[str, Picture | Moving]:
    """From the arrays of `experiments.noise` to its pictures."""
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
        for told, name in (("never-lit pixels erased", "never-lit erased"), ("as many others erased", "lit erased"))
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
                sure=noise.SURE, title="What the film's network reads into nonsense",
            ),
            "Above every image: the network's answer and its strongest output, bold and in color from 90 % on. Gaussian noise has "
            "values outside the range of the picture; they are cut off.",
        ),
        "confidence": Picture(
            confidences(
                arrays["histogram"], arrays["edges"], arrays["confidence"][:, 0].mean(1), names, networks,
                title="How sure: of digits, and of what is none",
            ),
            f"The strongest output over all images and {seeds} networks of each kind; the tick and the number are the mean.",
        ),
        "remedies": Picture(
            remedies(
                auroc, right, [treatments[i].replace("taught", "learned from") for i in helping], names[1:], networks,
                title="What teaches it to doubt",
            ),
            "How often a real digit gets more confidence than a piece of nonsense, by what was done (50 % is a coin); below, "
            "the percentage of test digits that is then read correctly. Means over seeds.",
        ),
        "calibration": Picture(
            reliability(arrays["reliability"], networks, title="Can its confidence be believed on real digits?"),
            "Test digits by confidence, larger dots are more images; on the dotted line confidence is exactly right. The "
            "temperature was found on held-out training digits. All networks together: each alone is a little further off.",
        ),
        "blind": Picture(
            erased(
                arrays["dark"][film].reshape(arrays["shown"].shape[-2:]), changes, names, doses, sure, read,
                title="Are the weights from never-lit pixels to blame?",
            ),
            "Weights from pixels that no training image lights, set to zero, beside as many random others. Middle: the change of "
            "confidence, a dot a network. Right: pixels lit in at most 0, 0.1, 1 % of the images (as far as measured) erased.",
        ),
    }  # fmt: skip


exhibit = Exhibit(
    "noise",
    "What does it answer to nonsense, and what makes it doubt?",
    "Shown random noise it answers with confidence, since nothing in training gave it an incentive to be unsure.",
    noise.experiment,
    pictures,
)
