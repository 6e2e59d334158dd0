"""What a user's `load_mask` raises is told with the image, the line, the region, and what to do."""

import textwrap

import pytest

from mrcnn_plus.data.dataset import Dataset
from mrcnn_plus.data.ground_truth import load_checked_image
from mrcnn_plus.errors import DatasetError
from mrcnn_plus.lint.measuring.pixel_facts import measure_image

PROGRAM = """
import numpy as np
import skimage.draw
from mrcnn_plus.data.dataset import Dataset


class Balloons(Dataset):
    def load_image(self, image_id):
        return np.zeros((20, 30, 3), np.uint8)

    def load_mask(self, image_id):
        info = self.image_info[image_id]
        mask = np.zeros([20, 30, len(info["polygons"])], np.uint8)
        for i, p in enumerate(info["polygons"]):
            rr, cc = skimage.draw.polygon(p["all_points_y"], p["all_points_x"])
            mask[rr, cc, i] = 1
        return mask.astype(bool), np.ones([mask.shape[-1]], np.int32)
"""
INSIDE = {"name": "polygon", "all_points_x": [3, 9, 9], "all_points_y": [3, 3, 9]}


@pytest.fixture
def balloons(tmp_path):
    """A function from the regions of an image to the data set of a user's program."""
    path = tmp_path / "balloons.py"
    path.write_text(PROGRAM)
    namespace = {"__name__": "balloons"}
    exec(compile(PROGRAM, str(path), "exec"), namespace)

    def make(*regions):
        dataset = namespace["Balloons"]()
        dataset.add_class("balloon", 1, "balloon")
        dataset.add_image("balloon", "a.jpg", "a.jpg", polygons=list(regions))
        dataset.prepare()
        return dataset

    return make


@pytest.mark.parametrize(
    "region, words",
    [
        (
            {"name": "polygon", "all_points_x": [20, 30, 30, 20], "all_points_y": [2, 2, 9, 9]},
            [
                "IndexError: index 30 is out of bounds for axis 1 with size 30 (line 16 of balloons.py)",
                "Region 1 (counted from 0), a polygon with x from 20 to 30 and y from 2 to 9, reaches out of the mask, "
                "which has 30 columns",
                "skimage.draw.polygon(rows, cols, shape=mask.shape[:2])",
            ],
        ),
        (
            {"name": "rect", "x": 1, "y": 2, "width": 5, "height": 5},
            [
                "KeyError: 'all_points_y' (line 15",
                "Region 1 (counted from 0) is a rect, which has x, y, width and height",
            ],
        ),
        ({"name": "circle", "cx": 3, "cy": 3, "r": 2}, ["is a circle, which has cx, cy and r", "open_dataset"]),
    ],
)
def test_the_region_is_named_with_what_is_wrong_and_what_to_do(balloons, region, words):
    dataset = balloons(INSIDE, region)
    with pytest.raises(DatasetError) as raised:
        load_checked_image(dataset, 0)
    message = str(raised.value)
    assert message.startswith("image 0 (source 'balloon', id 'a.jpg', path 'a.jpg'): load_mask of Balloons raised ")
    for word in words:
        assert word in message
    (code, told), *_ = measure_image(dataset, 0).problems
    assert code == "DAT040" and all(word in told for word in words), "the linter says the same before training"


def test_other_errors_are_told_with_their_line_alone(tmp_path):
    text = textwrap.dedent(
        """
        from mrcnn_plus.data.dataset import Dataset

        class Broken(Dataset):
            def load_image(self, image_id):
                return self.nothing
        """
    )
    namespace = {"__name__": "broken"}
    exec(compile(text, str(tmp_path / "broken.py"), "exec"), namespace)
    dataset = namespace["Broken"]()
    assert isinstance(dataset, Dataset)
    dataset.add_class("a", 1, "a")
    dataset.add_image("a", 7, None)
    dataset.prepare()
    words = r"load_image of Broken raised AttributeError: .*\(line 6 of broken.py\)\. Correct"
    with pytest.raises(DatasetError, match=words):
        load_checked_image(dataset, 0)


def test_no_error_of_the_data_set_itself_is_wrapped(balloons):
    with pytest.raises(DatasetError, match="no images"):
        load_checked_image(type(balloons(INSIDE))(), 0)
