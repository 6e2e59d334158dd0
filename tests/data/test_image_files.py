"""Every kind of image file, made here, against what its pixels must become; and files that are broken."""

import functools
import http.server
import logging
import threading
import warnings

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from mrcnn_plus.data.image_files import read_image
from mrcnn_plus.data.notices import forget_notices
from mrcnn_plus.errors import DatasetError

HEIGHT, WIDTH = 9, 14


@pytest.fixture(autouse=True)
def fresh_notices():
    forget_notices()
    # Pillow says something about palettes with transparency if they are converted carelessly.
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.fixture
def rgb():
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


@pytest.fixture
def wide():
    """16-bit values, both ends of the range among them."""
    values = np.random.default_rng(1).integers(0, 65536, (HEIGHT, WIDTH, 3), dtype=np.uint16)
    values[0, 0], values[0, 1] = 0, 65535
    return values


def assert_reads_as(path, expected, within=0):
    image = read_image(path)
    assert image.dtype == np.uint8 and image.shape == (HEIGHT, WIDTH, 3)
    image[0, 0, 0] += 0  # writable
    if expected.ndim == 2:
        expected = np.stack([expected] * 3, axis=-1)
    assert np.abs(image.astype(int) - expected).max() <= within


def by_257(values):
    return np.round(values / 257).astype(np.uint8)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tif", "a.webp"])
def test_rgb_files_are_read_as_they_are(tmp_path, rgb, name):
    Image.fromarray(rgb).save(tmp_path / name, lossless=True)
    assert_reads_as(tmp_path / name, rgb)
    assert_reads_as(str(tmp_path / name), rgb)


def test_a_jpeg_is_read_within_its_loss(tmp_path):
    smooth = np.stack([np.tile(np.linspace(40, 200, WIDTH), (HEIGHT, 1))] * 3, axis=-1).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / "a.jpg", quality=95)
    assert_reads_as(tmp_path / "a.jpg", smooth, within=4)


def test_grey_becomes_three_equal_channels(tmp_path, rgb):
    Image.fromarray(rgb[..., 0]).save(tmp_path / "grey.png")
    assert_reads_as(tmp_path / "grey.png", rgb[..., 0])


def test_alpha_is_dropped_and_colors_below_it_are_kept(tmp_path, rgb):
    alpha = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH, 1), dtype=np.uint8)
    Image.fromarray(np.dstack([rgb, alpha])).save(tmp_path / "rgba.png")
    Image.fromarray(np.dstack([rgb[..., :1], alpha]), "LA").save(tmp_path / "la.png")
    assert_reads_as(tmp_path / "rgba.png", rgb)
    assert_reads_as(tmp_path / "la.png", rgb[..., 0])


@pytest.mark.parametrize("transparency", [None, 2, b"\x00\x80\xff"])
def test_a_palette_is_resolved(tmp_path, transparency):
    indices = np.random.default_rng(3).integers(0, 3, (HEIGHT, WIDTH), dtype=np.uint8)
    palette = np.array([[250, 10, 20], [30, 240, 50], [60, 70, 230]], np.uint8)
    image = Image.fromarray(indices, "P")
    image.putpalette(palette.ravel().tolist())
    image.save(tmp_path / "p.png", **({} if transparency is None else {"transparency": transparency}))
    assert_reads_as(tmp_path / "p.png", palette[indices])


def test_one_bit_becomes_black_and_white(tmp_path):
    bits = np.random.default_rng(4).random((HEIGHT, WIDTH)) > 0.5
    for name in ("one.png", "one.tif"):
        Image.fromarray(bits).save(tmp_path / name)
        assert_reads_as(tmp_path / name, bits * 255)


def test_cmyk_jpeg_becomes_rgb(tmp_path):
    plain = Image.new("RGB", (WIDTH, HEIGHT), (200, 60, 30))
    plain.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=100)
    with Image.open(tmp_path / "cmyk.jpg") as saved:
        assert saved.mode == "CMYK"
    assert_reads_as(tmp_path / "cmyk.jpg", np.asarray(plain), within=3)


def test_16_bit_png_follows_the_rule_value_by_257(tmp_path, wide):
    cv2.imwrite(str(tmp_path / "rgb.png"), wide[..., ::-1])
    cv2.imwrite(str(tmp_path / "grey.png"), wide[..., 0])
    alpha = np.full((HEIGHT, WIDTH, 1), 40000, np.uint16)
    cv2.imwrite(str(tmp_path / "rgba.png"), np.dstack([wide[..., ::-1], alpha]))
    assert_reads_as(tmp_path / "rgb.png", by_257(wide))
    assert_reads_as(tmp_path / "grey.png", by_257(wide[..., 0]))
    assert_reads_as(tmp_path / "rgba.png", by_257(wide))


@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"compression": "zlib"}])
def test_16_bit_tiff_follows_the_same_rule(tmp_path, wide, options):
    tifffile.imwrite(tmp_path / "grey.tif", wide[..., 0], **options)
    tifffile.imwrite(tmp_path / "rgb.tif", wide, photometric="rgb", **options)
    planes = np.moveaxis(wide, -1, 0).copy()
    tifffile.imwrite(tmp_path / "planes.tif", planes, photometric="rgb", planarconfig="separate", **options)
    assert_reads_as(tmp_path / "grey.tif", by_257(wide[..., 0]))
    assert_reads_as(tmp_path / "rgb.tif", by_257(wide))
    assert_reads_as(tmp_path / "planes.tif", by_257(wide))


def test_16_bit_tiff_with_lzw_is_read_without_further_packages(tmp_path, wide):
    cv2.imwrite(str(tmp_path / "lzw.tif"), wide[..., ::-1])
    cv2.imwrite(str(tmp_path / "lzw_grey.tif"), wide[..., 0])
    with tifffile.TiffFile(tmp_path / "lzw.tif") as tiff:
        assert tiff.pages.first.compression.name == "LZW"
    assert_reads_as(tmp_path / "lzw.tif", by_257(wide))
    assert_reads_as(tmp_path / "lzw_grey.tif", by_257(wide[..., 0]))


def test_a_tiff_where_0_is_white_is_turned_round(tmp_path, wide):
    tifffile.imwrite(tmp_path / "white16.tif", wide[..., 0], photometric="miniswhite")
    tifffile.imwrite(tmp_path / "white8.tif", by_257(wide[..., 0]), photometric="miniswhite")
    assert_reads_as(tmp_path / "white16.tif", by_257(65535 - wide[..., 0]))
    assert_reads_as(tmp_path / "white8.tif", 255 - by_257(wide[..., 0]))


@pytest.mark.parametrize("compression", ["tiff_lzw", "jpeg", "tiff_adobe_deflate"])
def test_8_bit_tiff_of_any_compression_is_read(tmp_path, compression):
    grey = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    Image.fromarray(grey).save(tmp_path / "a.tif", compression=compression)
    assert_reads_as(tmp_path / "a.tif", grey, within=2)


def test_16_bit_pgm_is_read_by_the_rule(tmp_path, wide):
    header = f"P5 {WIDTH} {HEIGHT} 65535\n".encode()
    (tmp_path / "a.pgm").write_bytes(header + wide[..., 0].astype(">u2").tobytes())
    assert_reads_as(tmp_path / "a.pgm", by_257(wide[..., 0]))


def test_a_dark_16_bit_image_is_said_once_in_a_process(tmp_path, caplog):
    for name in ("first.png", "second.png"):
        cv2.imwrite(str(tmp_path / name), np.full((HEIGHT, WIDTH), 4095, np.uint16))
        assert_reads_as(tmp_path / name, np.full((HEIGHT, WIDTH), 16))
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 1 and "first.png" in messages[0] and "4095" in messages[0] and "load_image" in messages[0]


def test_a_16_bit_image_that_uses_its_range_is_not_mentioned(tmp_path, caplog, wide):
    cv2.imwrite(str(tmp_path / "a.png"), wide)
    read_image(tmp_path / "a.png")
    assert not caplog.records


def test_float_tiff_from_0_to_1_is_stretched_to_255(tmp_path):
    values = np.random.default_rng(5).random((HEIGHT, WIDTH, 3))
    tifffile.imwrite(tmp_path / "f32.tif", values[..., 0].astype(np.float32))
    tifffile.imwrite(tmp_path / "f64.tif", values, photometric="rgb")
    assert_reads_as(tmp_path / "f32.tif", np.round(values[..., 0].astype(np.float32) * 255))
    assert_reads_as(tmp_path / "f64.tif", np.round(values * 255))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.array([[0.0, 255.0]], np.float32), ["float32", "0.0", "255.0"]),
        (np.array([[-0.5, 0.5]], np.float32), ["-0.5"]),
        (np.array([[np.nan, 0.5]], np.float32), ["nan"]),
        (np.array([[-1000, 3000]], np.int16), ["int16", "-1000", "3000"]),
        (np.array([[0, 70000]], np.uint32), ["uint32", "70000"]),
    ],
)
def test_numbers_without_a_rule_are_an_error_that_says_their_range(tmp_path, values, words):
    tifffile.imwrite(tmp_path / "odd.tif", values)
    with pytest.raises(DatasetError) as error:
        read_image(tmp_path / "odd.tif")
    for word in [*words, "odd.tif", "load_image"]:
        assert word in str(error.value)


def test_a_tiff_of_five_channels_points_to_load_image(tmp_path):
    for planarconfig, shape in (("contig", (HEIGHT, WIDTH, 5)), ("separate", (5, HEIGHT, WIDTH))):
        bands = np.zeros(shape, np.uint16)
        tifffile.imwrite(tmp_path / "bands.tif", bands, photometric="minisblack", planarconfig=planarconfig)
        with pytest.raises(DatasetError, match=r"bands\.tif.*Override load_image.*IMAGE_CHANNEL_COUNT = 5"):
            read_image(tmp_path / "bands.tif")


def test_two_and_four_channel_tiffs_lose_the_last(tmp_path, rgb):
    two = np.dstack([rgb[..., 0], 255 - rgb[..., 0]])
    tifffile.imwrite(tmp_path / "two.tif", two, photometric="minisblack", planarconfig="contig")
    four = np.dstack([rgb, rgb[..., 0]])
    tifffile.imwrite(tmp_path / "four.tif", four, photometric="rgb", extrasamples=["unspecified"])
    assert_reads_as(tmp_path / "two.tif", rgb[..., 0])
    assert_reads_as(tmp_path / "four.tif", rgb)


@pytest.mark.parametrize("name", ["a.tif", "a.gif"])
def test_of_several_pages_the_first_is_read_and_that_is_said_once(tmp_path, caplog, name):
    pages = [Image.new("L", (WIDTH, HEIGHT), level) for level in (50, 150, 250)]
    pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
    for _ in range(2):
        assert_reads_as(tmp_path / name, np.full((HEIGHT, WIDTH), 50))
    assert [name in record.getMessage() and "first" in record.getMessage() for record in caplog.records] == [True]


@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "a.webp"])
@pytest.mark.parametrize("orientation", [2, 3, 4, 5, 6, 7, 8])
def test_exif_orientation_is_not_applied_but_said(tmp_path, caplog, name, orientation):
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[: HEIGHT // 2, : WIDTH // 2] = 240
    exif = Image.Exif()
    exif[274] = orientation
    Image.fromarray(image).save(tmp_path / name, exif=exif, quality=100)
    for _ in range(2):
        assert np.array_equal(read_image(tmp_path / name) > 120, image > 120)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 1 and name in messages[0] and f"orientation {orientation}" in messages[0]


def test_a_rotated_16_bit_tiff_is_not_turned_either(tmp_path, wide):
    tifffile.imwrite(tmp_path / "a.tif", wide, photometric="rgb", extratags=[(274, "H", 1, 6, True)])
    assert_reads_as(tmp_path / "a.tif", by_257(wide))


def test_the_content_decides_not_the_ending(tmp_path):
    Image.new("RGB", (WIDTH, HEIGHT), (10, 20, 30)).save(tmp_path / "a.jpg", quality=100)
    (tmp_path / "a.jpg").rename(tmp_path / "a.png")
    assert_reads_as(tmp_path / "a.png", np.full((HEIGHT, WIDTH, 3), (10, 20, 30)), within=2)


def broken(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty (0 bytes)"),
        (b"no image at all, just words", "not an image"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "git lfs pull"),
        (b"\n<!DOCTYPE html><html><body>404</body></html>", "HTML page"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", "damaged"),
        (b"II*\x00\x08\x00\x00\x00", "damaged"),
    ],
)
def test_a_broken_file_is_an_error_with_its_name_and_the_reason(tmp_path, content, words):
    path = broken(tmp_path, "bad.png", content)
    with pytest.raises(DatasetError) as error:
        read_image(path)
    assert str(path) in str(error.value) and words in str(error.value)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "wide.png", "wide.tif", "a.gif"])
def test_a_truncated_file_is_an_error(tmp_path, rgb, wide, name):
    if name.startswith("wide"):
        cv2.imwrite(str(tmp_path / name), np.tile(wide, (10, 10, 1)))
    else:
        Image.fromarray(np.tile(rgb, (10, 10, 1))).save(tmp_path / name)
    content = (tmp_path / name).read_bytes()
    broken(tmp_path, name, content[: len(content) // 2])
    with pytest.raises(DatasetError, match=f"{name}.*(damaged|cut off)"):
        read_image(tmp_path / name)


def test_a_missing_file_says_what_is_there_instead(tmp_path):
    (tmp_path / "Photo.JPG").write_bytes(b"x")
    with pytest.raises(DatasetError, match=r"PHOTO\.png.*it has 'Photo\.JPG'"):
        read_image(tmp_path / "PHOTO.png")
    with pytest.raises(DatasetError, match=r"exists but has no file 'other\.png'"):
        read_image(tmp_path / "other.png")
    with pytest.raises(DatasetError, match=r"there is no folder 'nowhere'.*relative to the current folder"):
        read_image("nowhere/a.png")


def test_a_folder_or_no_path_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match=r"^cannot read '[^']*': it is a folder\. [^:]*$"):
        read_image(tmp_path)
    for path in (None, "", 7):
        with pytest.raises(DatasetError, match="path=.*override load_image"):
            read_image(path)


def test_an_image_too_large_to_trust_says_how_to_raise_the_limit(tmp_path, rgb, monkeypatch):
    Image.fromarray(rgb).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(DatasetError, match="MAX_IMAGE_PIXELS"):
        read_image(tmp_path / "a.png")


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    handler = functools.partial(QuietHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
        thread.join()


def test_an_address_on_the_web_is_read(tmp_path, rgb, server):
    Image.fromarray(rgb).save(tmp_path / "a.png")
    assert_reads_as(f"{server}/a.png", rgb)


def test_an_address_that_fails_is_an_error_that_names_it(tmp_path, server):
    with pytest.raises(DatasetError, match=r"none\.png'.*404"):
        read_image(f"{server}/none.png")
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"empty\.png'.*0 bytes"):
        read_image(f"{server}/empty.png")
    with pytest.raises(DatasetError, match="cannot download"):
        read_image("http://127.0.0.1:9/a.png")


def test_plain_files_give_no_message(tmp_path, rgb, caplog):
    caplog.set_level(logging.INFO)
    Image.fromarray(rgb).save(tmp_path / "a.jpg")
    read_image(tmp_path / "a.jpg")
    assert not [record for record in caplog.records if record.name.startswith("mrcnn_plus")]
