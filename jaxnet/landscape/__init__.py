"""The cost as a landscape: descents of functions of one and two numbers, lines and planes through a cost of many."""

from jaxnet.landscape.shapes import bowl, hills, himmelblau, parabola, rosenbrock, saddle, two_wells
from jaxnet.landscape.slices import Principal, largest_rise, line, plane, principal, rescaled
from jaxnet.landscape.walks import Basins, Walk, basins, curvatures, descend

__all__ = [
    "Basins",
    "Principal",
    "Walk",
    "basins",
    "bowl",
    "curvatures",
    "descend",
    "hills",
    "himmelblau",
    "largest_rise",
    "line",
    "parabola",
    "plane",
    "principal",
    "rescaled",
    "rosenbrock",
    "saddle",
    "two_wells",
]
