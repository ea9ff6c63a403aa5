"""Load other image sets by name through tensorflow-datasets, save them on disk, and read them without TensorFlow."""

import contextlib
import difflib
import hashlib
import importlib.util
import logging
import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

from jaxnet.core import folders
from jaxnet.core.devices import cache_folder
from jaxnet.core.types import Batch, Dataset
from jaxnet.data import embedded, idx
from jaxnet.data.reach import require_reachable
from jaxnet.data.readers import MOST_BYTES, looks_like_a_file, read

CONTENT_SHA256 = {
    "fashion_mnist": {
        "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    }
}
"""The sha256 of each uncompressed file. Some copies were compressed again (Debian's package dataset-fashion-mnist)."""


KNOWN = ("mnist", "fashion_mnist", "kmnist", "emnist")
"""Names that always mean these data sets, even if a file has such a name."""


def means_a_file(name: str) -> bool:
    """Whether a name means your own file or folder, and not a data set of tensorflow-datasets."""
    return name.partition("/")[0] not in KNOWN and looks_like_a_file(name)


def default_folder() -> Path:
    """The folder for prepared data sets: `$JAXNET_DATA`, or a folder in the user's cache if that variable is not set."""
    return Path(os.environ.get("JAXNET_DATA") or cache_folder() / "datasets")


def load(
    name: str, *, source: str | None = None, folder: str | Path | None = None, files: str | Path | None = None
) -> Dataset:
    """Load an image set by its name.

    The set "mnist" is part of the package. Every other name is a name in tensorflow-datasets, such as "fashion_mnist",
    "kmnist", "emnist/letters" or "cifar10". Such a set is downloaded and prepared once, as ArrayRecord, and saved as
    arrays. Preparing MNIST, Fashion-MNIST, KMNIST and EMNIST needs no TensorFlow. EMNIST's images are stored
    transposed, and are turned upright.

    Args:
        name: The name of the set. If the set has several configurations, add a slash and the name of one of them.
        source: If it is "tfds", even MNIST is loaded through tensorflow-datasets. Its files come from the package, so
            this needs no network.
        folder: The folder for prepared sets. If it is None, the folder is `default_folder()`.
        files: A folder with files that you downloaded by hand. The files are used instead of a download, and their
            checksums are compared. If the set is already prepared, the files are ignored.

    Returns:
        Training and test images as uint8 arrays, and the names of the classes. MNIST, Fashion-MNIST, KMNIST and EMNIST
        have their original order.

    Raises:
        ValueError: If no set has this name, or if the set does not consist of labeled images of one shape with a train
            and a test split.
        ModuleNotFoundError: If preparing this set needs TensorFlow. Then run `pip install '.[prepare]'` in jaxnet's
            clone.
        Offline: If the set must be downloaded and its host cannot be reached. This error comes within seconds.
        CorruptFile: If a file has the wrong checksum, or a prepared copy has lost examples.

    Source: tensorflow-datasets' catalog, https://www.tensorflow.org/datasets/catalog/overview.
    """
    if source not in (None, "tfds"):
        raise ValueError(f"source must be None or 'tfds', got {source!r}")
    if name == "mnist" and source is None and files is None:
        return embedded.mnist()
    folder = Path(folder) if folder is not None else default_folder()
    arrays = folder / "arrays" / f"{name.replace('/', '-')}.npz"
    if arrays.is_file():
        return _prepared(arrays)
    builder = _builder(name, folder)
    image, label = _features(name, builder.info)
    if not builder.is_prepared():
        _prepare(name, builder, folder, embedded.FOLDER if name == "mnist" and files is None else files)
    train, test = (_read(builder, split, image, label) for split in ("train", "test"))
    _write_arrays(arrays, Dataset(train, test, tuple(builder.info.features[label].names)))
    return _prepared(arrays)


def _prepared(path: Path) -> Dataset:
    try:
        return read(path)[0]
    except ValueError as error:
        raise idx.CorruptFile(
            f"{error}; this is jaxnet's own copy, so delete it, and jaxnet makes a new one"
        ) from error


def _builder(name: str, folder: Path) -> Any:
    import tensorflow_datasets as tfds

    from jaxnet.data.tfds_builders import FAMILY

    family, _, config = name.partition("/")
    if family not in FAMILY and family not in (known := tfds.list_builders(with_community_datasets=False)):
        plain = {re.sub("[^a-z0-9]", "", one.lower()): one for one in (*known, *FAMILY)}
        same = plain.get(re.sub("[^a-z0-9]", "", family.lower()))
        close = [same] if same else difflib.get_close_matches(family.lower(), {*known, *FAMILY}, n=3)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise ValueError(
            f"tensorflow-datasets knows no data set {name!r}, and there is no file or folder of that name{hint}"
        )
    configs = [one.name for one in FAMILY[family].BUILDER_CONFIGS] if family in FAMILY else []
    if config and configs and config not in configs:
        raise ValueError(f"{family} has no configuration {config!r}; it has {', '.join(configs)}")
    logging.getLogger("absl").setLevel(logging.ERROR)  # tfds warns about every set that is not prepared yet
    try:
        if family in FAMILY:
            return FAMILY[family](data_dir=str(folder), config=config or None, file_format="array_record")
        return tfds.builder(name, data_dir=str(folder), file_format="array_record")
    except ModuleNotFoundError as error:
        raise _needs_tensorflow(name) from error
    except ValueError as error:
        raise ValueError(f"tensorflow-datasets cannot build {name!r}: {str(error).strip()}") from error


def _needs_tensorflow(name: str) -> ModuleNotFoundError:
    return ModuleNotFoundError(
        f"preparing {name!r} needs TensorFlow once; reading it later does not: "
        "run pip install '.[prepare]' in the folder of jaxnet's clone"
    )


def _features(name: str, info: Any) -> tuple[str, str]:
    """Find the keys of image and label. Refuse sets that are not labeled images of one shape, or that are too large."""
    import tensorflow_datasets as tfds

    keys = info.supervised_keys
    if not (keys and len(keys) == 2 and isinstance(info.features[keys[0]], tfds.features.Image)):
        raise ValueError(f"{name!r} is not a set of images with labels: tfds describes it as {info.features}")
    image, label = keys
    if not isinstance(info.features[label], tfds.features.ClassLabel):
        raise ValueError(f"{name!r} has labels that are not classes: {info.features[label]}")
    shape, dtype = info.features[image].shape, np.dtype(info.features[image].np_dtype)
    if None in shape or dtype != np.uint8:
        raise ValueError(
            f"{name!r} has images of shape {shape} and type {dtype}; jaxnet needs one fixed shape and type uint8"
        )
    missing = {"train", "test"} - set(info.splits) if info.splits else set()
    if missing:
        raise ValueError(f"{name!r} has the splits {sorted(info.splits)}; train and test are needed")
    size = sum(split.num_examples for split in info.splits.values()) * int(np.prod(shape))
    if size > MOST_BYTES:
        raise ValueError(
            f"{name!r} takes {size / 1024**3:.0f} GiB after decoding, more than the limit of {MOST_BYTES >> 30} GiB"
        )
    return image, label


def _prepare(name: str, builder: Any, folder: Path, files: str | Path | None) -> None:
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError

    from jaxnet.data.tfds_builders import FAMILY

    family = name.partition("/")[0]
    if family not in FAMILY and importlib.util.find_spec("tensorflow") is None:
        raise _needs_tensorflow(name)
    if files is not None and not Path(files).is_dir():
        raise ValueError(f"files must be a folder with the set's original files, got {files}")
    if files is None:
        require_reachable(name, builder.url_infos or ())
    elif _content_is_known(family, Path(files)):
        builder.local = Path(files)
    config = tfds.download.DownloadConfig(
        manual_dir=None if files is None else str(files), force_checksums_validation=True, try_download_gcs=False
    )
    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            builder.download_and_prepare(download_dir=str(folder / "downloads"), download_config=config)
    except NonMatchingChecksumError as error:
        raise idx.CorruptFile(f"{name}: {error}; fetch the file again") from error


def _content_is_known(family: str, files: Path) -> bool:
    """Whether all four files have the original content. Their compression may differ from the original's."""
    known = CONTENT_SHA256.get(family)
    return known is not None and all(
        (files / part).is_file()
        and hashlib.sha256(idx.unpack((files / part).read_bytes(), str(files / part))).hexdigest() == sha256
        for part, sha256 in known.items()
    )


def _read(builder: Any, split: str, image: str, label: str) -> Batch:
    """Read one split as arrays. Its length is compared with the metadata, because a file format may lose rows silently."""
    source, expected = builder.as_data_source(split=split), builder.info.splits[split].num_examples
    if len(source) != expected:
        raise idx.CorruptFile(
            f"{builder.info.full_name} should have {expected:,} examples in {split!r} but {len(source):,} are on disk; "
            f"delete {builder.data_dir} and load it again"
        )
    images = np.empty((expected, *builder.info.features[image].shape), np.uint8)
    labels = np.empty(expected, np.int32)
    for start in range(0, expected, 1000):
        rows = range(start, min(start + 1000, expected))
        for i, example in zip(rows, source.__getitems__(list(rows)), strict=True):
            images[i], labels[i] = example[image], example[label]
    if images.shape[-1] == 1:
        images = images[..., 0]
    return _in_original_order(builder.name, split, images, labels)


def _in_original_order(name: str, split: str, images: np.ndarray, labels: np.ndarray) -> Batch:
    """Restore the original order of MNIST, Fashion-MNIST, KMNIST and EMNIST.

    tensorflow-datasets stores them sorted by the MD5 of split name and position.
    """
    from jaxnet.data.tfds_builders import FAMILY

    if name not in FAMILY:
        return Batch(images, labels)
    salt = split.encode()
    hashes = [hashlib.md5(salt + str(i).encode(), usedforsecurity=False).digest() for i in range(len(labels))]
    stored = np.array(sorted(range(len(labels)), key=hashes.__getitem__))
    original = np.argsort(stored)
    upright = images.swapaxes(1, 2) if name == "emnist" else images
    return Batch(np.ascontiguousarray(upright[original]), labels[original])


def _write_arrays(path: Path, data: Dataset) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with folders.unfinished(path) as temporary:
        np.savez(
            temporary,
            images=data.train.images,
            labels=data.train.labels,
            test_images=data.test.images,
            test_labels=data.test.labels,
            classes=np.array(data.classes),
        )
