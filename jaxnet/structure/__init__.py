"""Random, blobs or edges: how much structure is in a network's first-layer maps, and whether chance explains it."""

from jaxnet.structure.blobs import equally_smooth
from jaxnet.structure.judging import Structure, judge, p_value
from jaxnet.structure.measures import Bank, best_edges, edge_bank, moran

__all__ = ["Bank", "Structure", "best_edges", "edge_bank", "equally_smooth", "judge", "moran", "p_value"]
