"""A digit on noisy paper becomes the MNIST digit it was made from."""

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from jaxnet import scan


def on_paper(digit, rng, *, invert=True):
    """A digit as somebody might photograph it: enlarged, off center, with gray ink on noisy paper."""
    side = int(rng.integers(120, 400))
    size = int(side * rng.uniform(0.35, 0.75))
    large = np.asarray(Image.fromarray(digit).resize((size, size), Image.Resampling.BICUBIC), np.float64) / 255
    page = np.zeros((side, side))
    top, left = rng.integers(0, side - size + 1, 2)
    page[top : top + size, left : left + size] = large
    grain = ndimage.gaussian_filter(rng.normal(size=page.shape), 1.0)
    paper, ink = (225, 40) if invert else (30, 220)
    return np.clip(paper + (ink - paper) * page + 12 * grain + 4 * rng.normal(size=page.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("invert", [True, False])
def test_a_digit_on_paper_becomes_the_digit_it_was_made_from(mnist, invert):
    rng = np.random.default_rng(0)
    likeness = []
    for digit in mnist.test.images[:20]:
        found = scan.as_mnist(on_paper(digit, rng, invert=invert)).astype(float)
        likeness.append(np.corrcoef(found.ravel(), digit.ravel().astype(float))[0, 1])
    assert np.median(likeness) > 0.9
    assert min(likeness) > 0.7


def test_size_and_center_are_mnists(mnist):
    page = on_paper(mnist.test.images[0], np.random.default_rng(1))
    found = scan.as_mnist(page).astype(float)
    rows, columns = np.flatnonzero(found.sum(1)), np.flatnonzero(found.sum(0))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 <= 20
    center = [(found.sum(1 - axis) * np.arange(28)).sum() / found.sum() for axis in (0, 1)]
    assert np.abs(np.array(center) - 14).max() <= 0.75


def test_specks_are_dropped(mnist):
    clean = on_paper(mnist.test.images[0], np.random.default_rng(2))
    specked = clean.copy()
    specked[2:4, 2:4] = 0
    specked[-4:-2, -9:-7] = 0
    difference = scan.as_mnist(clean).astype(float) - scan.as_mnist(specked).astype(float)
    assert np.abs(difference).mean() < 2


@pytest.mark.parametrize("page", [np.full((60, 60), 255, np.uint8), np.zeros((60, 60), np.uint8)])
def test_an_empty_page_is_refused(page):
    with pytest.raises(ValueError, match="no digit to be seen"):
        scan.as_mnist(page)


def test_a_picture_too_small_is_refused():
    with pytest.raises(ValueError, match="at least 8x8 pixels, got 5x7"):
        scan.as_mnist(np.zeros((7, 5), np.uint8))


def test_files_are_read_as_gray_with_transparency_as_paper(tmp_path):
    picture = np.zeros((9, 9, 4), np.uint8)
    picture[4, 4] = (0, 0, 0, 255)
    Image.fromarray(picture).save(tmp_path / "a.png")
    gray = scan.read(tmp_path / "a.png")
    assert gray[0, 0] == 255
    assert gray[4, 4] == 0
    Image.fromarray(np.array([[0, 65535], [32768, 255]], np.uint16)).save(tmp_path / "deep.png")
    np.testing.assert_array_equal(scan.read(tmp_path / "deep.png"), [[0, 255], [128, 0]])
    (tmp_path / "b.png").write_text("no picture")
    with pytest.raises(ValueError, match="not a picture"):
        scan.read(tmp_path / "b.png")


def test_otsus_threshold_parts_two_crowds():
    values = np.concatenate([np.random.default_rng(0).normal(10, 1, 300), np.random.default_rng(1).normal(50, 2, 100)])
    assert 13 < scan.otsu(values.reshape(20, 20)) < 45
