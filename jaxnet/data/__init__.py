"""Digits as arrays, other image sets by name, your own arrays, and mini-batches of any of them."""

from jaxnet._types import Batch, Dataset
from jaxnet.data.batches import Epoch, resident_epochs, shuffled
from jaxnet.data.embedded import mnist
from jaxnet.data.files import from_file
from jaxnet.data.idx import CorruptFile
from jaxnet.data.named import load
from jaxnet.data.own import arrays, digest, split

__all__ = [
    "Batch",
    "CorruptFile",
    "Dataset",
    "Epoch",
    "arrays",
    "digest",
    "from_file",
    "load",
    "mnist",
    "resident_epochs",
    "shuffled",
    "split",
]
