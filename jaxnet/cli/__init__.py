"""The commands for a terminal. Each command parses its arguments, calls one function of `jaxnet.commands`, and prints."""

from jaxnet.cli._doctor import doctor
from jaxnet.cli._inspect import bang, predict
from jaxnet.cli._reproduce import add_times, film, reproduce
from jaxnet.cli._train import sweep, train
from jaxnet.cli.encoding import speak_plainly

__all__ = ["add_times", "bang", "doctor", "film", "predict", "reproduce", "speak_plainly", "sweep", "train"]
