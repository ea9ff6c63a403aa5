"""Train many networks at once, with different seeds, rates, starts and widths.

All networks read shared batches, or each network reads the images in its own order.
"""

from jaxnet.core.stats import Spread, spread
from jaxnet.training.ensemble.members import alone, check, grid
from jaxnet.training.ensemble.results import Group, Results, Unjudged
from jaxnet.training.ensemble.together import train_together

__all__ = ["Group", "Results", "Spread", "Unjudged", "alone", "check", "grid", "spread", "train_together"]
