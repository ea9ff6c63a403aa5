"""MNIST, your own arrays, splits and mini-batches: nothing lost, nothing read wrongly."""

import gzip
import hashlib
import shutil
import socket
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnet import data, devices
from jaxnet.core.chunks import chunk_length
from jaxnet.core.types import Batch
from jaxnet.data import embedded, idx, reach


def test_mnist_is_the_original_files_in_full(mnist):
    assert mnist.train.images.shape == (60_000, 28, 28)
    assert mnist.test.images.shape == (10_000, 28, 28)
    assert mnist.train.images.dtype == mnist.train.labels.dtype == np.uint8
    np.testing.assert_array_equal(
        np.bincount(mnist.test.labels), [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    )
    assert list(mnist.train.labels[:10]) == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert mnist.classes == tuple("0123456789")


def test_a_changed_file_is_refused_by_its_sum(tmp_path, monkeypatch):
    shutil.copytree(embedded.FOLDER, tmp_path / "mnist")
    path = tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz"
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)
    monkeypatch.setattr(embedded, "FOLDER", tmp_path / "mnist")
    with pytest.raises(idx.CorruptFile, match=r"t10k-labels.*has the sha256 .*, expected f7ae60"):
        data.mnist()


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"", "starts with nothing"),
        (b"\x00\x00\x0d\x01\x00\x00\x00\x01\x00", "not an IDX file of unsigned bytes"),
        (b"\x00\x00\x08\x01\x00\x00\x00\x05abc", r"announces shape \(5,\), which needs 13 bytes, but holds 11"),
    ],
)
def test_what_is_no_idx_file_is_refused(raw, message, tmp_path):
    path = tmp_path / "some.gz"
    path.write_bytes(gzip.compress(raw))
    with pytest.raises(idx.CorruptFile, match=message):
        idx.read(path)


def test_a_file_cut_short_is_refused(tmp_path):
    path = tmp_path / "short.gz"
    path.write_bytes(gzip.compress(bytes(1000))[:-9])
    with pytest.raises(idx.CorruptFile, match="not a complete gzip file"):
        idx.read(path)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((3, 5)), [0, 1, 2], r"shape \(batch, height, width\).*got \(3, 5\)"),
        (np.zeros((28, 28)), np.zeros(28, int), None),  # 28 rows of 784 would do, and 28 of 28 are no square
        (np.zeros((0, 4, 4)), [], "no image in an array of shape"),
        (np.full((2, 4, 4), np.nan), [0, 1], r"32 values that are NaN or infinite, the first at position \(0, 0, 0\)"),
        (np.full((2, 4, 4), 200.0), [0, 1], "these reach 200; divide by 255"),
        (np.full((2, 4, 4), 300), [0, 1], r"must lie in 0..255, got 300..300; pass images / 300"),
        (np.full((2, 4, 4), "a"), [0, 1], "got dtype <U1"),
        (np.ones((2, 4, 4), int), [0, 1], "integer pixels reach only 1 of 255"),
        (np.zeros((2, 4, 4, 2)), [0, 1], r"channel axis of 1, 3 or 4 at the end, got \(2, 4, 4, 2\)"),
        (np.zeros((2, 4, 4)), [0, 1, 1], "got 2 images and 3 labels"),
        (np.zeros((2, 4, 4)), [0, -1], "count from 0, got -1 at position 1"),
        (np.zeros((2, 4, 4)), [0, 3], r"lie in 0..2 for 3 classes, got 3 at position 1"),
        (np.zeros((2, 4, 4)), [0.0, 1.5], "whole numbers, got dtype float64, such as 0.0; number the classes"),
        (np.zeros((2, 4, 4)), [0.0, 1.0], r"whole numbers, got dtype float64; use labels.astype\(int\)"),
        (np.zeros((2, 4, 4)), ["a", "b"], r"got dtype <U1; number the classes: classes, labels = np.unique"),
        (np.zeros((2, 4, 4)), np.ones((2, 2), int), r"got \(2, 2\); every image needs one label"),
        (np.zeros((2, 4, 4)), [0, 2**40], "only 2 are different"),
        (np.full((2, 4, 4), 16, np.uint8), [0, 1], "integer pixels reach only 16 of 255; multiply by 15"),
        (np.full((2, 4, 4), 1 / 255), [0, 1], "divided by 255 twice, multiply by 255"),
        (np.full((2, 4, 4), 60000.0), [0, 1], "these reach 60000; divide by 60000"),
        (
            np.stack([np.full((4, 4), 90.0), np.full((4, 4), -1.0)]),
            [0, 1],
            r"these reach 90; .*np.clip\(images, -16, 16\)",
        ),
        (np.zeros((2, 4, 4)), np.eye(2), r"got \(2, 2\); for one-hot rows pass labels.argmax"),
        (np.zeros((2, 4, 4)), np.zeros(0, int), "no label"),
    ],
)
def test_arrays_of_a_stranger_are_checked(images, labels, message):
    if message is None:
        message = r"got \(28, 28\); for one image use image\[None\]"
    with pytest.raises(ValueError, match=message):
        data.arrays(images, labels, num_classes=3)


def test_good_arrays_are_taken():
    assert data.arrays(np.zeros((2, 9), np.int64), [0, 1]).images.dtype == np.uint8
    assert data.arrays(np.zeros((2, 9)), [0, 1]).images.shape == (2, 3, 3)
    assert data.arrays(np.zeros((2, 5, 4, 1)), [0, 1]).images.shape == (2, 5, 4)
    assert data.arrays(np.ones((2, 3, 3), bool), [0, 1]).images.max() == 1.0
    assert data.arrays(np.zeros((2, 3, 3)), [[0], [1]]).labels.tolist() == [0, 1]
    colored = data.arrays(np.zeros((2, 3, 3, 3), np.uint8), np.array([0, 1], np.uint8))
    assert colored.images.shape == (2, 3, 3, 3)
    assert colored.labels.dtype == np.int32


def test_a_split_holds_out_and_loses_nothing(small):
    rest, held_out = data.split(jax.random.key(0), small.train, 300)
    assert (len(rest.labels), len(held_out.labels)) == (1700, 300)
    both = np.concatenate([rest.images, held_out.images]).reshape(2000, -1)
    whole = small.train.images.reshape(2000, -1)
    np.testing.assert_array_equal(both[np.lexsort(both.T)], whole[np.lexsort(whole.T)])
    again = data.split(jax.random.key(0), small.train, 300)[1]
    np.testing.assert_array_equal(again.images, held_out.images)
    with pytest.raises(ValueError, match="between 1 and 1,999 of the 2,000 examples, got 2000"):
        data.split(jax.random.key(0), small.train, 2000)


def numbered(count):
    return Batch(np.arange(count, dtype=np.int32).reshape(-1, 1, 1), np.arange(count, dtype=np.int32))


@pytest.mark.parametrize(("batch_size", "steps"), [(1, None), (7, 3), (10, None), (30, 1)])
def test_an_epoch_shows_every_example_once_in_a_new_order(batch_size, steps):
    key = jax.random.key(1)
    chunks = list(data.shuffled(key, numbered(30), batch_size, epochs=3, steps=steps))
    seen = np.concatenate([chunk.labels.ravel() for chunk in chunks]).reshape(3, -1)
    assert seen.shape == (3, 30 // batch_size * batch_size)
    assert all(len(set(epoch)) == len(epoch) for epoch in seen)
    assert not np.array_equal(seen[0], seen[1])
    for chunk in chunks:
        np.testing.assert_array_equal(chunk.images[..., 0, 0], chunk.labels)
        assert chunk.labels.shape[1] == batch_size


def test_chunks_lie_where_jax_can_use_them_and_cannot_be_changed(small):
    for batch_size in (7, 32):
        for chunk in data.shuffled(jax.random.key(2), small.train, batch_size):
            assert chunk.images.ctypes.data % 64 == chunk.labels.ctypes.data % 64 == 0
            with pytest.raises(ValueError, match="read-only"):
                chunk.images[0] = 0


def test_the_order_does_not_depend_on_the_chunks_or_the_device():
    orders = [
        np.concatenate(
            [chunk.labels.ravel() for chunk in data.shuffled(jax.random.key(2), numbered(40), 4, steps=steps)]
        )
        for steps in (1, 3, 10)
    ]
    assert all(np.array_equal(order, orders[0]) for order in orders)


def test_data_resident_on_a_device_gives_the_same_batches(monkeypatch):
    on_host = list(data.shuffled(jax.random.key(2), numbered(40), 4, steps=5, keyed=True))
    monkeypatch.setattr(devices, "_forced", True)
    resident = list(data.shuffled(jax.random.key(2), numbered(40), 4, steps=5, keyed=True))
    for host, device in zip(on_host, resident, strict=True):
        assert isinstance(device.images, jax.Array)
        np.testing.assert_array_equal(host.images, device.images)
        np.testing.assert_array_equal(host.labels, device.labels)
        assert jnp.array_equal(host.key, device.key)


def test_keys_are_all_different_and_the_same_in_any_chunks():
    keys = [
        np.concatenate(
            [
                jax.random.key_data(c.key)
                for c in data.shuffled(jax.random.key(2), numbered(20), 2, epochs=2, keyed=True, steps=s)
            ]
        )
        for s in (1, 4)
    ]
    np.testing.assert_array_equal(*keys)
    assert len({bytes(key) for key in keys[0]}) == 20


@pytest.mark.parametrize(
    ("batch_size", "message"), [(0, "got 0"), (41, "between 1 and 40, the number of examples, got 41")]
)
def test_impossible_batches_are_refused(batch_size, message):
    with pytest.raises(ValueError, match=message):
        data.shuffled(jax.random.key(0), numbered(40), batch_size)


@pytest.mark.parametrize(
    ("steps", "batch_size", "length"), [(1875, 32, 75), (468, 128, 26), (1, 60_000, 1), (937, 64, 39)]
)
def test_chunks_divide_the_epoch_where_they_can(steps, batch_size, length):
    assert chunk_length(steps, batch_size) == length


def test_offline_is_noticed_within_seconds():
    with socket.socket() as listening:  # bound but not listening: connections are refused
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        started = time.perf_counter()
        with pytest.raises(
            reach.Offline, match=f"'some' must be fetched first and 127.0.0.1:{port} cannot be reached.*files="
        ):
            reach.require_reachable("some", [f"http://127.0.0.1:{port}/file.gz"])
    assert time.perf_counter() - started < 4


def test_a_host_that_answers_is_enough_and_a_proxy_stands_for_it(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        reach.require_reachable("some", [f"http://127.0.0.1:{port}/file.gz"])
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{port}")
        assert reach.address("http://nowhere.invalid/file.gz") == ("127.0.0.1", port)
    assert reach.address("no address") is None


def test_the_published_sums_are_those_of_the_files():
    for name, sha256 in embedded.SHA256.items():
        assert hashlib.sha256((embedded.FOLDER / name).read_bytes()).hexdigest() == sha256
