"""Many networks at once: over seeds, rates, starts and widths, together on the same batches or each in its own order."""

from jaxnet.ensemble.members import alone, check, combinations
from jaxnet.ensemble.results import Group, Results, Spread, Unjudged, spread
from jaxnet.ensemble.together import train_together

__all__ = ["Group", "Results", "Spread", "Unjudged", "alone", "check", "combinations", "spread", "train_together"]
