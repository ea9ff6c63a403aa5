"""Own data: every kind of file read rightly, refused in words where it is wrong, and named where it is broken."""

import gzip
import io
import logging
import pickle
import struct
import zipfile

import numpy as np
import pytest
from PIL import Image

from jaxnet import commands, data, presets, training
from jaxnet.data import photo, tfds

RNG = np.random.default_rng(3)
IMAGES = RNG.integers(0, 256, (12, 5, 4), dtype=np.uint8)
LABELS = np.arange(12) % 3
GOOD = {"images": IMAGES, "labels": LABELS, "test_images": IMAGES[:4] // 2 + 60, "test_labels": LABELS[:4]}


def as_idx(array):
    return (
        b"\0\0\x08"
        + bytes([array.ndim])
        + struct.pack(f">{array.ndim}I", *array.shape)
        + array.astype(np.uint8).tobytes()
    )


def as_npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def as_csv(images, labels, delimiter=",", title=True):
    rows = [",".join(["label", *(f"pixel{i}" for i in range(images[0].size))])] if title else []
    rows += [",".join(map(str, [label, *image.ravel()])) for image, label in zip(images, labels, strict=True)]
    return "\n".join(rows).replace(",", delimiter) + "\n"


def npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def same(found, images=IMAGES, labels=LABELS):
    np.testing.assert_array_equal(found.train.images, images)
    np.testing.assert_array_equal(found.train.labels, labels)
    assert found.train.images.dtype == np.asarray(images).dtype


# NumPy's archives and arrays.


@pytest.mark.parametrize(
    "names",
    [
        "images labels test_images test_labels",
        "x_train y_train x_test y_test",
        "train_images train_labels test_images test_labels",
        "X_train y_train X_test y_test",
        "xtrain ytrain xtest ytest",
        "train/x train/y test/x test/y",
        "data target test_data test_target",
    ],
)
def test_arrays_are_found_under_the_names_that_others_give_them(names, tmp_path):
    found = data.from_file(npz(tmp_path / "own.npz", **dict(zip(names.split(), GOOD.values(), strict=True))))
    same(found)
    np.testing.assert_array_equal(found.test.images, GOOD["test_images"])
    assert found.classes == ("0", "1", "2")


def test_an_archive_as_medmnist_makes_them_is_read(tmp_path, caplog):
    column = LABELS[:, None].astype(np.uint8)
    path = npz(tmp_path / "m.npz", train_images=IMAGES, train_labels=column, val_images=IMAGES[:2], val_labels=column[:2],
               test_images=GOOD["test_images"], test_labels=column[:4])  # fmt: skip
    same(data.from_file(path))
    assert not caplog.records


def test_what_is_no_array_of_ours_is_left_alone(tmp_path):
    names = np.array([{"who": "me"}], object)
    same(data.from_file(npz(tmp_path / "own.npz", **GOOD, notes=names, weights=np.ones(3))))
    with pytest.raises(ValueError, match=r"images holds Python objects.*save it as plain numbers"):
        data.from_file(npz(tmp_path / "bad.npz", **GOOD | {"images": np.array([IMAGES[0], None], object)}))


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("compressed", [False, True])
def test_an_archive_is_known_by_its_content_not_its_name(order, compressed, tmp_path):
    stored = {name: np.asarray(array, order=order) for name, array in GOOD.items()}
    (np.savez_compressed if compressed else np.savez)(tmp_path / "own.npz", **stored)
    (tmp_path / "own.npz").rename(tmp_path / "OWN.NPZ.download")
    (tmp_path / "link").symlink_to("OWN.NPZ.download")
    found = data.from_file(tmp_path / "link")
    same(found)
    assert found.test.labels.tolist() == list(GOOD["test_labels"])


def test_npy_files_side_by_side_are_one_data_set(tmp_path):
    for name, array in GOOD.items():
        np.save(tmp_path / f"{name}.npy", array)
    for path in (tmp_path, tmp_path / "images.npy"):
        same(data.from_file(path))
    (tmp_path / "test_labels.npy").unlink()
    with pytest.raises(ValueError, match="the test split has only images; add the missing array"):
        data.from_file(tmp_path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": IMAGES}, "no array is called labels.*got images"),
        ({}, "no array is called images or labels.*got nothing"),
        (GOOD | {"x_train": IMAGES}, "'images' and 'x_train' can both be the train images"),
        (
            {"images": IMAGES, "labels": LABELS},
            "no test split; add test_images and test_labels, or .* --test-fraction 0.2",
        ),
        (
            GOOD | {"test_images": IMAGES[:4, :4]},
            r"training images have the shape \(5, 4\), but test images have \(4, 4\); make the shapes equal",
        ),
        (GOOD | {"classes": np.array(["a", "b"])}, "labels must lie in 0..1 for 2 classes, got 2 at position 2"),
        (GOOD | {"labels": LABELS * 40000}, "these reach 80,000 and only 3 are different.*np.searchsorted"),
        (GOOD | {"labels": np.where(LABELS == 2, 2**31 - 1, LABELS)}, "these reach 2,147,483,647"),
        (GOOD | {"labels": np.where(LABELS == 2, 2**31 + 5, LABELS)}, "these reach 2,147,483,653"),
        (GOOD | {"test_labels": np.array([0, 1, 2, 10**6])}, "these reach 1,000,000"),
        (GOOD | {"images": IMAGES // 16}, "own.npz: integer pixels reach only 15 of 255; multiply by 17"),
    ],
)
def test_an_archive_that_is_wrong_is_refused_with_the_remedy(arrays, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        data.from_file(npz(tmp_path / "own.npz", **arrays))


def test_labels_that_are_ids_train_once_the_advice_is_followed(tmp_path):
    labels = np.array([23, 711, 40012])[LABELS]
    ids = np.unique(labels)
    labels, test_labels = np.searchsorted(ids, labels), np.searchsorted(ids, labels[:4])
    found = data.from_file(
        npz(tmp_path / "own.npz", **GOOD | {"labels": labels, "test_labels": test_labels}, classes=ids)
    )
    same(found)
    assert found.classes == ("23", "711", "40012")


def lying():
    """An array of 10^15 pixels in 2 KB."""
    raw = as_npy(IMAGES)
    return raw[:128].replace(b"(12, 5, 4), }" + b" " * 16, b"(1000000000000000, 5, 4), }  ") + raw[128:]


def archive_of(raw, **how):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", **how) as file:
        for name, array in GOOD.items():
            file.writestr(f"{name}.npy", raw if name == "images" else as_npy(array))
    return buffer.getvalue()


def damaged():
    raw = bytearray(archive_of(as_npy(np.tile(IMAGES, (40, 1, 1))), compression=zipfile.ZIP_DEFLATED))
    raw[300:500] = b"\xff" * 200
    return bytes(raw)


def encrypted():
    raw = bytearray(archive_of(as_npy(IMAGES)))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = raw.find(signature)
        while at >= 0:
            raw[at + offset] |= 1
            at = raw.find(signature, at + 4)
    return bytes(raw)


BROKEN = {
    "empty": (lambda: b"", "is empty, 0 bytes"),
    "a web page": (lambda: b"<!DOCTYPE html><title>Sign in</title>" + b"x" * 500, "is a web page"),
    "a pointer": (lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS"),
    "cut": (lambda: archive_of(as_npy(IMAGES))[:700], "cannot be read"),
    "damaged": (damaged, "cannot be read|does not hold|announces"),
    "lying": (lambda: archive_of(lying()), "announces uint8 of shape .* but holds 240"),
    "encrypted": (encrypted, "is encrypted; save the archive without a password"),
    "an npy alone": (lambda: as_npy(IMAGES), "no array is called images or labels"),
    "a pickle": (lambda: pickle.dumps({"images": [1]}), "is a Python pickle, which could run any code"),
    "noise": (lambda: b"\x07\x01\x02\x03" * 9, "has an unknown format, it starts with 07 01"),
    "a picture": (lambda: b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "is one picture; put pictures into FOLDER/CLASS/"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_file_is_refused_by_name_and_finding(kind, tmp_path):
    make, message = BROKEN[kind]
    (tmp_path / "own.npz").write_bytes(make())
    with pytest.raises(ValueError, match=message) as caught:
        data.from_file(tmp_path / "own.npz")
    assert "own.npz" in str(caught.value)
    assert "pickle" not in str(caught.value) or kind == "a pickle"


def test_a_missing_file_says_what_is_read(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*none.npz; expected an .npz"):
        data.from_file(tmp_path / "none.npz")


# IDX.


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_under_mnists_names_are_read(packed, tmp_path):
    names = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]
    for name, array in zip(names, GOOD.values(), strict=True):
        raw = as_idx(array)
        (tmp_path / (name + ".gz" * packed)).write_bytes(gzip.compress(raw) if packed else raw)
    for path in (tmp_path, tmp_path / (names[0] + ".gz" * packed)):
        same(data.from_file(path))
    (tmp_path / (names[1] + ".gz" * packed)).unlink()
    (tmp_path / (names[3] + ".gz" * packed)).unlink()
    with pytest.raises(ValueError, match="needs the other IDX files beside it"):
        data.from_file(tmp_path)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"\0\0\x08\x03\0\0", "announces 3 axes, which need a header of 16 bytes, but holds 6"),
        (b"\0\0\x08\x03" + bytes.fromhex("800000008000000000000004"), r"announces shape \(2147483648, 2147483648, 4\)"),
        (as_idx(IMAGES) + b"x", "but holds 257"),
        (b"\0\0\x0b\x01\0\0\0\0", "not an IDX file of unsigned bytes"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_an_idx_file_that_does_not_hold_what_it_announces_is_refused(raw, message, packed, tmp_path):
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(as_idx(LABELS))
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(gzip.compress(raw) if packed else raw)
    with pytest.raises(data.CorruptFile, match=message + "|holds more than the 240") as caught:
        data.from_file(path, test_fraction=0.25)
    assert "train-images-idx3-ubyte" in str(caught.value)


# Tables.


SQUARE = RNG.integers(0, 256, (12, 4, 4), dtype=np.uint8)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("title", [True, False])
def test_tables_are_read_with_and_without_titles(delimiter, title, tmp_path):
    (tmp_path / "mnist_train.csv").write_text(as_csv(SQUARE, LABELS, delimiter, title))
    (tmp_path / "mnist_test.csv").write_text(as_csv(SQUARE[:4] // 2 + 50, LABELS[:4], delimiter, title))
    found = data.from_file(tmp_path / "mnist_train.csv")
    same(found, SQUARE)
    assert len(found.test.labels) == 4


def test_kaggles_table_has_no_test_labels_and_says_so(tmp_path, caplog):
    (tmp_path / "train.csv").write_text(as_csv(SQUARE, LABELS))
    unlabeled = "\n".join(line.partition(",")[2] for line in as_csv(SQUARE, LABELS).splitlines())
    (tmp_path / "test.csv").write_text(unlabeled)
    found = data.from_file(tmp_path, test_fraction=0.25)
    assert (len(found.train.labels), len(found.test.labels)) == (9, 3)
    assert "test.csv in the same folder has no labels, so it is not used" in caplog.text
    with pytest.raises(ValueError, match=r"no column is called label .Kaggle's test.csv has none., got pixel0"):
        data.from_file(tmp_path / "test.csv", test_fraction=0.25)


def test_labels_that_are_words_become_classes(tmp_path):
    (tmp_path / "own.csv.gz").write_bytes(
        gzip.compress(as_csv(SQUARE, np.array(["boot", "bag", "coat"])[LABELS]).encode())
    )
    found = data.from_file(tmp_path / "own.csv.gz", test_fraction=0.25)
    assert found.classes == ("bag", "boot", "coat")
    whole = np.concatenate([found.train.images, found.test.images]).reshape(12, -1)
    labels = np.concatenate([found.train.labels, found.test.labels])
    for image, label in zip(SQUARE, np.array([1, 0, 2])[LABELS], strict=True):
        assert labels[(whole == image.ravel()).all(1)].tolist() == [label]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label,a,b,c,d\n1,2,3\n", "line 2 of own.csv has 3 columns, the first has 5"),
        ("label,a,b,c,d\n1,2,3,4,5\n1,2,3,4,5,6\n", "line 3 of own.csv has 6 columns, the first has 5"),
        ("label,a,b,c,d\n", "has no row of numbers"),
        ("label,a,b,c,d\n1,2,3,x,5\n", "could not convert string 'x'"),
        ("label,class,b,c,d\n1,2,3,4,5\n", "several columns can be the label: label, class"),
        ("a,b,c,d,e\n1,2,3,4,5\n", "no column is called label"),
        ("label,a,b,c\n1,2,3,4\n0,2,3,4\n", r"images must have shape .*got \(2, 3\)"),
        ("label,a,b,c,d\n1,nan,3,4,5\n0,1,1,1,1", "NaN or infinite"),
    ],
)
def test_a_table_that_is_wrong_is_refused(text, message, tmp_path):
    (tmp_path / "own.csv").write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        data.from_file(tmp_path / "own.csv", test_fraction=0.5)
    assert "own.csv" in str(caught.value)


# Folders of pictures.


def folders(root, per_class=6, classes="abc", ending="png", size=(6, 7)):
    for label, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        for i in range(per_class):
            shade = np.full(size[::-1], 40 * label + i + 40, np.uint8)
            Image.fromarray(shade).save(root / name / f"{i}.{ending}")


def test_a_folder_of_pictures_by_class_is_read(tmp_path, caplog):
    folders(tmp_path / "train")
    folders(tmp_path / "test", per_class=2, classes="ab")
    (tmp_path / "train" / "a" / ".DS_Store").write_bytes(b"x")
    found = data.from_file(tmp_path)
    assert found.classes == ("a", "b", "c")
    assert found.train.images.shape == (18, 7, 6)
    assert found.train.images[:, 0, 0].tolist() == [40 * k + i + 40 for k in range(3) for i in range(6)]
    assert found.train.labels.tolist() == [k for k in range(3) for _ in range(6)]
    assert found.test.labels.tolist() == [0, 0, 1, 1]
    caplog.clear()
    (tmp_path / "train" / "a" / "notes.txt").write_text("x")
    data.from_file(tmp_path)
    assert "1 files are not pictures and are left out, such as notes.txt" in caplog.text


def test_without_a_test_folder_some_pictures_are_held_out_always_the_same(tmp_path):
    folders(tmp_path, classes=["9", "10", "2"])
    with pytest.raises(ValueError, match="no test split"):
        data.from_file(tmp_path)
    first, second = (data.from_file(tmp_path, test_fraction=0.2) for _ in range(2))
    assert first.classes == ("2", "9", "10")
    assert (len(first.train.labels), len(first.test.labels)) == (14, 4)
    assert data.digest(first) == data.digest(second)


def test_pictures_of_any_mode_and_size_become_one_array(tmp_path, caplog):
    folders(tmp_path, classes="ab")
    wide = Image.fromarray(np.full((14, 12), 99, np.uint8))
    wide.save(tmp_path / "a" / "large.png")
    wide.resize((6, 7)).convert("P").save(tmp_path / "a" / "palette.gif")
    Image.fromarray(np.full((7, 6), 99 * 257, np.uint16)).save(tmp_path / "b" / "deep.png")
    clear = np.zeros((7, 6, 4), np.uint8)
    clear[2:4, 2:4] = 255  # white strokes on nothing
    Image.fromarray(clear).save(tmp_path / "b" / "clear.png")
    found = data.from_file(tmp_path, test_fraction=0.1)
    assert found.train.images.shape[1:] == (7, 6)
    assert "1 of 16 pictures do not have the most frequent size 6x7; they are scaled to it" in caplog.text
    everything = np.concatenate([found.train.images, found.test.images])
    assert (everything == 99).all((1, 2)).sum() == 3
    assert any(image[2, 2] == 255 and image[0, 0] == 0 for image in everything)
    Image.new("RGB", (6, 7), "red").save(tmp_path / "a" / "red.png")
    assert data.from_file(tmp_path, test_fraction=0.1).train.images.shape[1:] == (7, 6, 3)


def test_a_drawing_that_would_run_another_program_is_left_out(tmp_path, caplog):
    folders(tmp_path, classes="ab")
    Image.new("L", (6, 7)).save(tmp_path / "a" / "drawing.eps")
    assert len(data.from_file(tmp_path, test_fraction=0.1).classes) == 2
    assert "1 files are not pictures and are left out, such as drawing.eps" in caplog.text


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n" + b"\0" * 40, b"GIF89a" + b"\xff" * 40, b"BM" + b"\xff" * 60])
def test_a_damaged_picture_in_a_folder_is_refused_as_the_same_file_is_as_a_photo(tmp_path, content):
    folders(tmp_path, classes="ab")
    (tmp_path / "a" / "bad.png").write_bytes(content)
    with pytest.raises(data.CorruptFile) as in_a_folder:
        data.from_file(tmp_path, test_fraction=0.1)
    with pytest.raises(data.CorruptFile) as alone:
        photo.read(tmp_path / "a" / "bad.png")
    assert str(in_a_folder.value) == str(alone.value)


@pytest.mark.parametrize("turn", range(1, 9))
def test_pictures_are_turned_as_the_camera_was_held(turn, tmp_path):
    folders(tmp_path, classes="a", per_class=2, size=(4, 6))
    upright = np.add.outer(10 * np.arange(6), np.arange(4)).astype(np.uint8) + 60
    stored = {1: lambda a: a, 2: np.fliplr, 3: lambda a: np.rot90(a, 2), 4: np.flipud, 5: np.transpose,
              6: lambda a: np.rot90(a, 1), 7: lambda a: np.rot90(a, 2).T, 8: lambda a: np.rot90(a, -1)}[turn](upright)  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = turn
    (tmp_path / "b").mkdir()
    for i in range(2):
        Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "b" / f"{i}.png", exif=exif)
    found = data.from_file(tmp_path, test_fraction=0.25)
    whole = np.concatenate([found.train.images, found.test.images])
    assert whole.shape == (4, 6, 4)
    assert sum(np.array_equal(image, upright) for image in whole) == 2


def test_a_folder_that_holds_no_data_says_what_is_read(tmp_path):
    with pytest.raises(ValueError, match="holds no data that jaxnet can read"):
        data.from_file(tmp_path)
    Image.new("L", (4, 4)).save(tmp_path / "one.png")
    with pytest.raises(ValueError, match="holds pictures, but not by class"):
        data.from_file(tmp_path)
    (tmp_path / "one.png").unlink()
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match=r"no pictures in .*got the folders a"):
        data.from_file(tmp_path)
    (tmp_path / "a" / "cut.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(data.CorruptFile, match=r"cut.png is not a picture that Pillow can read"):
        data.from_file(tmp_path)


# What is possible, but looks wrong.


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.zeros(12, int)}, "all training images have one label, 0"),
        (
            {"labels": LABELS + 1, "test_labels": LABELS[:4] + 1},
            "no training image has the label 0; labels that count from 1",
        ),
        ({"test_images": IMAGES[:4]}, "4 of 4 test images are also training images"),
        ({"images": np.tile(IMAGES[:1, :1, :1], (12, 5, 4))}, "12 of 12 training images have no contrast"),
        ({"images": 100 + IMAGES // 100, "test_images": 101 - IMAGES[:4] // 100}, "images have little contrast"),
        ({"test_images": GOOD["test_images"] / 255}, "are not on the same scale"),
    ],
)
def test_what_looks_wrong_is_said(changes, message, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "jaxnet"):
        data.from_file(npz(tmp_path / "own.npz", **GOOD | changes))
    assert message in caplog.text


def test_nothing_is_said_of_what_is_right(tmp_path, caplog, mnist):
    data.from_file(npz(tmp_path / "own.npz", **GOOD))
    from jaxnet.data.checks import suspicious

    assert list(suspicious(mnist)) == []
    assert not caplog.records


# Names and paths.


def test_names_mean_sets_and_paths_mean_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mine").mkdir()
    means = tfds.means_a_file
    assert [means(name) for name in ("mnist", "emnist/letters", "cifar10", "FashionMNIST")] == [False] * 4
    assert [means(name) for name in ("mine", "./mnist", "gone.npz", "a/b.CSV", "/x", "~/y")] == [True] * 6
    for name in ("MNIST", "FashionMNIST", "fashion-mnist"):
        with pytest.raises(ValueError, match=f"did you mean {'mnist' if name == 'MNIST' else 'fashion_mnist'}\\?"):
            data.load(name)
    with pytest.raises(ValueError, match="mnist has a test split of its own"):
        training.dataset(presets.film._replace(test_fraction=0.5))


@pytest.mark.slow
def test_a_run_knows_its_data_again(tmp_path):
    bright = lambda n: np.stack([np.full((4, 4), 60 + 90 * (i % 2), np.uint8) + np.uint8(i // 2) for i in range(n)])
    images, labels = bright(40), np.arange(40) % 2
    path = npz(tmp_path / "own.npz", images=images, labels=labels)
    settings = presets.film._replace(data=str(path), test_fraction=0.25, epochs=1, batch_size=10)
    commands.train(settings, out=tmp_path / "run", pictures=False)
    moved = path.rename(tmp_path / "moved.npz")
    with pytest.raises(FileNotFoundError, match=r"own.npz"):
        commands.bang(tmp_path / "run")
    assert commands.bang(tmp_path / "run", data=moved).nudges
    npz(path, images=images[::-1], labels=labels)
    with pytest.raises(
        ValueError, match=r"does not hold the data that the run was trained on: the sha256 differs; .*--data PATH"
    ):
        commands.bang(tmp_path / "run")
