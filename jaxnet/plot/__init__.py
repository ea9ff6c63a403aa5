"""Functions that draw arrays and return a matplotlib Figure.

No function shows, saves or prints a figure. A notebook shows figures after `%matplotlib inline`.
"""

from jaxnet.plot.animation import animate
from jaxnet.plot.attribution import gradient_by_label, loss_change_allocation, signals
from jaxnet.plot.bars import by_layer, ranking
from jaxnet.plot.curves import history
from jaxnet.plot.dot_plots import ladder, seeds, sizes
from jaxnet.plot.gallery import captioned, confusion, cost_of_one, digits_read, mistakes_gallery, network_inputs
from jaxnet.plot.maps import pixel_maps
from jaxnet.plot.network import MOST_EDGES, activations, edges
from jaxnet.plot.nudges import partial_step, predicted_measured, two_readings
from jaxnet.plot.style import DARK, LIGHT, Theme
from jaxnet.plot.sweeps import sweep

__all__ = [
    "DARK",
    "LIGHT",
    "MOST_EDGES",
    "Theme",
    "activations",
    "animate",
    "by_layer",
    "captioned",
    "confusion",
    "cost_of_one",
    "digits_read",
    "edges",
    "gradient_by_label",
    "history",
    "ladder",
    "loss_change_allocation",
    "mistakes_gallery",
    "network_inputs",
    "partial_step",
    "pixel_maps",
    "predicted_measured",
    "ranking",
    "seeds",
    "signals",
    "sizes",
    "sweep",
    "two_readings",
]
