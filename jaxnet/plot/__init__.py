"""Arrays to matplotlib Figures: nothing here shows, saves or prints; notebooks show them after `%matplotlib inline`."""

from jaxnet.plot.bars import by_layer, ranking
from jaxnet.plot.curves import history
from jaxnet.plot.gallery import confusion, cost_of_one, digits_read, mistakes_gallery, seen
from jaxnet.plot.maps import pixel_maps
from jaxnet.plot.network import MOST_EDGES, activations, edges
from jaxnet.plot.style import DARK, LIGHT, Theme

__all__ = [
    "DARK",
    "LIGHT",
    "MOST_EDGES",
    "Theme",
    "activations",
    "by_layer",
    "confusion",
    "cost_of_one",
    "digits_read",
    "edges",
    "history",
    "mistakes_gallery",
    "pixel_maps",
    "ranking",
    "seen",
]
