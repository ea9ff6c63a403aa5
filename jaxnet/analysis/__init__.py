"""Instruments for a cost or a trained network: its landscape, its calibration, the structure of its weights, and more."""

from jaxnet.analysis import alignment, calibration, landscape, out_of_distribution, spatial, unrolling

__all__ = ["alignment", "calibration", "landscape", "out_of_distribution", "spatial", "unrolling"]
