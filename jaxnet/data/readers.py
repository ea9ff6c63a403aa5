"""Read data sets from your own files: NumPy, IDX, CSV, and folders of pictures. The files are checked before use."""

import collections
import concurrent.futures
import contextlib
import csv
import functools
import gzip
import itertools
import logging
import math
import re
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from jaxnet.core.types import Batch, Dataset
from jaxnet.data import idx, pictures
from jaxnet.data.checks import arrays, require_dense, suspicious
from jaxnet.data.idx import DENSEST, CorruptFile

MOST_BYTES = 8 * 1024**3
"""The largest data set, in bytes, that is read into one array."""
MOST_CLASSES = 10_000
"""The largest number of classes. The confusion matrix has a row and a column for each class."""
MOST_PIXELS = 2**26
"""The largest number of pixels of one picture."""

KINDS = "an .npz, an .npy beside its labels, IDX files, a CSV, or a folder of pictures FOLDER/CLASS/*"
PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".pgm", ".ppm"}
ENDINGS = {".npz", ".npy", ".csv", ".tsv", ".txt", ".gz", ".zip", ".idx", ".mat", ".pkl", ".parquet"}
"""A name with one of these endings means a file, even if this file does not exist."""
PARTS = {
    "train": ("train", "training"),
    "test": ("test", "testing", "t10k"),
    "validation": ("val", "valid", "validation", "dev"),
}
ROLES = {
    "images": ("images", "image", "imgs", "x", "data", "pixels", "inputs", "features"),
    "labels": ("labels", "label", "y", "targets", "target"),
}


def looks_like_a_file(name: str) -> bool:
    """Whether a name means a file or folder.

    A name means a file if this file exists, if the name ends like the name of a data file, or if it begins like a path.
    """
    if name.startswith(("/", "./", "../", "~")) or name.endswith("/") or Path(name).exists():
        return True
    return Path(name.lower()).suffix in ENDINGS


def from_file(path: str | Path, *, test_fraction: float = 0.0) -> Dataset:
    """Read your own images and labels.

    The function recognizes these kinds of files by their content, not by their names:

    - an .npz archive, or .npy files in one folder. The arrays are called images, labels, test_images and test_labels.
      The names of Keras (x_train, y_train, x_test, y_test), scikit-learn (data, target) and MedMNIST (train_images,
      ..., test_labels) work too. An array called classes may hold the labels' names. Each array must have the form that
      `arrays` accepts. Other arrays are ignored. A validation split is ignored too, because the setting `validation`
      holds out training images instead.
    - IDX files, compressed or not, with MNIST's names: train-images-idx3-ubyte, train-labels-idx1-ubyte, and names with
      t10k or test for the test images. Pass the folder or the file of training images.
    - a CSV with one image in each row. One column is called label (or class, target, y), and all other columns are
      pixels. If there is no header, the first column holds the labels. If the file is called mnist_train.csv, the test
      images are read from mnist_test.csv in the same folder.
    - a folder of pictures by class, FOLDER/CLASS/*, or FOLDER/train/CLASS/* and FOLDER/test/CLASS/*. The pictures are
      PNG, JPEG, GIF, BMP, PPM, TIFF, WebP, AVIF, JPEG 2000, TGA, ICO or PCX. If all pictures are gray, the images have
      no channel axis. The most frequent size is used, and pictures of other sizes are scaled to this size.

    The logger "jaxnet" warns about data that is possible but looks wrong.

    Args:
        path: The file or folder.
        test_fraction: If there are no test images, this fraction of the examples becomes test images. The fraction is
            chosen at random, but every call chooses the same examples.

    Returns:
        The data set.

    Raises:
        FileNotFoundError: If there is no such file.
        CorruptFile: If the file is damaged or incomplete, or its header announces more bytes than the file holds.
        ValueError: If arrays are missing or do not have the form that `arrays` accepts, or if there is no test split.
    """
    data, remarks = read(Path(path).expanduser(), test_fraction)
    for line in itertools.chain(remarks, suspicious(data)):
        logging.getLogger("jaxnet").warning("%s: %s", path, line)
    return data


def read(path: Path, test_fraction: float = 0.0) -> tuple[Dataset, tuple[str, ...]]:
    """Read the data set of a file like `from_file`, and return remarks on how it was read. Nothing is logged."""
    if not 0 <= test_fraction < 1:
        raise ValueError(
            f"test_fraction must be a fraction of the examples, at least 0 and below 1, got {test_fraction}"
        )
    if not path.exists():
        raise FileNotFoundError(f"no file {path}; expected {KINDS}")
    with _in_words(path):
        columns = _folder(path) if path.is_dir() else _file(path)
        return _dataset(columns, test_fraction), columns.remarks


class Columns(NamedTuple):
    """The arrays of a file, by the names that the file gives them.

    Attributes:
        read: A function that reads one array by its name.
        names: The names of the arrays.
        remarks: What you should know about how the arrays were read.
    """

    read: Callable[[str], np.ndarray]
    names: tuple[str, ...]
    remarks: tuple[str, ...] = ()


def _of(known: Mapping[str, np.ndarray], remarks: Iterable[str] = ()) -> Columns:
    return Columns(known.__getitem__, tuple(known), tuple(remarks))


@contextlib.contextmanager
def _in_words(path: Path) -> Iterator[None]:
    """Turn any error that a damaged file causes into one error with the file's name."""
    try:
        yield
    except (ValueError, KeyError) as error:
        said = str(error.args[0]) if error.args else type(error).__name__
        kind = CorruptFile if isinstance(error, CorruptFile) else ValueError
        raise kind(said if str(path) in said else f"{path}: {said}") from error
    except (
        OSError,
        EOFError,
        zlib.error,
        zipfile.BadZipFile,
        OverflowError,
        NotImplementedError,  # zipfile raises it for a compression that it does not know
        RuntimeError,
    ) as error:
        raise CorruptFile(
            f"{path} cannot be read ({str(error) or type(error).__name__}); fetch or save it again"
        ) from error


# Find the kind of a file.


def _file(path: Path) -> Columns:
    with path.open("rb") as file:
        start = file.read(512)
    if not start:
        raise CorruptFile(f"{path} is empty, 0 bytes; fetch or save it again")
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _archive(path)
    if start.startswith(b"\x93NUMPY"):
        return _npy_files(path)
    if start.startswith(b"\x1f\x8b"):
        with gzip.open(path) as unpacked:
            start = unpacked.read(512)
    if start[:2] == b"\0\0":
        return _idx_files(path)
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise CorruptFile(f"{path} is a web page, perhaps a login page or an error page; fetch the file again")
    if text.startswith(b"version https://git-lfs"):
        raise CorruptFile(f"{path} is a pointer of Git LFS, not the file itself; run git lfs pull")
    if start[:4] in (b"\x89PNG", b"GIF8") or start[:3] == b"\xff\xd8\xff":
        raise ValueError(f"{path} is one picture; put pictures into FOLDER/CLASS/ and pass the folder")
    foreign = {
        b"\x80": "a Python pickle, which could run any code",
        b"\x89HDF": "an HDF5 file",
        b"PAR1": "a Parquet file",
        b"MATLAB": "a MATLAB file",
    }
    for begin, kind in foreign.items():
        if start.startswith(begin):
            raise ValueError(f"{path} is {kind}; expected {KINDS}. Save its arrays with np.savez")
    if b"\0" not in start and any(mark in start for mark in (b",", b";", b"\t")):
        return _csv(path)
    raise CorruptFile(f"{path} has an unknown format, it starts with {start[:8].hex(' ')}; expected {KINDS}")


def _folder(path: Path) -> Columns:
    inside = sorted(entry for entry in path.iterdir() if not entry.name.startswith((".", "__MACOSX")))
    ending = lambda entry: "".join(Path(entry.name.lower()).suffixes[-2:]).removesuffix(".gz")
    files = [entry for entry in inside if entry.is_file()]
    archives = [entry for entry in files if ending(entry).endswith(".npz")]
    if len(archives) == 1:
        return _archive(archives[0])
    if arrays_there := [entry for entry in files if ending(entry).endswith(".npy")]:
        return _npy_files(arrays_there[0])
    if images := [entry for entry in files if "ubyte" in entry.name and _named(entry.name)[0] == "images"]:
        return _idx_files(min(images, key=lambda entry: _named(entry.name)[1] != "train"))
    if tables := [entry for entry in files if ending(entry).endswith((".csv", ".tsv"))]:
        return _csv(min(tables, key=lambda entry: "train" not in entry.name.lower()))
    if any(entry.is_dir() for entry in inside):
        return _pictures(path)
    if any(entry.suffix.lower() in PICTURES for entry in files):
        raise ValueError(
            f"{path} holds pictures, but not by class; put each into a folder with its label's name, {path}/CLASS/"
        )
    raise ValueError(f"{path} holds no data that jaxnet can read; expected {KINDS}")


# Find the meaning of arrays.


def _named(name: str) -> tuple[str | None, str]:
    """The meaning of an array's name: first images, labels or None, then train, test or validation."""
    words = [
        word for word in re.split(r"[^a-z0-9]+", re.sub(r"^(x|y)(?=train|test|val)", r"\1_", name.lower())) if word
    ]
    part = next((part for part, known in PARTS.items() if any(word in known for word in words)), "train")
    return next((role for role, known in ROLES.items() if any(word in known for word in words)), None), part


def _dataset(columns: Columns, test_fraction: float) -> Dataset:
    found: dict[tuple[str, str], str] = {}
    for name in columns.names:
        role, part = _named(name)
        if role is not None and (role, part) in found:
            raise ValueError(f"{found[role, part]!r} and {name!r} can both be the {part} {role}; remove one of them")
        if role is not None:
            found[role, part] = name
    if missing := [role for role in ROLES if (role, "train") not in found]:
        raise ValueError(
            f"no array is called {' or '.join(missing)}; expected images, labels, test_images and test_labels (or x_train, "
            f"y_train, x_test, y_test), got {', '.join(sorted(columns.names)) or 'nothing'}"
        )
    half = [(role, part) for role, part in itertools.product(ROLES, ("test", "validation")) if (role, part) in found]
    for part in ("test", "validation"):
        if [each for _, each in half].count(part) == 1:
            raise ValueError(
                f"the {part} split has only {next(role for role, each in half if each == part)}; add the missing array"
            )
    has_test = ("images", "test") in found
    if not has_test and not test_fraction:
        raise ValueError(
            "there is no test split; add test_images and test_labels, or hold out some images: --test-fraction 0.2 on the "
            "command line, test_fraction=0.2 in Python"
        )
    if has_test and test_fraction:
        raise ValueError("the data already has a test split; leave test_fraction out")
    named = [str(name) for name in columns.read("classes").ravel()] if "classes" in columns.names else None
    limit = None if named is None else len(named)
    read = lambda part: arrays(
        columns.read(found["images", part]), columns.read(found["labels", part]), num_classes=limit
    )
    train = read("train")
    if named is None:
        require_dense(train.labels)
    if not has_test:
        train, test = _held_out(train, test_fraction)
    else:
        test = read("test")
    count = len(named) if named is not None else int(max(train.labels.max(), test.labels.max())) + 1
    if named is None and test.labels.max() > train.labels.max():
        require_dense(test.labels)
    if count > MOST_CLASSES:
        raise ValueError(
            f"the labels give {count:,} classes, more than the limit of {MOST_CLASSES:,}; merge some classes"
        )
    if train.images.shape[1:] != test.images.shape[1:]:
        raise ValueError(
            f"training images have the shape {train.images.shape[1:]}, but test images have {test.images.shape[1:]}; "
            "make the shapes equal"
        )
    return Dataset(train, test, tuple(named if named is not None else map(str, range(count))))


def _held_out(data: Batch, fraction: float) -> tuple[Batch, Batch]:
    """Hold out a random fraction as test images. The choice is always the same, and does not depend on a run's seed."""
    size = len(data.labels)
    number = round(fraction * size)
    if not 0 < number < size:
        raise ValueError(
            f"test_fraction={fraction:g} of {size:,} examples is {number:,}, but training and test need one example at least"
        )
    chosen = np.zeros(size, bool)
    chosen[np.random.default_rng(0).permutation(size)[:number]] = True
    return Batch(data.images[~chosen], data.labels[~chosen]), Batch(data.images[chosen], data.labels[chosen])


# NumPy's formats.


def _array(opened: Callable[[], IO[bytes]], size: int, name: str) -> np.ndarray:
    """Read `size` bytes as an array in NumPy's format. A header that announces more bytes is refused before reading."""
    with opened() as stream:
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise CorruptFile(
                f"{name} has version {version} of NumPy's format, which jaxnet cannot read; save it again"
            )
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        try:
            shape, _, dtype = header(stream)
        except Exception as error:  # NumPy parses the header as Python, which can raise many kinds of errors
            raise CorruptFile(f"{name} has a header that cannot be understood; fetch or save it again") from error
        held = size - stream.tell()
    if dtype.hasobject:
        raise ValueError(
            f"{name} holds Python objects, which are not read because they could run any code; save it as plain numbers"
        )
    announced = math.prod(shape) * dtype.itemsize
    if any(length < 0 for length in shape) or announced != held:
        raise CorruptFile(
            f"{name} announces {dtype} of shape {shape}, which needs {announced:,} bytes, but holds {max(0, held):,}"
        )
    _require_small(name, announced)
    with opened() as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def _require_small(name: str, count: int) -> None:
    if count > MOST_BYTES:
        raise ValueError(
            f"{name} takes {count / 1024**3:.0f} GiB, more than the limit of {MOST_BYTES >> 30} GiB; save fewer images"
        )


def _archive(path: Path) -> Columns:
    with zipfile.ZipFile(path) as file:
        members = {
            info.filename.removesuffix(".npy"): info for info in file.infolist() if info.filename.endswith(".npy")
        }
    for name, info in members.items():
        if info.file_size > DENSEST * info.compress_size + 1024:
            raise CorruptFile(
                f"{path}: {name} announces {info.file_size:,} bytes, but {info.compress_size:,} compressed bytes cannot hold them"
            )

    def read(name: str) -> np.ndarray:
        info = members[name]
        if info.flag_bits & 1:
            raise ValueError(f"{name} is encrypted; save the archive without a password")
        with zipfile.ZipFile(path) as file:
            return _array(lambda: file.open(info), info.file_size, name)

    return Columns(read, tuple(members))


def archive(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of an .npz archive. Every array is checked before it is read.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the archive is damaged, or holds Python objects.
    """
    if not path.exists():
        raise FileNotFoundError(f"no file {path}")
    with _in_words(path):
        columns = _archive(path)
        return {name: columns.read(name) for name in columns.names}


def _npy_files(path: Path) -> Columns:
    """List all .npy files in the folder of the given file, so that the labels are found too."""
    beside = {
        entry.stem: entry
        for entry in sorted(path.parent.iterdir())
        if entry.suffix.lower() == ".npy" and entry.is_file()
    }
    beside |= {path.stem: path}
    return Columns(
        lambda name: _array(lambda: beside[name].open("rb"), beside[name].stat().st_size, f"{beside[name]}"),
        tuple(beside),
    )


# IDX.


def _idx_files(path: Path) -> Columns:
    """List all IDX files in the folder of the given file. The names of the files say which arrays they hold."""
    beside = {entry.name: entry for entry in sorted(path.parent.iterdir()) if "ubyte" in entry.name and entry.is_file()}
    roles = {_named(name)[0] for name in beside}
    if path.name not in beside or not {"images", "labels"} <= roles:
        raise ValueError(
            "an IDX file needs the other IDX files beside it, train-images-idx3-ubyte, train-labels-idx1-ubyte and t10k-...; "
            f"found {sorted(beside)}"
        )
    # If a file is there with and without .gz, list it once.
    alone = [name for name in beside if not (name.endswith(".gz") and name.removesuffix(".gz") in beside)]
    return Columns(lambda name: idx.read(beside[name]), tuple(alone))


# Comma-separated values.


def _csv(path: Path) -> Columns:
    train, classes = _table(path)
    known, remarks = {"images": train[0], "labels": train[1]}, []
    beside = path.with_name(re.sub("train", "test", path.name, flags=re.IGNORECASE))
    if beside != path and beside.is_file():
        try:
            test, other = _table(beside)
        except LookupError:
            remarks.append(f"{beside.name} in the same folder has no labels, so it is not used")
        else:
            known |= {"test_images": test[0], "test_labels": test[1]}
            classes = None if classes is None or other is None else sorted({*classes, *other})
    if classes is not None:
        known |= {name: np.searchsorted(classes, known[name]) for name in known if name.endswith("labels")}
        known["classes"] = np.array(classes)
    return _of(known, remarks)


def _table(path: Path) -> tuple[tuple[np.ndarray, np.ndarray], list[str] | None]:
    """Read the images and labels of a table. If the labels are words, also return the sorted list of these words."""
    opened: Any = functools.partial(gzip.open if path.suffix == ".gz" else open, path, "rt", encoding="utf-8-sig")
    with opened() as file:
        first = file.readline(2**20)
    delimiter = max(",;\t", key=first.count)
    cells = next(csv.reader([first], delimiter=delimiter))
    titled = not all(_is_number(cell) for cell in cells[1:])
    names = [cell.strip().lower() for cell in cells] if titled else []
    known = [
        i for i, name in enumerate(names) if name in ("label", "labels", "class", "target", "y", "digit", "character")
    ]
    if titled and len(known) != 1:
        raise _NoLabels(
            f"no column is called label (Kaggle's test.csv has none), got {', '.join(names[:4])}, ..."
            if not known
            else f"several columns can be the label: {', '.join(names[i] for i in known)}"
        )
    where = known[0] if known else 0
    pixels = [i for i in range(len(cells)) if i != where]
    if len(pixels) < 1:
        raise ValueError(f"{path.name} needs a label and pixels in every row, got {len(cells)} column")

    def table(kind: Any, columns: list[int]) -> np.ndarray:
        with opened() as file:
            return np.loadtxt(file, kind, delimiter=delimiter, comments=None, quotechar='"', skiprows=int(titled), usecols=columns,
                              ndmin=2)  # fmt: skip

    with opened() as file:  # numpy ignores additional columns, so count the columns of every line
        for number, line in enumerate(file, 1):
            if line.strip() and '"' not in line and line.count(delimiter) != len(cells) - 1:
                raise ValueError(
                    f"line {number} of {path.name} has {line.count(delimiter) + 1} columns, the first has {len(cells)}"
                )
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy only warns about a table without rows
        try:
            images, words = table(np.float32, pixels), table(str, [where])[:, 0]
        except UserWarning as error:
            raise ValueError(f"{path.name} has no row of numbers") from error
    if images.size and images.min() >= 0 and images.max() <= 255 and (images == np.rint(images)).all():
        images = images.astype(np.uint8)
    if all(_is_number(word) for word in words):
        numbers = words.astype(np.float64)
        return (images, numbers.astype(np.int64) if (numbers == np.rint(numbers)).all() else numbers), None
    return (images, words), sorted(set(words.tolist()))


class _NoLabels(ValueError, LookupError):
    """A table has no column of labels."""


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


# Pictures.


def _pictures(path: Path) -> Columns:
    inner = lambda folder: sorted(
        entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith((".", "__MACOSX"))
    )
    parts = {part: entry for entry in inner(path) for part, words in PARTS.items() if entry.name.lower() in words}
    train = inner(parts["train"]) if "train" in parts else inner(path)
    test = inner(parts["test"]) if "train" in parts and "test" in parts else []
    names = sorted({entry.name for entry in (*train, *test)}, key=_natural)
    remarks, passed = [], collections.Counter()

    def listed(folders: Sequence[Path]) -> tuple[list[Path], np.ndarray]:
        files, labels = [], []
        for folder in folders:
            for entry in sorted(folder.rglob("*")):
                if entry.name.startswith(".") or not entry.is_file():
                    continue
                if entry.suffix.lower() not in PICTURES and not _is_picture(entry):
                    passed[entry.name] += 1
                    continue
                files.append(entry)
                labels.append(names.index(folder.name))
        return files, np.array(labels, np.int64)

    files, labels = listed(train)
    more, others = listed(test)
    if not files:
        raise ValueError(
            f"no pictures in {path}/CLASS/; got the folders {', '.join(entry.name for entry in inner(path)[:5]) or 'none'}"
        )
    if passed:
        remarks.append(
            f"{sum(passed.values()):,} files are not pictures and are left out, such as {next(iter(passed))}"
        )
    images, scaled = _same_size(files + more)
    if scaled:
        height, width = images.shape[1:3]
        remarks.append(
            f"{scaled:,} of {len(images):,} pictures do not have the most frequent size {width}x{height}; they are scaled to it"
        )
    known = {"images": images[: len(files)], "labels": labels, "classes": np.array(names)}
    return _of(known | ({"test_images": images[len(files) :], "test_labels": others} if more else {}), remarks)


def _natural(name: str) -> tuple[Any, ...]:
    """A key for sorting names, by which the number 10 comes after 9."""
    return tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name) if part)


def _is_picture(path: Path) -> bool:
    try:
        with pictures.opened(path):
            return True
    except ValueError:
        return False


def _same_size(files: Sequence[Path]) -> tuple[np.ndarray, int]:
    """Scale all pictures to the most frequent size, and count how many were scaled. The result is gray if all are gray."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        sizes = list(pool.map(_size, files))
        (width, height), _ = collections.Counter(sizes).most_common(1)[0]
        _require_small(f"{len(files):,} pictures of {width}x{height}", 3 * width * height * len(files))
        found = list(pool.map(lambda file, own: _picture(file, own, (width, height)), files, sizes))
    color = any(picture.mode == "RGB" and _is_colored(np.asarray(picture)) for picture in found)
    mode: Any = "RGB" if color else "L"
    images = np.stack([np.asarray(picture.convert(mode)) for picture in found])
    return images, sum(size != (width, height) for size in sizes)


def _is_colored(picture: np.ndarray) -> bool:
    return bool((picture != picture[..., :1]).any())


def _size(path: Path) -> tuple[int, int]:
    width, height = pictures.upright_size(path)
    if width * height > MOST_PIXELS:
        raise ValueError(f"{path} has {width}x{height} pixels, more than the limit of {MOST_PIXELS:,}; save it smaller")
    return width, height


def _picture(path: Path, own: tuple[int, int], size: tuple[int, int]) -> Any:
    """Read one picture with 8 bits, gray or RGB. Transparent parts become black if the rest is bright, otherwise white.

    Args:
        path: The file.
        own: The picture's width and height.
        size: The width and height to scale the picture to. A much larger picture is shrunk during decoding, to at
            least twice this size, so that it needs little memory.
    """
    from PIL import Image

    factor = max(1, min(side // (2 * goal) for side, goal in zip(own, size, strict=True)))
    planes = pictures.decode(path, longest=-(-max(own) // factor))
    if planes.dtype != np.uint8:
        levels = planes.astype(np.float64)
        scale = 255 / 65535 if levels.max(initial=0) > 255 else 1.0
        planes = np.clip(levels * scale, 0, 255).astype(np.uint8)
    if planes.shape[2:] == (4,):
        colors, opacity = np.ascontiguousarray(planes[..., :3]), planes[..., 3]
        shade = np.asarray(Image.fromarray(colors).convert("L"), np.float64)
        bright = 255 * shade.sum() > 127 * opacity.sum(dtype=np.float64)
        planes = colors if bright else colors + (255 - opacity[..., None])
    picture = Image.fromarray(np.ascontiguousarray(planes))
    return picture if picture.size == size else picture.resize(size, Image.Resampling.LANCZOS)
