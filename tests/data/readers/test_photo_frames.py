"""Which way up a photo was annotated: the evidence, and arrays turned as Pillow turns photos."""

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from mrcnn_plus.data.readers.photo_frames import Header, apply_orientation, decide_frame, read_header
from mrcnn_plus.errors import DatasetError

from .files import save_image

LYING = Header(400, 300, 6)  # stored lying, upright it is 300 wide and 400 high


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_are_turned_as_pillow_turns_them(tmp_path, orientation):
    path = save_image(tmp_path / "a.png", 40, 30, orientation=orientation)
    image = Image.open(path)
    expected = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(apply_orientation(np.asarray(image), orientation), expected)
    assert read_header(path) == (40, 30, orientation)


def test_a_tiff_tells_the_size_of_the_stored_pixels(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((30, 40, 3), np.uint8), extratags=[(274, "H", 1, 6, True)])
    assert read_header(tmp_path / "a.tif") == (40, 30, 6)


def test_a_photo_without_orientation_has_one_frame():
    frame = decide_frame(Header(400, 300), declared=(300, 400), upright_by_custom=True)
    assert frame == (300, 400, 1, None, True)


@pytest.mark.parametrize("declared, orientation", [((400, 300), 1), ((300, 400), 6)])
def test_the_declared_size_decides(declared, orientation):
    frame = decide_frame(LYING, declared=declared)
    assert (frame.width, frame.height, frame.orientation, frame.certain) == (*declared, orientation, True)
    assert "declare" in frame.reason


@pytest.mark.parametrize("box, orientation", [((10, 310, 60, 390), 6), ((310, 10, 390, 60), 1)])
def test_coordinates_that_leave_one_frame_decide_also_against_the_declared_size(box, orientation):
    for declared in (None, (400, 300), (300, 400)):
        frame = decide_frame(LYING, declared=declared, boxes=[box, (1, 1, 5, 5), (np.nan,) * 4])
        assert frame.orientation == orientation and frame.certain
        assert "1 of 2 objects leave" in frame.reason


def test_a_point_just_beyond_the_border_is_no_evidence():
    frame = decide_frame(LYING, declared=(400, 300), boxes=[(10, 10, 50, 302)])
    assert frame.orientation == 1


@pytest.mark.parametrize("header", [LYING, Header(300, 300, 8), Header(400, 300, 3)])
def test_where_nothing_decides_the_custom_of_the_format_is_taken_and_said(header):
    boxes = [(10, 10, 50, 50)]
    stored = decide_frame(header, boxes=boxes)
    upright = decide_frame(header, boxes=boxes, upright_by_custom=True)
    assert (stored.orientation, upright.orientation) == (1, header.orientation)
    assert not stored.certain and not upright.certain
    assert "stored pixels are the default" in stored.reason and "show photos upright" in upright.reason


def test_objects_that_leave_both_frames_decide_nothing():
    frame = decide_frame(LYING, boxes=[(10, 10, 390, 390)])
    assert not frame.certain and "leave both frames" in frame.reason


def test_a_file_that_is_no_image_is_refused_with_its_name(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no image")
    with pytest.raises(DatasetError, match="a.jpg"):
        read_header(tmp_path / "a.jpg")
