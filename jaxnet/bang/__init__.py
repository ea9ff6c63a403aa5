"""Bang for the buck: how much each parameter's gradient lowers the cost."""

from jaxnet.bang.allocation import LossChangeAllocation, loss_change_allocation
from jaxnet.bang.dead import DeadParameters, count_dead, dead_parameters
from jaxnet.bang.gradients import Lorenz, Nudge, by_leaf, by_neuron, earned, lorenz, magnitude, share, top, top_mask
from jaxnet.bang.monitor import Signals, Watched, WatchedInfo, emit, signal_rows, watch
from jaxnet.bang.noise import Method, NoiseScale, noise_scale
from jaxnet.bang.nudging import Worth, worth, wrong_signs
from jaxnet.bang.partial_step import PartialStep, keep_top, take_partial_step
from jaxnet.bang.per_example import (
    Moments,
    gradient_by_label,
    gradient_moments,
    per_example_derivative,
    per_example_norms,
    signal_to_noise,
)
from jaxnet.bang.precision import Agreement, agreement
from jaxnet.bang.selection import largest, positions, sample, scatter, select
from jaxnet.core.leaves import named_leaves

__all__ = [
    "Agreement",
    "DeadParameters",
    "Lorenz",
    "LossChangeAllocation",
    "Method",
    "Moments",
    "NoiseScale",
    "Nudge",
    "PartialStep",
    "Signals",
    "Watched",
    "WatchedInfo",
    "Worth",
    "agreement",
    "by_leaf",
    "by_neuron",
    "count_dead",
    "dead_parameters",
    "earned",
    "emit",
    "gradient_by_label",
    "gradient_moments",
    "keep_top",
    "largest",
    "lorenz",
    "loss_change_allocation",
    "magnitude",
    "named_leaves",
    "noise_scale",
    "per_example_derivative",
    "per_example_norms",
    "positions",
    "sample",
    "scatter",
    "select",
    "share",
    "signal_rows",
    "signal_to_noise",
    "take_partial_step",
    "top",
    "top_mask",
    "watch",
    "worth",
    "wrong_signs",
]
