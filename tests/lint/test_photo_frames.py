"""Photos that viewers turn by their EXIF orientation: which frame the annotations are in is decided by evidence."""

import json

import numpy as np
import pytest
from PIL import Image

from mrcnn_plus import lint
from mrcnn_plus.data import open_dataset
from mrcnn_plus.data.readers.photo_frames import apply_orientation
from tests.support.lint_data import HEIGHT, WIDTH, coco_content, write_coco
from tests.support.user_data_sets import Photos

BACK = {6: 8, 8: 6}


def turned_photos(folder, content, orientation):
    """Store the pictures of `content` so that viewers turn them upright, as cameras do: 000.png becomes 000.jpg."""
    write_coco(folder, content)
    exif = Image.Exif()
    exif[274] = orientation
    for path in sorted(folder.glob("*.png")):
        stored = apply_orientation(np.asarray(Image.open(path)), BACK.get(orientation, orientation))
        Image.fromarray(stored).save(path.with_suffix(".jpg"), exif=exif, quality=95)
        path.unlink()


def upright_coco(folder, orientation, **declared):
    """A COCO file whose objects were drawn on the upright photos."""
    content = coco_content(images=8)
    turned_photos(folder, content, orientation)
    for image in content["images"]:
        image["file_name"] = image["file_name"].replace(".png", ".jpg")
        image.pop("width"), image.pop("height")
        image.update(declared)
    (folder / "annotations.json").write_text(json.dumps(content))
    return open_dataset(folder / "annotations.json")


def found(dataset):
    report = lint.check(None, dataset, ignore="ENV")
    return {(finding.code, finding.severity) for finding in report.at_least("warning")}, str(report)


@pytest.mark.parametrize("orientation", [2, 3, 4, 6, 8])
def test_photos_with_a_declared_upright_size_are_told_and_no_error(tmp_path, orientation):
    findings, text = found(upright_coco(tmp_path, orientation, width=WIDTH, height=HEIGHT))
    if orientation >= 5:  # otherwise both frames have the same size, and nothing in the file decides
        assert findings == {("DAT016", "warning")}, text
    assert ("DAT016", "warning") in findings


def test_a_frame_that_was_taken_by_custom_is_an_error_if_the_pictures_contradict(tmp_path):
    dataset = upright_coco(tmp_path, 3)  # COCO files are taken to belong to the stored pixels
    findings, text = found(dataset)
    assert ("DAT016", "error") in findings, text
    assert "they lie on what the upright ones show" in text


class UprightPolygons(Photos):
    """Polygons of the upright photos, drawn on the stored ones by a program that does not know of EXIF."""

    def __init__(self, folder):
        content = coco_content(images=8)
        turned_photos(folder, content, 3)
        super().__init__(folder, content, ending=".jpg")


def test_a_program_that_ignores_the_orientation_is_named(tmp_path):
    findings, text = found(UprightPolygons(tmp_path))
    assert ("DAT016", "error") in findings, text
    assert "EXIF orientation 3" in text


def test_photos_that_no_viewer_turns_are_no_finding(tmp_path):
    findings, _ = found(upright_coco(tmp_path, 1, width=WIDTH, height=HEIGHT))
    assert findings == set()
