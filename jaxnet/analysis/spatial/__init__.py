"""Measure how smooth a network's first-layer maps are and how many edges they have, and test whether chance explains it.

A map is the picture of a neuron's weights.
"""

from jaxnet.analysis.spatial.measures import Bank, best_edges, edge_bank, moran
from jaxnet.analysis.spatial.significance import Structure, assess_structure, p_value
from jaxnet.analysis.spatial.surrogates import equally_smooth

__all__ = ["Bank", "Structure", "assess_structure", "best_edges", "edge_bank", "equally_smooth", "moran", "p_value"]
