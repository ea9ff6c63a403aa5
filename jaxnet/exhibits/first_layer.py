"""What the first layer learned, on show: the maps, what fits them, and how far they are from chance."""

import numpy as np

from jaxnet import plot, structure
from jaxnet.exhibits.framing import Exhibit, Moving
from jaxnet.experiments import first_layer
from jaxnet.experiments.findings import Arrays
from jaxnet.experiments.first_layer_known import AMPLITUDES
from jaxnet.plot.structures import against_chance, map_rows, qualified
from jaxnet.report import Picture

MORAN, FIT = "Moran's I: neighboring pixels alike, 0 to 1", "what the best edge explains, % of a map's variance"


def pictures(arrays: Arrays) -> dict[str, Picture | Moving]:
    """From the arrays of `experiments.first_layer` to its pictures."""
    lit, maps = arrays["lit"], lambda name: arrays[f"{name}_maps"]
    labels, controls = list(first_layer.CONTROLS.values()), list(first_layer.CONTROLS)
    of = lambda field, scale: [scale * arrays[f"{name}_{field}"] for name in controls]
    found = {
        name: 100 * (arrays["planted_p"][:, i] <= first_layer.LEVEL).mean(-1) for i, name in enumerate(first_layer.BARS)
    }
    trained = maps("trained")
    fitted = {
        "trained": (np.where(lit, trained, 0), lit),
        "shifted": (np.where(lit, maps("shifted"), 0), lit),
        "filters": (maps("filters"), np.ones(maps("filters").shape[1:], bool)),
    }
    rows = {}
    for name, (values, mask) in fitted.items():
        rows[first_layer.CONTROLS[name]] = values
        rows[f"best edges ({name})"] = structure.best_edges(values, mask)[0]
    shown = ("start", "everywhere", "trained", "decayed", "shifted", "loud", "filters")
    return {
        "maps": Picture(
            plot.pixel_maps(
                trained.reshape(len(trained), -1), image_shape=lit.shape,
                title="What each neuron of the film's network looks for",
            ),
            "The weights into each of the 16 neurons of the first hidden layer, of the first network, at their pixels.",
        ),
        "side by side": Picture(
            map_rows(
                {first_layer.CONTROLS[name]: maps(name) for name in shown},
                masks={first_layer.CONTROLS["trained"]: lit}, title="The first layer, before and after",
            ),
            "Eight neurons of one network a row: blue weights are positive, orange negative; every row has its own scale. "
            "Gray pixels are never lit in any training image, so their weights keep their random start.",
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
            "Every dot is a network, the tick their mean, the thick bar its 95 % interval. The bars below reach from the 5th to "
            "the 95th percentile of the same maps with shuffled pixels, and of random blobs that are as smooth. Filters are small: "
            "of 25 pixels an edge explains much by chance.",
        ),
        "best edges": Picture(
            map_rows(rows, title="The edges that fit best"),
            "Maps of eight neurons, and under each the edge that explains most of it, at the strength that fits best.",
        ),
        "the measure": Picture(
            qualified(
                dict(zip([*found], arrays["random_p"], strict=False)), AMPLITUDES, found,
                level=first_layer.LEVEL, title="The measure put to the test",
            ),
            "Left: random networks, in which there is nothing to find; an honest test lies on the diagonal. Right: one straight "
            f"edge planted in every random map, {arrays['planted_p'].shape[-1]} networks an amplitude.",
        ),
    }  # fmt: skip


exhibit = Exhibit(
    "first_layer",
    "What did the first layer learn?",
    "The weights look almost random, with some very loose patterns in the middle, not edges. Pause and think: what would you "
    "change so that it picks up edges and patterns?",
    first_layer.experiment,
    pictures,
)
