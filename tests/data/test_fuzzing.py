"""Every reader of files under thousands of mutations: the right content, or one error of ours; never another, never much memory."""

import collections
import gzip
import io
import itertools
import sys
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
from PIL import Image
from test_readers import GOOD, IMAGES, LABELS, SQUARE, as_csv, as_idx, as_npy

from jaxnet import commands, data, presets
from jaxnet.data import idx, photo, pictures
from jaxnet.experiments import cache
from jaxnet.training import run_folder

NUMBER = 3000
WORDS = [
    b"\0",
    b"\xff",
    b"9",
    b"-",
    b"1e9",
    b"nan",
    b",",
    b"\n",
    b"\x7f\xff\xff\xff",
    b"\x80\0\0\0",
    b"PK\x03\x04",
    b"{",
    b"'|O'",
    b"(10**9,)",
]


def mutated(raw, rng):
    """The same bytes with one to four faults: bits turned, bytes cut, doubled, inserted, overwritten, swapped."""
    raw = bytearray(raw)
    for _ in range(rng.integers(1, 5)):
        if not raw:
            break
        here, there = sorted(rng.integers(0, len(raw), 2))
        # Half of the faults are put where headers are.
        here = int(here) if rng.random() < 0.5 else int(min(here, rng.integers(0, 200)))
        match int(rng.integers(0, 8)):
            case 0:
                raw[here] ^= 1 << int(rng.integers(0, 8))
            case 1:
                raw[here] = int(rng.integers(0, 256))
            case 2:
                del raw[here:]
            case 3:
                del raw[here : min(int(there), here + int(rng.integers(1, 40)))]
            case 4:
                raw[here:here] = WORDS[int(rng.integers(0, len(WORDS)))]
            case 5:
                word = WORDS[int(rng.integers(0, len(WORDS)))]
                raw[here : here + len(word)] = word
            case 6:
                raw[here:here] = raw[here : here + int(rng.integers(1, 100))]
            case 7:
                raw[here:here] = rng.bytes(int(rng.integers(1, 30)))
    return bytes(raw)


def archive(compression):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as file:
        for name, array in GOOD.items():
            file.writestr(f"{name}.npy", as_npy(array))
    return buffer.getvalue()


def trusting(raw):
    """What numpy makes of an array's bytes."""
    return np.lib.format.read_array(io.BytesIO(raw), allow_pickle=False)


def by_numpy(path):
    """The archive's own arrays, as numpy reads them."""
    with np.load(path, allow_pickle=False) as file:
        return file["images"], file["labels"]


def by_python(path):
    """A table as Python splits it."""
    rows = [line.split(",") for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
    cells = [[float(cell.strip(' "')) for cell in row] for row in rows[1:]]
    return np.array(cells)[:, 1:].reshape(-1, 4, 4), np.array(cells)[:, 0]


def picture(kind):
    buffer = io.BytesIO()
    shade = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8))
    (shade.convert("P") if kind == "GIF" else shade).save(buffer, kind)
    return buffer.getvalue()


class Harness:
    """Feeds mutations to a reader and counts how they end."""

    def __init__(self, read, check=None):
        self.read, self.check, self.ends = read, check, collections.Counter()

    def feed(self, path, raw, honest):
        path.write_bytes(raw)
        begun = time.monotonic()
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        try:
            found = self.read(path)
        except (ValueError, FileNotFoundError) as refused:
            self.ends["refused"] += 1
            said = str(refused)
        else:
            said = path.name
            self.ends["accepted"] += 1
            if self.check is not None:
                self.check(found, path)
        assert path.name in said or path.parent.name in said, (said, raw[:300])
        assert time.monotonic() - begun < 10
        taken = tracemalloc.get_traced_memory()[1] - before
        assert taken < 2 * max(honest, len(raw)) + 2**22, (taken, raw[:300])


@pytest.fixture
def traced():
    tracemalloc.start()
    yield
    tracemalloc.stop()


def equal(found, reference):
    images, labels = reference
    np.testing.assert_array_equal(found.train.images.astype(float).ravel(), np.asarray(images, float).ravel())
    np.testing.assert_array_equal(found.train.labels, np.asarray(labels).ravel())


def an_npz(path):
    return (
        Harness(data.from_file, lambda found, path: equal(found, by_numpy(path))),
        path / "own.npz",
        archive(zipfile.ZIP_DEFLATED),
    )


def a_stored_npz(path):
    return (
        Harness(data.from_file, lambda found, path: equal(found, by_numpy(path))),
        path / "own.npz",
        archive(zipfile.ZIP_STORED),
    )


def an_npy(path):
    for name in ("labels", "test_images", "test_labels"):
        np.save(path / f"{name}.npy", GOOD[name])
    check = lambda found, path: equal(found, (trusting(path.read_bytes()), LABELS))
    return Harness(data.from_file, check), path / "images.npy", as_npy(IMAGES)


def an_idx(path):
    def check(found, path):
        raw = path.read_bytes()
        lengths = np.frombuffer(raw[4 : 4 + 4 * raw[3]], ">u4")
        np.testing.assert_array_equal(found.ravel(), np.frombuffer(raw[4 + 4 * raw[3] :], np.uint8))
        assert found.shape == tuple(lengths)

    return Harness(idx.read, check), path / "train-images-idx3-ubyte", as_idx(IMAGES)


def a_packed_idx(path):
    return Harness(idx.read), path / "train-images-idx3-ubyte.gz", gzip.compress(as_idx(np.tile(IMAGES, (9, 1, 1))))


def a_table(path):
    read = lambda path: data.from_file(path, test_fraction=0.25)

    def check(found, path):
        try:
            images, labels = by_python(path)
        except (ValueError, IndexError):
            return  # titles or quotes that the simple reading does not know
        assert len(found.train.labels) + len(found.test.labels) == len(labels)
        assert found.train.images.astype(float).sum() + found.test.images.astype(float).sum() == pytest.approx(
            images.sum()
        )

    return Harness(read, check), path / "own.csv", as_csv(SQUARE, LABELS).encode()


def a_prepared_set(path):
    (path / "arrays").mkdir()
    read = lambda file: data.load("kmnist", folder=path)
    return (
        Harness(read, lambda found, file: equal(found, by_numpy(file))),
        path / "arrays" / "kmnist.npz",
        archive(zipfile.ZIP_STORED),
    )


def a_picture_of(kind):
    def make(path):
        for name in ("a", "b"):
            (path / name).mkdir()
            Image.new("L", (30, 40), 99).save(path / name / "good.png")
        read = lambda file: data.from_file(path, test_fraction=0.4)

        def check(found, file):
            assert found.train.images.shape[0] + found.test.images.shape[0] == 3

        return Harness(read, check), path / "a" / f"fuzzed.{kind.lower()}", picture(kind)

    return make


class ManyFiles(Harness):
    """Mutates one file of a folder after the other, and puts it back."""

    def __init__(self, folder, read, check):
        super().__init__(read, check)
        self.files = sorted(file for file in folder.rglob("*") if file.is_file() and file.suffix != ".csv")
        self.contents = {file: file.read_bytes() for file in self.files}
        self.turn = itertools.count()

    def feed(self, path, raw, honest):
        file = self.files[next(self.turn) % len(self.files)]
        content = self.contents[file]
        rng = np.random.default_rng(len(raw) + next(self.turn))
        try:
            super().feed(file, content if raw == b"" else mutated(content, rng), honest)
        finally:
            file.write_bytes(content)


def a_run_folder(path):
    x, y = np.random.default_rng(0).integers(0, 256, (60, 4, 4), dtype=np.uint8), np.arange(60) % 2
    np.savez(path / "own.npz", images=x, labels=y)
    settings = presets.film._replace(data=str(path / "own.npz"), test_fraction=0.5, sizes=(3,), epochs=1, batch_size=10)
    commands.train(settings, out=path / "run", pictures=False)
    whole = run_folder.load(path / "run")

    def check(found, file):
        assert run_folder.params_sha256(found.params) == whole.result["params_sha256"]
        assert found.settings._replace(data="") == whole.settings._replace(data="")

    return ManyFiles(path / "run", lambda file: run_folder.load(path / "run"), check), path / "run", b""


def a_shelf(path):
    arrays = {"a": np.arange(6.0), "b": np.arange(4)}
    identity = {"experiment": "sums", "settings": {"seed": 3, "sizes": [1, 2]}}
    cache.shelf(path / "shelf", identity).keep("one", lambda: arrays)

    def read(file):
        try:
            return cache.shelf(path / "shelf", identity).keep("one", lambda: arrays)
        except FileExistsError as error:  # parts of other settings
            raise ValueError(str(error)) from error

    def check(found, file):
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)

    return ManyFiles(path / "shelf", read, check), path / "shelf", b""


def a_photo_of(kind):
    def make(path):
        def check(found, file):
            assert found.ndim == 2
            assert found.dtype == np.uint8

        return Harness(photo.read, check), path / f"photo.{kind.lower()}", picture(kind)

    return make


READERS = {
    "npz": an_npz,
    "stored npz": a_stored_npz,
    "npy": an_npy,
    "idx": an_idx,
    "packed idx": a_packed_idx,
    "table": a_table,
    "prepared set": a_prepared_set,
    "folder of PNG": a_picture_of("PNG"),
    "folder of JPEG": a_picture_of("JPEG"),
    "folder of GIF": a_picture_of("GIF"),
    "run folder": a_run_folder,
    "parts and experiment.json": a_shelf,
    "photo as PNG": a_photo_of("PNG"),
    "photo as JPEG": a_photo_of("JPEG"),
    "photo as TIFF": a_photo_of("TIFF"),
    "photo as WEBP": a_photo_of("WEBP"),
}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("reader", READERS)
def test_mutated_files_are_read_rightly_or_refused(reader, tmp_path, traced, record_property):
    harness, path, raw = READERS[reader](tmp_path)
    rng = np.random.default_rng(list(READERS).index(reader))
    # A picture of one color may hold a thousand pixels in a byte.
    honest = 3 * 8800 * len(raw) if "PNG" in reader else 3 * 4000 * len(raw) if raw else 2**24
    if "photo" in reader:
        honest = pictures.UNCHECKED  # below that a header is believed
    harness.feed(path, raw, honest)
    assert harness.ends["accepted"] == 1
    for turn in range(NUMBER):
        harness.feed(path, mutated(raw, rng) if raw else bytes(1 + turn), honest)
    record_property("ends", str(dict(harness.ends)))
    sys.stdout.write(f"{reader}: {dict(harness.ends)}\n")
    assert harness.ends["refused"] > NUMBER / 20


def fed(harness, path, raw):
    rng = np.random.default_rng(0)
    for _ in range(300):
        harness.feed(path, mutated(raw, rng), len(raw))


def test_a_reader_that_trusts_would_be_noticed(tmp_path, traced):
    """The harness itself: numpy's own reader fails it."""
    with pytest.raises((AssertionError, EOFError, TypeError, MemoryError, OSError)):
        fed(Harness(lambda path: np.load(path, allow_pickle=False)), tmp_path / "own.npy", as_npy(IMAGES))
