"""The results of many networks: arrays with a leading axis of members."""

from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from jaxnet.core.types import Params
from jaxnet.training.config import TrainConfig


class Unjudged(RuntimeError):
    """The networks could not be evaluated, for example because there was too little memory. The training ended there.

    Attributes:
        results: The results up to then: all trained parameters, and NaN for every missing evaluation.
    """

    def __init__(self, error: Exception, results: "Results"):
        """Write the message from the error of the evaluation."""
        super().__init__(
            f"evaluating the networks failed ({type(error).__name__}: {error}); the trained parameters are in `.results`"
        )
        self.results = results


class Group(NamedTuple):
    """Networks of one shape.

    Attributes:
        members: The indices of the members.
        params: The trained parameters, with a leading axis of networks.
    """

    members: tuple[int, ...]
    params: Params


class Results(NamedTuple):
    """The results of the members, in their order.

    NaN means that a network diverged, or that the training stopped before the network started.

    Attributes:
        members: The settings of each member.
        epochs: The epochs after which the members were evaluated.
        costs: The mean cost over the evaluation images.
        accuracies: The fraction of the evaluation images read correctly.
        train_costs: The mean cost of each epoch's batches, measured before each step.
        diverged: The first step whose cost was not finite, counted from 0; -1 if there was none.
        groups: The trained parameters, grouped by shape.
        judged_by: Which images were used for the evaluations.
        seconds: How long the training took, including compilation and evaluations.
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
