"""The results of many networks: arrays with a leading axis of members."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from jaxnet.core.types import Params
from jaxnet.training.config import TrainConfig


class Unjudged(RuntimeError):
    """The networks could not be evaluated, for example because there was too little memory. This ended the training.

    Attributes:
        results: The results before the error: all trained parameters, and NaN for every missing evaluation.
    """

    def __init__(self, error: Exception, results: "Results"):
        """Write the message from the error of the evaluation."""
        super().__init__(
            f"evaluating the networks failed ({type(error).__name__}: {error}); the trained parameters are in `.results`"
        )
        self.results = results


class Group(NamedTuple):
    """Networks whose parameters have equal shapes.

    Attributes:
        members: The indices of the members.
        params: The trained parameters, with a leading axis of networks.
    """

    members: tuple[int, ...]
    params: Params


class Results(NamedTuple):
    """The results of the members, in the members' order.

    NaN means that a network diverged, or that the training stopped before this evaluation or epoch.

    Attributes:
        members: The settings of each member.
        epochs: The epochs after which the members were evaluated, counted from 1.
        costs: The mean cost over the evaluation images.
        accuracies: The fraction of the evaluation images that the network recognizes correctly.
        train_costs: The mean cost of each epoch's batches. Each batch's cost is measured before the step with it.
        diverged: The first step whose cost was not finite, counted from 0. If all costs were finite, it is -1.
        groups: The trained parameters. The networks of a group can share a compiled program.
        judged_by: The number and the kind of the images for the evaluations, in words.
        seconds: How long the training took, in seconds, including compilation and evaluations.
    """

    members: tuple[TrainConfig, ...]
    epochs: Int[np.ndarray, "evaluations"]
    costs: Float[np.ndarray, "member evaluations"]
    accuracies: Float[np.ndarray, "member evaluations"]
    train_costs: Float[np.ndarray, "member epochs"]
    diverged: Int[np.ndarray, "member"]
    groups: tuple[Group, ...]
    judged_by: str
    seconds: float

    def params(self, member: int) -> Params:
        """One member's trained parameters."""
        group = next(group for group in self.groups if member in group.members)
        return jax.tree.map(lambda leaf: leaf[group.members.index(member)], group.params)
