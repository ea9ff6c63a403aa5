"""Bang for buck: what each parameter's gradient buys."""

from jaxnet.bang.gradients import Nudge, by_leaf, by_neuron, earned, magnitude, named_leaves, share, top

__all__ = ["Nudge", "by_leaf", "by_neuron", "earned", "magnitude", "named_leaves", "share", "top"]
