"""Image sets through tensorflow-datasets for real, offline: sums, order, lengths."""

import gzip
import hashlib
import http.server
import io
import shutil
import threading
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds

from jaxnet import data
from jaxnet.data import embedded, idx, reach, tfds_builders
from jaxnet.data import tfds as named

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


def as_idx(array):
    header = b"\x00\x00\x08" + bytes([array.ndim]) + np.array(array.shape, ">u4").tobytes()
    return gzip.compress(header + array.astype(np.uint8).tobytes(), mtime=0)


def few(count, seed):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (count, 28, 28), dtype=np.uint8), rng.integers(0, 10, count, dtype=np.uint8)


def write_four(folder, count=(60, 20)):
    folder.mkdir(exist_ok=True)
    made = {}
    for split, number in zip(("train", "test"), count, strict=True):
        made[split] = few(number, number)
        for name, array in zip(tfds_builders.PARTS[split], made[split], strict=True):
            (folder / name).write_bytes(as_idx(array))
    return made


@pytest.mark.slow
def test_mnist_through_tfds_equals_the_embedded_copy_bit_for_bit(tmp_path, mnist):
    through = data.load("mnist", source="tfds", folder=tmp_path)
    for found, original in zip((through.train, through.test), (mnist.train, mnist.test), strict=True):
        np.testing.assert_array_equal(found.images, original.images)
        np.testing.assert_array_equal(found.labels, original.labels)
    assert through.classes == mnist.classes
    assert list(tmp_path.glob("mnist/*/mnist-train.array_record*"))
    shutil.rmtree(tmp_path / "mnist")  # the arrays kept beside it are enough
    again = data.load("mnist", source="tfds", folder=tmp_path)
    np.testing.assert_array_equal(again.test.images, mnist.test.images)


def test_tfds_refuses_a_corrupt_file(tmp_path):
    shutil.copytree(embedded.FOLDER, tmp_path / "files")
    path = tmp_path / "files" / "train-images-idx3-ubyte.gz"
    content = bytearray(path.read_bytes())
    content[5_000_000] ^= 1
    path.chmod(0o644)
    path.write_bytes(content)
    with pytest.raises(idx.CorruptFile, match="wrong checksum"):
        data.load("mnist", source="tfds", folder=tmp_path / "kept", files=tmp_path / "files")
    assert not list((tmp_path / "kept").glob("arrays/*"))


def test_files_with_known_content_are_taken_whoever_compressed_them(tmp_path, monkeypatch):
    made = write_four(tmp_path / "files")
    with pytest.raises(idx.CorruptFile, match="wrong checksum"):
        data.load("fashion_mnist", folder=tmp_path / "kept", files=tmp_path / "files")
    sums = {}
    for split in ("train", "test"):
        for name in tfds_builders.PARTS[split]:
            content = gzip.decompress((tmp_path / "files" / name).read_bytes())
            sums[name] = hashlib.sha256(content).hexdigest()
    monkeypatch.setitem(named.CONTENT_SHA256, "fashion_mnist", sums)
    loaded = data.load("fashion_mnist", folder=tmp_path / "kept", files=tmp_path / "files")
    np.testing.assert_array_equal(loaded.train.images, made["train"][0])
    np.testing.assert_array_equal(loaded.test.labels, made["test"][1])
    assert loaded.classes[0] == "T-shirt/top"


@pytest.mark.slow
@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_fashion_mnist_from_debians_files(tmp_path):
    loaded = data.load("fashion_mnist", folder=tmp_path, files=DEBIAN)
    np.testing.assert_array_equal(loaded.train.images, idx.read(DEBIAN / "train-images-idx3-ubyte.gz"))
    np.testing.assert_array_equal(loaded.test.labels, idx.read(DEBIAN / "t10k-labels-idx1-ubyte.gz"))


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Say nothing."""


@pytest.fixture
def served(tmp_path):
    """A loopback server of tmp_path/served, and its address."""
    (tmp_path / "served").mkdir()
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *args: Quiet(*args, directory=str(tmp_path / "served"))
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield tmp_path / "served", f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    thread.join()
    server.server_close()


def url_infos(address, folder):
    from tensorflow_datasets.core.download import checksums

    return {
        address + path.name: checksums.UrlInfo(
            size=path.stat().st_size, checksum=hashlib.sha256(path.read_bytes()).hexdigest(), filename=path.name
        )
        for path in folder.iterdir()
    }


def test_a_download_is_fetched_checked_and_read(tmp_path, served, monkeypatch):
    folder, address = served
    made = write_four(folder)
    monkeypatch.setattr(tfds_builders.KMNIST, "URL", address)
    monkeypatch.setattr(tfds_builders.KMNIST, "url_infos", url_infos(address, folder))
    loaded = data.load("kmnist", folder=tmp_path / "kept")
    np.testing.assert_array_equal(loaded.train.images, made["train"][0])
    assert loaded.classes[:2] == ("o", "ki")
    (folder / "t10k-labels-idx1-ubyte.gz").write_bytes(as_idx(np.zeros(20, np.uint8)))
    with pytest.raises(idx.CorruptFile, match="wrong checksum"):
        data.load("kmnist", folder=tmp_path / "other")


def test_emnist_comes_out_of_its_archive_upright(tmp_path, served, monkeypatch):
    folder, address = served
    rng = np.random.default_rng(0)
    parts = {}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for split, count in (("train", 30), ("test", 10)):
            parts[split] = (
                rng.integers(0, 256, (count, 28, 28), dtype=np.uint8),
                rng.integers(1, 27, count, dtype=np.uint8),
            )
            for part, array in zip(("images-idx3", "labels-idx1"), parts[split], strict=True):
                archive.writestr(f"gzip/emnist-letters-{split}-{part}-ubyte.gz", as_idx(array))
    (folder / "gzip.zip").write_bytes(packed.getvalue())
    monkeypatch.setattr(tfds_builders.EMNIST, "URL", address + "gzip.zip")
    monkeypatch.setattr(tfds_builders.EMNIST, "url_infos", url_infos(address, folder))
    loaded = data.load("emnist/letters", folder=tmp_path / "kept")
    np.testing.assert_array_equal(loaded.train.images, parts["train"][0].swapaxes(1, 2))
    np.testing.assert_array_equal(loaded.test.labels, parts["test"][1])
    assert len(loaded.classes) == 37


def test_a_prepared_copy_that_lost_rows_is_refused(tmp_path, monkeypatch):
    write_four(tmp_path / "files")
    monkeypatch.setattr(named, "_content_is_known", lambda *args: True)
    real = tfds_builders.MNIST.as_data_source
    monkeypatch.setattr(
        tfds_builders.MNIST, "as_data_source", lambda self, split: list(range(len(real(self, split=split)) - 1))
    )
    with pytest.raises(idx.CorruptFile, match="should have 60 examples in 'train' but 59 are on disk; delete"):
        data.load("mnist", source="tfds", folder=tmp_path / "kept", files=tmp_path / "files")


class TinyColors(tfds.core.GeneratorBasedBuilder):
    """A set of colored images that is none of the MNIST family."""

    VERSION = tfds.core.Version("1.0.0")
    images = np.random.default_rng(0).integers(0, 256, (12, 5, 4, 3), dtype=np.uint8)

    def _info(self):
        features = {
            "image": tfds.features.Image(shape=(5, 4, 3)),
            "label": tfds.features.ClassLabel(names=["warm", "cold"]),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), supervised_keys=("image", "label")
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples(0, 8), "test": self._generate_examples(8, 12)}

    def _generate_examples(self, start, stop):
        for i in range(start, stop):
            yield f"image {i}", {"image": tfds_builders.png(self.images[i]), "label": i % 2}


def test_other_sets_that_tfds_describes_are_prepared_and_read(tmp_path, monkeypatch):
    monkeypatch.setattr(named.importlib.util, "find_spec", lambda name: object())  # this one does not need TensorFlow
    loaded = data.load("tiny_colors", folder=tmp_path)
    assert sorted(image.tobytes() for image in loaded.train.images) == sorted(
        i.tobytes() for i in TinyColors.images[:8]
    )
    for image, label in zip(loaded.test.images, loaded.test.labels, strict=True):
        assert TinyColors.images.reshape(12, -1).tolist().index(image.ravel().tolist()) % 2 == label
    assert loaded.classes == ("warm", "cold")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("fasion_mnist", ValueError, "knows no data set 'fasion_mnist'.*did you mean fashion_mnist?"),
        ("emnist/foo", ValueError, "emnist has no configuration 'foo'; it has byclass, "),
        ("imagenet2012", ValueError, r"images of shape \(None, None, 3\)"),
        ("cifar10", ModuleNotFoundError, r"needs TensorFlow once.*\.\[prepare\]"),
    ],
)
def test_what_cannot_be_loaded_is_refused_with_the_remedy(name, error, message, tmp_path, monkeypatch):
    monkeypatch.setattr(named.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(error, match=message):
        data.load(name, folder=tmp_path)


def test_a_set_that_must_be_fetched_while_offline_is_refused_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(reach, "_connect", lambda host, port: False)
    with pytest.raises(reach.Offline, match="'kmnist' must be fetched first"):
        data.load("kmnist", folder=tmp_path)


def test_an_unknown_source_is_refused():
    with pytest.raises(ValueError, match="source must be None or 'tfds', got 'web'"):
        data.load("mnist", source="web")
