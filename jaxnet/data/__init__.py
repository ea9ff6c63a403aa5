"""Digits as arrays, other image sets by name, your own arrays, and mini-batches of any of them."""

from jaxnet._types import Batch, Dataset
from jaxnet.data.arrays import arrays, from_file, split
from jaxnet.data.batches import shuffled
from jaxnet.data.embedded import mnist
from jaxnet.data.named import load

__all__ = ["Batch", "Dataset", "arrays", "from_file", "load", "mnist", "shuffled", "split"]
