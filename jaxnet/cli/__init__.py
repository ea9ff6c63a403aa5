"""The commands as a terminal has them: each parses, calls one function that a notebook can call too, and prints."""

from jaxnet.cli.films import film, reproduce
from jaxnet.cli.looks import bang, predict
from jaxnet.cli.runs import sweep, train

__all__ = ["bang", "film", "predict", "reproduce", "sweep", "train"]
