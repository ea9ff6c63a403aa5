"""Train a network: the settings of a run, its preparation, the training loop, and its progress."""

from jaxnet.training.config import TrainConfig, check
from jaxnet.training.fitting import (
    Snapshot,
    TrainResult,
    choose,
    evaluate,
    fit,
    fit_and_record,
    learned,
    member,
    replay,
)
from jaxnet.training.functions import Functions, build
from jaxnet.training.planning import Keys, Plan, dataset, keys, many_keys, plan, start, with_whole_path

__all__ = [
    "Functions",
    "Keys",
    "Plan",
    "Snapshot",
    "TrainConfig",
    "TrainResult",
    "build",
    "check",
    "choose",
    "dataset",
    "evaluate",
    "fit",
    "fit_and_record",
    "keys",
    "learned",
    "many_keys",
    "member",
    "plan",
    "replay",
    "start",
    "with_whole_path",
]
