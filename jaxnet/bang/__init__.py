"""Bang for buck: what each parameter's gradient buys."""

from jaxnet.bang.budget import Lorenz, Spent, best, lorenz, on_a_budget, spend
from jaxnet.bang.entries import largest, positions, sample, select, spread
from jaxnet.bang.gradients import Nudge, by_leaf, by_neuron, earned, magnitude, share, top
from jaxnet.bang.knobs import Knobs, dead_knobs, tally
from jaxnet.bang.ledger import Ledger, credit
from jaxnet.bang.noise import NoiseScale, noise_from_batches, noise_from_examples, noise_from_two_sizes
from jaxnet.bang.nudging import Worth, worth, wrong_signs
from jaxnet.bang.per_example import Moments, lengths, moments, pulls, signal_to_noise, tug_of_war
from jaxnet.bang.watching import Signals, Watched, WatchedInfo, emit, rows, watch
from jaxnet.leaves import named_leaves

__all__ = [
    "Knobs",
    "Ledger",
    "Lorenz",
    "Moments",
    "NoiseScale",
    "Nudge",
    "Signals",
    "Spent",
    "Watched",
    "WatchedInfo",
    "Worth",
    "best",
    "by_leaf",
    "by_neuron",
    "credit",
    "dead_knobs",
    "earned",
    "emit",
    "largest",
    "lengths",
    "lorenz",
    "magnitude",
    "moments",
    "named_leaves",
    "noise_from_batches",
    "noise_from_examples",
    "noise_from_two_sizes",
    "on_a_budget",
    "positions",
    "pulls",
    "rows",
    "sample",
    "select",
    "share",
    "signal_to_noise",
    "spend",
    "spread",
    "tally",
    "top",
    "tug_of_war",
    "watch",
    "worth",
    "wrong_signs",
]
