"""The pictures of the classic networks. Every network is a dot, and the published error is a mark."""

import jax
import numpy as np

from jaxnet.core import augment
from jaxnet.experiments.classics import measurement
from jaxnet.experiments.entry import Entry, Moving
from jaxnet.experiments.findings import Arrays
from jaxnet.plot.dot_plots import seeds
from jaxnet.plot.gallery import captioned
from jaxnet.plot.style import Picture


def pictures(arrays: Arrays) -> dict[str, Picture | Moving]:
    """Draw the picture from the arrays of `classics`."""
    names = arrays["names"].tolist()
    published = [measurement.PROTOCOLS[name].error for name in names]
    return {
        "errors": Picture(
            seeds(
                dict(zip(names, arrays["error"], strict=True)), marks=published, unit="% of the test images misread",
                title="Classic networks, trained again",
            ),
            "Every dot is a network. The dashed mark is the published error.",
        )
    }  # fmt: skip


def with_distortions(arrays: Arrays) -> dict[str, Picture | Moving]:
    """Draw the pictures from the arrays of `classics`, with a picture of a few distorted training images."""
    images = arrays["images"]
    keys = jax.random.split(jax.random.key(0), len(images))
    rows = [images, *(np.asarray(jax.vmap(f)(keys, images)) for f in (augment.affine, augment.elastic))]
    told = [text for text in ("as it is", "affine", "elastic") for _ in images]
    shown = Picture(
        captioned(np.concatenate(rows), told, title="Digits and their distortions"),
        "Top row: eight training images. Middle: turned, scaled and slanted. Bottom: bent like rubber. Every epoch has new "
        "distortions.",
    )
    return {**pictures(arrays), "distortions": shown}


lecun = Entry(
    "lecun", "How well do the fully connected networks of 1998 read?",
    "LeCun, Bottou, Bengio and Haffner, 1998: one or two hidden layers, mean squared error, with and without distortions.",
    measurement.lecun, with_distortions,
)  # fmt: skip
hinton = Entry(
    "hinton", "How well does a plain network read with the methods of 2005?",
    "Hinton, 2005: 500 + 300 hidden neurons, softmax, cross-entropy, weight decay.",
    measurement.hinton, pictures,
)  # fmt: skip
simard = Entry(
    "simard", "How much do distorted digits help?",
    "Simard, Steinkraus and Platt, 2003: 800 hidden neurons, plain, with affine and with elastic distortions.",
    measurement.simard, with_distortions,
)  # fmt: skip
ciresan = Entry(
    "ciresan", "How far does a big plain network with distortions go?",
    "Ciresan, Meier, Gambardella and Schmidhuber, 2010: 12 million weights, new deformations at every epoch, on a GPU.",
    measurement.ciresan, with_distortions,
)  # fmt: skip
