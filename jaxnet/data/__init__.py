"""MNIST, other image sets by name, your own arrays and files, and mini-batches of any of them."""

from jaxnet.core.chunks import Epoch
from jaxnet.core.types import Batch, Dataset
from jaxnet.data.checks import arrays, digest, split
from jaxnet.data.embedded import mnist
from jaxnet.data.idx import CorruptFile
from jaxnet.data.minibatches import resident_epochs, shuffled
from jaxnet.data.readers import from_file
from jaxnet.data.tfds import load

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
