"""The experiments on show, in the film's order: each with its question and its pictures."""

from jaxnet.exhibits import accuracy, minima
from jaxnet.exhibits.framing import Exhibit, Moving

EXHIBITS: dict[str, Exhibit] = {one.name: one for one in (accuracy.exhibit, minima.exhibit)}

__all__ = ["EXHIBITS", "Exhibit", "Moving"]
