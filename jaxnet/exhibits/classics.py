"""The classic networks, on show: every network a dot, the published error beside it."""

import jax
import numpy as np

from jaxnet import augment
from jaxnet.exhibits.framing import Exhibit, Moving
from jaxnet.experiments import classics
from jaxnet.experiments.findings import Arrays
from jaxnet.plot.gallery import captioned
from jaxnet.plot.spreads import seeds
from jaxnet.report import Picture


def pictures(arrays: Arrays) -> dict[str, Picture | Moving]:
    """From the arrays of `experiments.classics` to its picture."""
    names = arrays["names"].tolist()
    published = [classics.PROTOCOLS[name].error for name in names]
    return {
        "errors": Picture(
            seeds(
                dict(zip(names, arrays["error"], strict=True)), marks=published, unit="% of the test images misread",
                title="Classic networks, trained again",
            ),
            "Every dot is a network; the dashed mark is the published error.",
        )
    }  # fmt: skip


def with_distortions(arrays: Arrays) -> dict[str, Picture | Moving]:
    """The same, with a picture of what the distortions do to a few training images."""
    images = arrays["images"]
    keys = jax.random.split(jax.random.key(0), len(images))
    rows = [images, *(np.asarray(jax.vmap(f)(keys, images)) for f in (augment.affine, augment.elastic))]
    told = [text for text in ("as it is", "affine", "elastic") for _ in images]
    shown = Picture(
        captioned(np.concatenate(rows), told, title="The same digits, distorted"),
        "Above: eight training images; below: turned, scaled and slanted; and bent as on rubber. Drawn anew at every epoch.",
    )
    return {**pictures(arrays), "distortions": shown}


lecun = Exhibit(
    "lecun", "How well do the fully connected networks of 1998 read?",
    "LeCun, Bottou, Bengio and Haffner, 1998: one or two hidden layers, mean squared error, with and without distortions.",
    classics.lecun, with_distortions,
)  # fmt: skip
hinton = Exhibit(
    "hinton", "How well does a plain network read by 2005's means?",
    "Hinton, 2005: 500 + 300 hidden neurons, softmax, cross-entropy, weight decay.",
    classics.hinton, pictures,
)  # fmt: skip
simard = Exhibit(
    "simard", "How much do distorted digits help?",
    "Simard, Steinkraus and Platt, 2003: 800 hidden neurons, plain, with affine and with elastic distortions.",
    classics.simard, with_distortions,
)  # fmt: skip
ciresan = Exhibit(
    "ciresan", "How far does a big plain network with distortions go?",
    "Ciresan, Meier, Gambardella and Schmidhuber, 2010: 12 million weights, new deformations at every epoch, on a GPU.",
    classics.ciresan, with_distortions,
)  # fmt: skip
