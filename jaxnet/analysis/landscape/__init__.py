"""Show the cost as a landscape: descents on functions of one or two numbers, and lines and planes through any cost."""

from jaxnet.analysis.landscape.descents import Basins, Walk, basins, curvatures, descend
from jaxnet.analysis.landscape.slices import PrincipalComponents, filter_normalized, largest_rise, line, pca, plane
from jaxnet.analysis.landscape.test_functions import bowl, hills, himmelblau, parabola, rosenbrock, saddle, two_wells

__all__ = [
    "Basins",
    "PrincipalComponents",
    "Walk",
    "basins",
    "bowl",
    "curvatures",
    "descend",
    "filter_normalized",
    "hills",
    "himmelblau",
    "largest_rise",
    "line",
    "parabola",
    "pca",
    "plane",
    "rosenbrock",
    "saddle",
    "two_wells",
]
