"""The commands as a terminal has them: each parses, calls one function that a notebook can call too, and prints."""

from jaxnet.cli.encoding import speak_plainly
from jaxnet.cli.films import add_times, film, reproduce
from jaxnet.cli.looks import bang, predict
from jaxnet.cli.runs import sweep, train

__all__ = ["add_times", "bang", "film", "predict", "reproduce", "speak_plainly", "sweep", "train"]
