"""How much spatial structure a network's first-layer maps have (smoothness, edges), and whether chance explains it."""

from jaxnet.analysis.spatial.measures import Bank, best_edges, edge_bank, moran
from jaxnet.analysis.spatial.significance import Structure, assess_structure, p_value
from jaxnet.analysis.spatial.surrogates import equally_smooth

__all__ = ["Bank", "Structure", "assess_structure", "best_edges", "edge_bank", "equally_smooth", "moran", "p_value"]
