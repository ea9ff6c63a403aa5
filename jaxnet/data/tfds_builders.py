"""Builders for tensorflow-datasets that prepare MNIST, Fashion-MNIST, KMNIST and EMNIST without TensorFlow.

The standard library reads the files.
"""

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urljoin

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from jaxnet.data import idx

PARTS = {
    "train": ("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"),
    "test": ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
}


def png(pixels: np.ndarray) -> io.BytesIO:
    """Make a PNG file in memory from one gray image. tensorflow-datasets stores the file unchanged."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "png", compress_level=1)
    file.seek(0)
    return file


class _FourFiles:
    """The common part of the builders: fetch four files, read them, and yield PNGs without TensorFlow."""

    URL: ClassVar[str]
    local: ClassVar[Path | None] = None
    """If set, the four files are read from this folder. Their checksums are not compared; the caller has checked the files."""

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        if self.local is not None:
            files = {split: [self.local / name for name in names] for split, names in PARTS.items()}
        else:
            files = dl_manager.download(
                {split: [urljoin(self.URL, name) for name in names] for split, names in PARTS.items()}
            )
        return {split: self._generate_examples(*map(idx.read, map(Path, pair))) for split, pair in files.items()}

    def _generate_examples(self, images: np.ndarray, labels: np.ndarray) -> Iterator[tuple[int, dict[str, Any]]]:
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            yield i, {"image": png(image), "label": int(label)}


class MNIST(_FourFiles, tfds.image_classification.MNIST, skip_registration=True):
    """MNIST (LeCun et al., 1998)."""

    name = "mnist"
    url_infos = tfds.image_classification.MNIST.url_infos


class FashionMNIST(_FourFiles, tfds.image_classification.FashionMNIST, skip_registration=True):
    """Fashion-MNIST (Xiao et al., 2017)."""

    name = "fashion_mnist"
    url_infos = tfds.image_classification.FashionMNIST.url_infos


class KMNIST(_FourFiles, tfds.image_classification.KMNIST, skip_registration=True):
    """Kuzushiji-MNIST (Clanuwat et al., 2018)."""

    name = "kmnist"
    url_infos = tfds.image_classification.KMNIST.url_infos


class EMNIST(_FourFiles, tfds.image_classification.EMNIST, skip_registration=True):
    """EMNIST (Cohen et al., 2017). One zip archive holds all six configurations."""

    name = "emnist"
    url_infos = tfds.image_classification.EMNIST.url_infos

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        """Read the four files of the archive that belong to this configuration."""
        with zipfile.ZipFile(dl_manager.download(self.URL)) as archive:
            read = {
                split: [self._member(archive, split, part) for part in ("images-idx3", "labels-idx1")]
                for split in PARTS
            }
        return {split: self._generate_examples(*pair) for split, pair in read.items()}

    def _member(self, archive: zipfile.ZipFile, split: str, part: str) -> np.ndarray:
        config: Any = self.builder_config
        name = f"gzip/emnist-{config.name}-{split}-{part}-ubyte.gz"
        return idx.parse(idx.unpack(archive.read(name), name), name)


FAMILY: dict[str, type] = {"mnist": MNIST, "fashion_mnist": FashionMNIST, "kmnist": KMNIST, "emnist": EMNIST}
