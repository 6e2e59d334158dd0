"""Sizes that are suggested, and what is said of those that do not suit the data."""

import numpy as np
import pytest

from mrcnn_plus import lint
from mrcnn_plus.errors import DatasetError
from mrcnn_plus.lint.estimates.image_size_choice import choose_image_size
from tests.support.lint_boxes import boxes_dataset, settings, similar_objects


@pytest.mark.parametrize(
    ("size", "side", "max_dim"),
    [
        ((512, 512), 100, 512),  # as they are
        ((500, 500), 100, 512),  # the next multiple of 64
        ((3000, 4000), 300, 1024),  # shrunk to the usual size
        ((3000, 4000), 40, 1600),  # less, so that the objects keep 16 pixels
        ((256, 256), 10, 448),  # enlarged until they have 16 pixels
        ((256, 256), 3, 512),  # but not more than twice
    ],
)
def test_the_size_follows_images_and_objects(size, side, max_dim):
    suggestion = choose_image_size([size] * 5, [side] * 20)
    assert suggestion.max_dim == max_dim
    assert suggestion.max_dim % 64 == suggestion.min_dim % 64 == 0
    assert suggestion.mode == "square"


def test_elongated_images_are_padded_to_their_own_shape():
    suggestion = choose_image_size([(200, 1000)] * 5, [50] * 20)
    assert suggestion.mode == "pad64"
    assert suggestion.padding_share < 0.3


def test_images_of_unknown_size_are_left_out():
    assert choose_image_size([(np.nan, np.nan)]) is None
    assert choose_image_size([(np.nan, np.nan), (512, 512)]).max_dim == 512


def test_a_suggestion_is_lint_free():
    dataset = similar_objects(size=(700, 900))
    assert lint.check(settings(**lint.suggest_image_size(dataset).changes), dataset, select=("CFG00", "CFG02")).ok


def test_a_data_set_without_images_is_named():
    with pytest.raises(DatasetError, match="found none in AnnotatedDataset"):
        lint.suggest_image_size(boxes_dataset([]))


def test_images_of_512_under_600_are_an_error_and_enlarged_needlessly_with_512_as_the_change():
    report = lint.check(settings(IMAGE_MIN_DIM=600, IMAGE_MAX_DIM=600), similar_objects(), select=("CFG00", "CFG02"))
    assert [(finding.code, finding.severity) for finding in report] == [("CFG002", "error"), ("CFG009", "warning")]
    assert report.changes() == {"IMAGE_MIN_DIM": 512, "IMAGE_MAX_DIM": 512, "IMAGE_RESIZE_MODE": "square"}
    assert "512 x 512 are enlarged by 1.17 (100% of them" in report.warnings[0].message


def test_without_data_the_nearest_multiples_are_offered():
    (finding,) = lint.check(settings(IMAGE_MIN_DIM=600, IMAGE_MAX_DIM=600), select="CFG002")
    assert finding.fix == "Use 576 or 640."
    assert finding.changes == {"IMAGE_MIN_DIM": 576, "IMAGE_MAX_DIM": 576}


def test_enlarging_for_small_objects_is_right():
    small = similar_objects(height=10, width=10, size=(256, 256))
    report = lint.check(settings(IMAGE_MIN_DIM=512, IMAGE_MAX_DIM=512), small, select="CFG009")
    assert len(report) == 0


def test_the_default_sizes_are_no_warning_unless_they_double_the_images():
    def severities(side):
        report = lint.check(settings(), similar_objects(size=(side, side)), select="CFG009")
        return [finding.severity for finding in report]

    assert severities(700) == ["info"]
    assert severities(400) == ["warning"]
    assert severities(800) == []


def test_every_object_that_is_lost_is_listed():
    dataset = boxes_dataset([[(10, 10, 3, 50), (100, 100, 200, 200)], [(10, 10, 300, 4)]], size=(2048, 2048))
    (finding,) = lint.check(settings(IMAGE_MIN_DIM=512, IMAGE_MAX_DIM=512), dataset, select="DAT014")
    assert [place.rpartition(", ")[2] for place in finding.places] == ["annotations[0]", "annotations[0]"]
    assert finding.message.startswith("2 of 3 objects")
