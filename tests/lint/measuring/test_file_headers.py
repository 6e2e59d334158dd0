"""What is read of image files without decoding them, and damaged ones."""

import io

import numpy as np
import pytest
from PIL import Image

from mrcnn_plus.lint.measuring import file_headers
from mrcnn_plus.lint.measuring.file_headers import read_file_header
from tests.support.lint_data import noise

FORMATS = {"PNG": "a.png", "JPEG": "a.jpg", "GIF": "a.gif", "BMP": "a.bmp", "TIFF": "a.tif", "WEBP": "a.webp"}


def saved(folder, name="a.png", image=None, **options):
    path = folder / name
    (image or Image.fromarray(noise((40, 60), 0))).save(path, **options)
    return path


@pytest.fixture
def no_decoding(monkeypatch):
    def refuse(path):
        raise AssertionError(f"{path} was decoded")

    monkeypatch.setattr(file_headers, "read_image", refuse)


@pytest.mark.parametrize("kind", FORMATS)
def test_size_and_format_are_read_without_decoding(tmp_path, no_decoding, kind):
    header = read_file_header(saved(tmp_path, FORMATS[kind], format=kind))
    assert (header.width, header.height, header.format, header.orientation) == (60, 40, kind, 1)
    assert header.bytes == (tmp_path / FORMATS[kind]).stat().st_size
    assert header.error is None


@pytest.mark.parametrize(("name", "kind"), [("a.jpg", "JPEG"), ("a.tif", "TIFF"), ("a.png", "PNG"), ("a.webp", "WEBP")])
def test_the_orientation_is_read_and_the_size_is_the_stored_one(tmp_path, name, kind):
    exif = Image.Exif()
    exif[274] = 6
    header = read_file_header(saved(tmp_path, name, format=kind, exif=exif))
    assert (header.width, header.height, header.orientation) == (60, 40, 6)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1"])
def test_the_mode_is_that_of_pillow(tmp_path, mode):
    name = "a.jpg" if mode == "CMYK" else "a.png"
    assert read_file_header(saved(tmp_path, name, Image.fromarray(noise((40, 60), 0)).convert(mode))).mode == mode


def test_16_bits_in_each_channel_are_told_apart(tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / "a.png"), np.full((8, 9, 3), 40_000, np.uint16))
    assert read_file_header(tmp_path / "a.png").mode == "RGB;16"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP"])
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.97])
def test_a_file_that_was_cut_off_is_found(tmp_path, kind, kept):
    path = saved(tmp_path, FORMATS[kind], format=kind)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    assert str(path) in read_file_header(path).error


def test_a_cut_photo_with_a_preview_inside_is_found(tmp_path):
    preview = io.BytesIO()
    Image.fromarray(noise((40, 60), 3)).save(preview, format="JPEG")
    path = saved(tmp_path, "a.jpg", Image.fromarray(noise((300, 300), 0)))
    content = path.read_bytes()
    segment = b"\xff\xe5" + (len(preview.getvalue()) + 2).to_bytes(2, "big") + preview.getvalue()
    path.write_bytes((content[:2] + segment + content[2:])[:20_000])
    assert "damaged" in read_file_header(path).error


def test_data_after_the_end_of_a_photo_is_no_damage(tmp_path, no_decoding):
    path = saved(tmp_path, "a.jpg")
    path.write_bytes(path.read_bytes() + b"SEFT" + bytes(500))
    assert read_file_header(path).error is None


def test_a_file_with_an_unusual_end_that_can_be_read_is_no_error(tmp_path):
    path = saved(tmp_path, "a.gif")
    path.write_bytes(path.read_bytes() + bytes(100))
    assert read_file_header(path).error is None


@pytest.mark.parametrize(
    ("content", "word"), [(b"", "0 bytes"), (b"<!DOCTYPE html><html>", "HTML"), (b"hello", "not an image")]
)
def test_what_is_no_image_is_an_error_in_the_words_of_training(tmp_path, content, word):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    assert word in read_file_header(path).error


@pytest.mark.parametrize("path", ["missing/a.png", "", None, 3])
def test_a_path_that_leads_nowhere_is_an_error(path):
    assert read_file_header(path).error


def test_a_folder_is_no_image(tmp_path):
    assert "folder" in read_file_header(tmp_path).error


def test_nothing_is_downloaded():
    header = read_file_header("https://example.org/a.png")
    assert (header.width, header.error) == (None, None)


def test_a_file_that_pillow_does_not_know_but_training_can_read_has_its_size(tmp_path):
    import tifffile

    tifffile.imwrite(tmp_path / "a.tif", noise((40, 60), 0).astype(np.uint16) * 200, photometric="rgb")
    header = read_file_header(tmp_path / "a.tif")
    assert (header.width, header.height, header.error) == (60, 40, None)
