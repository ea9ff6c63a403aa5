"""The pictures of `first_layer`: the maps, the edges that fit best, and the comparison with chance."""

import numpy as np

from jaxnet import plot
from jaxnet.analysis import spatial
from jaxnet.experiments.entry import Entry, Moving
from jaxnet.experiments.findings import Arrays
from jaxnet.experiments.first_layer import measurement
from jaxnet.experiments.first_layer.controls import AMPLITUDES
from jaxnet.experiments.first_layer.plots import against_chance, map_rows, qualified
from jaxnet.plot.style import Picture

MORAN, FIT = "Moran's I: similarity of neighboring pixels, 0 to 1", "the best edge explains (% of a map's variance)"


def pictures(arrays: Arrays) -> dict[str, Picture | Moving]:
    """Draw the pictures from the arrays of `first_layer`."""
    lit, maps = arrays["lit"], lambda name: arrays[f"{name}_maps"]
    labels, controls = list(measurement.CONTROLS.values()), list(measurement.CONTROLS)
    of = lambda field, scale: [scale * arrays[f"{name}_{field}"] for name in controls]
    found = {
        name: 100 * (arrays["planted_p"][:, i] <= measurement.LEVEL).mean(-1) for i, name in enumerate(measurement.BARS)
    }
    trained = maps("trained")
    fitted = {
        "trained": (np.where(lit, trained, 0), lit),
        "shifted": (np.where(lit, maps("shifted"), 0), lit),
        "filters": (maps("filters"), np.ones(maps("filters").shape[1:], bool)),
    }
    rows = {}
    for name, (values, mask) in fitted.items():
        rows[measurement.CONTROLS[name]] = values
        rows[f"best edges ({name})"] = spatial.best_edges(values, mask)[0]
    shown = ("start", "everywhere", "trained", "decayed", "shifted", "loud", "filters")
    return {
        "maps": Picture(
            plot.pixel_maps(
                trained.reshape(len(trained), -1), image_shape=lit.shape,
                title="What each neuron of the film's network looks for",
            ),
            "The picture shows the weights into each of the 16 neurons of the first hidden layer. Each weight is drawn at the "
            "place of its pixel. The maps are from the first network.",
        ),
        "side by side": Picture(
            map_rows(
                {measurement.CONTROLS[name]: maps(name) for name in shown},
                masks={measurement.CONTROLS["trained"]: lit}, title="The first layer, before and after",
            ),
            "Each row shows eight neurons of one network. Blue weights are positive, and orange weights are negative. Every row "
            "has its own scale. Gray pixels are zero in all training images, so their weights keep their random start.",
        ),
        "measures": Picture(
            against_chance(
                labels, {MORAN: of("moran", 1), FIT: of("fit", 100)},
                {
                    MORAN: {"shuffled pixels": of("shuffled_moran", 1), "equally smooth blobs": of("blobs_moran", 1)},
                    FIT: {"shuffled pixels": of("shuffled_fit", 100), "equally smooth blobs": of("blobs_fit", 100)},
                },
                title="Random, blobs or edges",
            ),
            "Every dot is a network. The tick is the mean, and the thick bar is its 95 % interval. The two bars below "
            "show results by chance, from the 5th to the 95th percentile. One bar is for the maps with shuffled pixels, the other "
            "bar is for random blobs with equal smoothness. Filters have only 25 pixels, so an edge explains much of a filter by "
            "chance.",
        ),
        "best edges": Picture(
            map_rows(rows, title="The edges that fit best"),
            "The picture shows maps of eight neurons. The image below each map is the edge that explains most of the "
            "map's variance. The edge has the best strength.",
        ),
        "the measure": Picture(
            qualified(
                dict(zip([*found], arrays["random_p"], strict=False)), AMPLITUDES, found,
                level=measurement.LEVEL, title="The test of the measure",
            ),
            "Left: random networks. They have no structure. A valid test lies on the diagonal. Right: random maps with one "
            f"straight planted edge each. Every amplitude has {arrays['planted_p'].shape[-1]} networks.",
        ),
    }  # fmt: skip


entry = Entry(
    "first_layer",
    "What did the first layer learn?",
    "The weights look almost random, with some very loose patterns in the middle, not edges. Pause and think: what would you "
    "change so that the network picks up edges and patterns?",
    measurement.experiment,
    pictures,
)
