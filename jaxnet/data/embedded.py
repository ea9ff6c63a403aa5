"""MNIST. Its four original files are part of the package, and are checked at every load."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jaxnet.core.types import Batch, Dataset
from jaxnet.data import idx

FOLDER = Path(__file__).parent / "mnist"

SHA256 = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}
"""The sha256 sums of the original files, as tensorflow-datasets 4.9.10 publishes them."""


def mnist() -> Dataset:
    """The MNIST database of handwritten digits: 60,000 training and 10,000 test images of 28x28 pixels.

    Returns:
        Training and test images as `Batch(images, labels)`, in the original order. All arrays are uint8 and read-only.

    Raises:
        CorruptFile: If an installed file differs from the original file.

    Examples:
        >>> train, test, classes = mnist()
        >>> train.images.shape, test.labels.shape, train.images.dtype
        ((60000, 28, 28), (10000,), dtype('uint8'))

    Source: LeCun, Bottou, Bengio and Haffner, 1998. The license is in `jaxnet/data/mnist/LICENSE-MNIST`.
    """
    with ThreadPoolExecutor() as pool:  # decompression does not block other threads
        parts = pool.map(lambda name: idx.read(FOLDER / name, SHA256[name]), SHA256)
    images, labels, test_images, test_labels = parts
    return Dataset(Batch(images, labels), Batch(test_images, test_labels), tuple("0123456789"))
