"""Arrays to matplotlib Figures: nothing here shows, saves or prints; notebooks show them after `%matplotlib inline`."""

from jaxnet.plot.bars import by_layer, ranking
from jaxnet.plot.credits import credit, signals, tug_of_war
from jaxnet.plot.curves import history
from jaxnet.plot.evidence import budget, predicted_measured, two_readings
from jaxnet.plot.films import film
from jaxnet.plot.gallery import captioned, confusion, cost_of_one, digits_read, mistakes_gallery, seen
from jaxnet.plot.maps import pixel_maps
from jaxnet.plot.network import MOST_EDGES, activations, edges
from jaxnet.plot.spreads import ladder, seeds, sizes
from jaxnet.plot.style import DARK, LIGHT, Theme
from jaxnet.plot.sweeps import sweep

__all__ = [
    "DARK",
    "LIGHT",
    "MOST_EDGES",
    "Theme",
    "activations",
    "budget",
    "by_layer",
    "captioned",
    "confusion",
    "cost_of_one",
    "credit",
    "digits_read",
    "edges",
    "film",
    "history",
    "ladder",
    "mistakes_gallery",
    "pixel_maps",
    "predicted_measured",
    "ranking",
    "seeds",
    "seen",
    "signals",
    "sizes",
    "sweep",
    "tug_of_war",
    "two_readings",
]
