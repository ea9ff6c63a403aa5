"""Bang for buck: what each parameter's gradient buys."""

from jaxnet.bang.entries import largest, positions, sample, select, spread
from jaxnet.bang.gradients import Nudge, by_leaf, by_neuron, earned, magnitude, share, top
from jaxnet.bang.names import named_leaves
from jaxnet.bang.noise import NoiseScale, noise_from_batches, noise_from_examples, noise_from_two_sizes
from jaxnet.bang.nudging import Worth, worth, wrong_signs
from jaxnet.bang.per_example import Moments, lengths, moments, pulls, signal_to_noise, tug_of_war

__all__ = [
    "Moments",
    "NoiseScale",
    "Nudge",
    "Worth",
    "by_leaf",
    "by_neuron",
    "earned",
    "largest",
    "lengths",
    "magnitude",
    "moments",
    "named_leaves",
    "noise_from_batches",
    "noise_from_examples",
    "noise_from_two_sizes",
    "positions",
    "pulls",
    "sample",
    "select",
    "share",
    "signal_to_noise",
    "spread",
    "top",
    "tug_of_war",
    "worth",
    "wrong_signs",
]
