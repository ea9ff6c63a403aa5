"""A digit on any paper, in any light and any file format becomes the MNIST digit it was made from."""

import struct
import tracemalloc
import zlib

import numpy as np
import photo_generator as photos
import pytest
from photo_generator import on_paper
from PIL import Image, ImageDraw
from scipy import ndimage

from jaxnet.data import photo as scan
from jaxnet.data import pictures
from jaxnet.data.appearance import MNIST, appearance_of, distances, likeness, shrunk
from jaxnet.data.photo import digits, ink


def likeness_of(seen, original):
    blurred = [ndimage.gaussian_filter(image.astype(float), 0.8).ravel() for image in (seen, original)]
    return np.corrcoef(*blurred)[0, 1]


def saved(tmp_path, photo):
    file = tmp_path / f"photo{photo.suffix}"
    file.write_bytes(photo.content)
    return file


def pasted(mnist, seed, **how):
    original = mnist.train.images[seed]
    return original, photos.photo(
        np.random.default_rng(seed), lambda size, pen: photos.pasted(original, size), pixels=1.5e5, pen=20.0, **how
    )


@pytest.mark.parametrize("invert", [True, False])
def test_a_digit_on_paper_becomes_the_digit_it_was_made_from(mnist, invert):
    rng = np.random.default_rng(0)
    found = [
        likeness_of(scan.cut(on_paper(digit, rng, invert=invert)).image, digit) for digit in mnist.train.images[:12]
    ]
    assert np.median(found) > 0.87
    assert min(found) > 0.7


def reads_under_shadows(mnist, tmp_path, read):
    found = []
    for seed, lit in enumerate(("soft", "hard", "falls", "soft", "hard", "falls", "hand", "hand")):
        original, photo = pasted(mnist, 40 + seed, kind="paper", lit=lit, extras=())
        try:
            found.append(likeness_of(read(scan.read(saved(tmp_path, photo))), original))
        except ValueError:
            found.append(0.0)
    return float(np.mean(np.array(found) > 0.75))


def test_light_and_shadow_do_not_matter_and_a_reader_with_one_threshold_fails(mnist, tmp_path):
    def with_one_threshold(page):
        mask = ndimage.gaussian_filter(page.astype(float), 1) < (int(page.min()) + int(page.max())) / 2
        return scan.fitting._shaded(
            scan.fitting._placed(digits.Drawn(digits.cropped(mask), (), (0, 0, 0, 0)), MNIST), MNIST
        )

    assert reads_under_shadows(mnist, tmp_path, lambda page: scan.cut(page).image) >= 0.85
    assert reads_under_shadows(mnist, tmp_path, with_one_threshold) <= 0.6


@pytest.mark.parametrize("kind", ["lined", "squared", "blackboard", "screen"])
def test_ruling_and_blackboards_do_not_matter(mnist, tmp_path, kind):
    found = []
    for seed in range(4):
        original, photo = pasted(mnist, 60 + seed, kind=kind, lit="even", extras=())
        found.append(likeness_of(scan.cut(scan.read(saved(tmp_path, photo))).image, original))
    assert sorted(found)[1] > 0.75


def test_lines_of_squared_paper_are_removed_and_strokes_stay():
    page = np.zeros((300, 400), bool)
    page[20::40] = page[21::40] = True
    page[:, 25::40] = page[:, 26::40] = True
    stroke = np.zeros_like(page)
    stroke[60:240, 180:196] = True
    left = ink.unruled(page | stroke)
    assert left[stroke].mean() > 0.95
    assert left[~stroke].mean() < 0.02
    one = np.zeros_like(page)
    one[150:154, 30:370] = True
    assert (ink.unruled(one) == one).all()  # a single line may be a stroke


def test_thin_strokes_at_a_slant_stay_where_a_line_of_the_paper_is_removed():
    lines = np.zeros((300, 400), bool)
    lines[20::40] = lines[21::40] = True
    stroke = np.zeros_like(lines)
    for row in range(60, 240):
        stroke[row, 100 + round(0.7 * row)] = stroke[row, 101 + round(0.7 * row)] = True
    left = ink.unruled(lines | stroke)
    assert left[stroke].mean() > 0.95
    assert left[lines & ~stroke].mean() < 0.02


def a_page_with_a_seven():
    page = Image.new("L", (400, 300), 230)
    ImageDraw.Draw(page).line([(60, 60), (130, 60), (90, 200)], fill=40, width=9)
    return np.array(page)


def test_the_soft_shadow_of_a_finger_is_no_second_digit():
    page = a_page_with_a_seven()
    finger = np.zeros(page.shape)
    finger[70:230, 250:270] = 1
    shadowed = (page * (1 - 0.5 * ndimage.gaussian_filter(finger, 5))).astype(np.uint8)
    assert scan.cut(shadowed).remarks == ()
    page[80:200, 250:262] = 40
    assert scan.cut(page).remarks == (digits.SEVERAL,)


def test_the_sides_of_a_frame_are_no_digits_where_another_reading_shows_the_whole_frame():
    frame = np.zeros((200, 150), bool)
    frame[:3] = frame[-3:] = True
    frame[:, :3] = frame[:, -3:] = True
    piece = lambda top, left, mask: ink.Piece(
        (top, left, top + mask.shape[0], left + mask.shape[1]), mask, 0.5, 1.0, 1.0, 1.0, 0.3, False
    )
    left, right, digit = piece(30, 40, frame[:, :3]), piece(30, 187, frame[:, -3:]), piece(80, 90, frame[:90, :9])
    reading = lambda *pieces: ink.Layer(True, np.zeros((300, 400), np.float32), list(pieces))
    readings = [reading(left, right, digit), reading(piece(30, 40, frame), digit)]
    for layer in digits._without_frames(readings, (300, 400)):
        assert [found.box for found in layer.pieces] == [digit.box]


def test_what_is_faint_and_small_gets_a_remark():
    page = np.full((600, 600), 220, np.uint8)
    page[300:340, 300:303] = 190
    assert scan.cut(page).remarks == (digits.FAINT,)
    page[300:340, 300:303] = 40
    assert scan.cut(page).remarks == ()


def test_size_center_and_strokes_are_mnists(mnist):
    for pen in (1, 3, 60):
        rng = np.random.default_rng(pen)
        photo = photos.drawn(rng, 3, 400, pen)
        page = np.full((600, 700), 230, np.uint8)
        ink = photos.cut(photo)
        page[40 : 40 + ink.shape[0], 60 : 60 + ink.shape[1]] -= (200 * ink).astype(np.uint8)
        found = scan.cut(page).image.astype(float)
        rows, columns = np.flatnonzero(found.sum(1)), np.flatnonzero(found.sum(0))
        assert max(np.ptp(rows), np.ptp(columns)) + 1 <= 20
        center = [(found.sum(1 - axis) * np.arange(28)).sum() / found.sum() for axis in (0, 1)]
        assert np.abs(np.array(center) - 14).max() <= 0.75
        assert found.max() > 200
        assert 0.06 < found.mean() / 255 < 0.26


def test_specks_are_dropped(mnist):
    clean = on_paper(mnist.train.images[0], np.random.default_rng(2))
    specked = clean.copy()
    specked[2:4, 2:4] = 0
    specked[-4:-2, -9:-7] = 0
    difference = scan.cut(clean).image.astype(float) - scan.cut(specked).image.astype(float)
    assert np.abs(difference).mean() < 2


@pytest.mark.parametrize("page", [np.full((60, 60), 255, np.uint8), np.zeros((60, 60), np.uint8)])
def test_an_empty_page_is_refused(page):
    with pytest.raises(ValueError, match="no digit to be seen"):
        scan.cut(page)


def test_paper_without_ink_is_refused(tmp_path):
    for seed, kind in enumerate(("paper", "paper", "blackboard", "screen")):
        photo = photos.photo(np.random.default_rng(seed), None, kind=kind, lit="soft", extras=(), pixels=1.5e5)
        with pytest.raises(ValueError, match="no digit to be seen"):
            scan.cut(scan.read(saved(tmp_path, photo)))


def test_two_digits_and_a_digit_at_the_edge_get_a_remark(mnist, tmp_path):
    original = mnist.train.images[1]
    two = photos.photo(
        np.random.default_rng(3), lambda size, pen: photos.pasted(original, size),
        kind="paper", lit="even", extras=(), pixels=1.5e5, pen=20.0, count=2,
    )  # fmt: skip
    assert scan.cut(scan.read(saved(tmp_path, two))).remarks == (digits.SEVERAL,)
    page = np.full((200, 200), 240, np.uint8)
    page[:140, 80:110] = 20
    assert scan.cut(page).remarks == (digits.EDGE,)


def test_a_picture_too_small_is_refused():
    with pytest.raises(ValueError, match="at least 8x8 pixels, got 5x7"):
        scan.cut(np.zeros((7, 5), np.uint8))


def test_an_image_of_the_training_set_is_read_as_it_is(mnist):
    for digit in mnist.train.images[:5]:
        np.testing.assert_array_equal(scan.cut(digit).image, digit)
        assert likeness_of(scan.cut(255 - digit).image, digit) > 0.8


def test_pictures_are_made_to_look_like_the_training_images(mnist):
    digits = mnist.train.images[:300]
    dark = appearance_of(255 - digits)
    assert dark.drawn
    assert dark.ground == 1.0
    page = on_paper(digits[0], np.random.default_rng(0))
    assert likeness_of(255 - scan.cut(page, dark).image, digits[0]) > 0.8
    large = appearance_of(np.repeat(np.repeat(digits, 2, 1), 2, 2))
    assert scan.cut(page, large).image.shape == (56, 56)
    color = appearance_of(np.repeat(digits[..., None], 3, 3))
    assert scan.cut(page, color).image.shape == (28, 28, 3)
    noise = np.random.default_rng(0).integers(0, 256, (50, 16, 20, 3)).astype(np.uint8)
    assert not appearance_of(noise).isolated
    assert scan.cut(page, appearance_of(noise)).image.shape == (16, 20, 3)
    assert scan.cut(page, as_is=True).image.shape == (28, 28)
    floats = appearance_of(digits / np.float32(255))
    assert scan.values(digits[:1], floats).max() == 1.0


def test_few_digits_and_most_scribbles_are_unlike_the_training_images(mnist):
    look = appearance_of(mnist.train.images)
    known = likeness(mnist.train.images, look)
    far = lambda images: (distances(known, shrunk(images, look)) > known.limit).mean()
    assert far(mnist.test.images) < 0.01
    noise = np.random.default_rng(0).integers(0, 256, (50, 28, 28)).astype(np.uint8)
    assert far(noise) == 1.0
    assert far(255 - mnist.test.images[:50]) == 1.0


def test_files_of_every_kind_are_read_as_gray(tmp_path):
    def back(image, name="a.png", **how):
        image.save(tmp_path / name, **how)
        return scan.read(tmp_path / name)

    digit = np.full((30, 40), 255, np.uint8)
    digit[10:20, 15:18] = 0
    dark = digit < 100
    pages = [
        back(Image.fromarray(digit).convert(mode), "a.tif" if mode == "CMYK" else "a.png")
        for mode in ("1", "L", "P", "LA", "RGB", "RGBA", "CMYK")
    ]
    pages += [
        back(Image.fromarray(digit.astype(np.int32)), "i.tif"),
        back(Image.fromarray(digit / np.float32(255)), "f.tif"),
    ]
    pages += [back(Image.fromarray((digit > 100).astype(np.uint16) * 3), "few.png")]
    for page in pages:
        assert page.shape == digit.shape
        assert page[~dark].min() > page[dark].max() + 150
    strokes = np.zeros((30, 40, 4), np.uint8)
    strokes[dark] = 255
    assert (back(Image.fromarray(strokes)) > 128).tolist() == dark.tolist()
    strokes[dark] = (0, 0, 0, 255)
    assert (back(Image.fromarray(strokes)) < 128).tolist() == dark.tolist()


@pytest.mark.parametrize("turn", range(1, 9))
def test_pictures_stand_upright(tmp_path, turn):
    from PIL import ImageOps

    picture = np.arange(6 * 9, dtype=np.uint8).reshape(6, 9) * 4
    exif = Image.Exif()
    exif[0x0112] = turn
    Image.fromarray(picture).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as file:
        np.testing.assert_array_equal(scan.read(tmp_path / "a.png"), np.asarray(ImageOps.exif_transpose(file)))


def png(width, height, body=b""):
    chunk = lambda name, part: struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(body)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no picture", "not a picture"),
        (b"", "not a picture"),
        (png(20, 10, b"x"), "damaged"),
        (png(20_000, 9_000), "header claims"),
        (png(9_000, 9_000), "header claims 9000x9000 pixels, which [0-9]+ bytes cannot hold"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_line(tmp_path, content, said):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ValueError, match=said) as caught:
        scan.read(tmp_path / "a.png")
    assert str(tmp_path / "a.png") in str(caught.value)
    assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        scan.read(tmp_path / "none.png")
    with pytest.raises(ValueError, match="a folder"):
        scan.read(tmp_path)


def test_a_large_photo_is_shrunk_while_it_is_read(tmp_path):
    Image.new("L", (9000, 6000), 200).save(tmp_path / "a.jpg")
    assert max(scan.read(tmp_path / "a.jpg").shape) <= 4800


def test_a_large_picture_of_one_color_is_not_taken_for_a_lie(tmp_path):
    page = Image.new("RGB", (4200, 4200), "white")
    page.paste("black", (2000, 1000, 2200, 3000))
    page.save(tmp_path / "a.png", compress_level=9)
    assert scan.read(tmp_path / "a.png").shape == (4200, 4200)
    size = (tmp_path / "a.png").stat().st_size
    assert pictures.DENSEST * size < 4 * 4200**2  # the bytes that Pillow takes in memory are more than a file holds


def test_a_large_picture_takes_little_more_memory_than_its_pixels(tmp_path):
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (3000, 3000, 3), np.uint8)).save(tmp_path / "a.bmp")
    tracemalloc.start()
    try:
        scan.read(tmp_path / "a.bmp")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * 27e6


@pytest.mark.parametrize("bent", ["perspective", "curved"])
def test_lines_of_a_page_seen_at_an_angle_do_not_matter(mnist, tmp_path, bent):
    found = []
    for seed in range(4):
        original, photo = pasted(mnist, 80 + seed, kind="lined", lit="even", extras=(), bent=bent)
        found.append(likeness_of(scan.cut(scan.read(saved(tmp_path, photo))).image, original))
    assert sorted(found)[1] > 0.75
