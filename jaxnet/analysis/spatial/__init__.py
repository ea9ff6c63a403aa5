"""Measure how smooth a network's first-layer maps are, and how well edges fit these maps.

A map is the picture of a neuron's weights. A test shows whether chance explains the measured numbers.
"""

from jaxnet.analysis.spatial.measures import Bank, best_edges, edge_bank, moran
from jaxnet.analysis.spatial.significance import Structure, assess_structure, p_value
from jaxnet.analysis.spatial.surrogates import equally_smooth

__all__ = ["Bank", "Structure", "assess_structure", "best_edges", "edge_bank", "equally_smooth", "moran", "p_value"]
