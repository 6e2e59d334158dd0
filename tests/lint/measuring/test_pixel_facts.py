"""What is measured on pixels, and that it refuses what training refuses."""

import numpy as np
import pytest

from mrcnn_plus import lint
from mrcnn_plus.data.ground_truth import load_checked_image
from mrcnn_plus.errors import DatasetError
from mrcnn_plus.lint.measuring.pixel_facts import measure_image
from tests.support.lint_data import Told, noise


def told(masks, class_ids=None, **options):
    masks = np.stack(masks, axis=-1)
    ids = np.ones(masks.shape[-1], np.int32) if class_ids is None else class_ids
    return measure_image(Told(1, answers=[(masks, ids)], size=masks.shape[:2], **options), 0)


def disc(center_y, center_x, radius, size=(80, 100)):
    ys, xs = np.ogrid[: size[0], : size[1]]
    return (ys - center_y) ** 2 + (xs - center_x) ** 2 <= radius**2


def test_masks_are_measured():
    facts = told([disc(20, 20, 9), disc(20, 60, 5) | disc(60, 60, 8), np.zeros((80, 100), bool)])
    assert facts.boxes.tolist() == [[11, 11, 30, 30], [15, 52, 69, 69], [0, 0, 0, 0]]
    assert facts.areas.tolist() == [disc(20, 20, 9).sum(), disc(20, 60, 5).sum() + disc(60, 60, 8).sum(), 0]
    assert facts.components.tolist() == [1, 2, 0]
    assert facts.parts.tolist() == [1, 2, 0]


def test_crumbs_are_no_parts():
    mask = disc(30, 30, 20)
    mask[5, 90] = mask[70, 90] = True
    facts = told([mask])
    assert (facts.components.tolist(), facts.parts.tolist(), facts.dust.tolist()) == ([3], [1], [2])


def test_corners_inside_a_mask_are_counted():
    assert told([~disc(40, 50, 20), disc(0, 0, 10)]).corners.tolist() == [4, 1]


def test_instances_with_the_same_pixels_are_those_that_a_slow_comparison_finds():
    rng = np.random.default_rng(0)
    masks = [disc(*rng.integers(20, 60, 2), rng.integers(4, 18)) for _ in range(30)]
    masks += [np.roll(mask, 1, axis=0) for mask in masks[::3]] + [masks[4], masks[7]]
    slow = {
        (i, j)
        for i in range(len(masks))
        for j in range(i + 1, len(masks))
        if (masks[i] & masks[j]).sum() > 0.9 * (masks[i] | masks[j]).sum()
    }
    twins = told(masks).twins
    assert {(i, j) for i, j, _ in twins} == slow
    assert len(slow) > 2
    for i, j, iou in twins:
        assert iou == pytest.approx((masks[i] & masks[j]).sum() / (masks[i] | masks[j]).sum())


def test_values_of_masks_are_counted():
    mask = disc(20, 20, 9)
    assert told([mask.astype(np.uint8) * 255]).mask_values == (0.0, 255.0)
    soft = told([np.linspace(0, 1, 8000, dtype=np.float32).reshape(80, 100)])
    assert (soft.num_mask_values, soft.mask_values) == (8000, None)
    assert told([mask]).num_mask_values == 0


def test_equal_images_have_equal_digests_and_others_do_not():
    images = [noise((40, 60), 1), noise((40, 60), 1), noise((40, 60), 2), noise((60, 40), 1)]
    digests = [measure_image(Told(4, images=images), number).digest for number in range(4)]
    assert digests[0] == digests[1]
    assert len(set(digests)) == 3


def test_the_line_of_the_user_s_program_is_named():
    class Faulty(Told):
        def load_mask(self, image_id):
            return np.zeros([2, 2])[7]

    ((code, message),) = measure_image(Faulty(1), 0).problems
    assert code == "DAT040"
    assert "IndexError" in message
    assert "test_pixel_facts.py" in message


def test_a_second_answer_is_compared():
    class Counting(Told):
        asked = 0

        def load_mask(self, image_id):
            self.asked += 1
            masks, class_ids = self.rectangles(image_id)
            return np.roll(masks, self.asked, axis=0), class_ids

    assert measure_image(Counting(1), 0, repeat=True).changed == "load_mask"
    assert measure_image(Told(1), 0, repeat=True).repeats is True
    assert measure_image(Told(1), 0).repeats is None


MASKS, IDS = Told(1).rectangles(0)
REFUSED = {
    "list": (list(np.moveaxis(MASKS, -1, 0)), IDS),
    "None": None,
    "one": (MASKS,),
    "size": (MASKS[:-1], IDS),
    "flat": (MASKS[..., 0], IDS[:1]),
    "count": (MASKS, IDS[:1]),
    "names": (MASKS, ["a", "b"]),
    "nested": (MASKS, [IDS]),
    "fractions": (MASKS, IDS + 0.5),
    "beyond": (MASKS, IDS + 5),
    "background": (MASKS, IDS * 0),
    "large": (MASKS, IDS.astype(np.int64) + 2**40),
    "NaN": (np.where(MASKS, np.nan, 0.0), IDS),
    "text": ("masks", IDS),
}


@pytest.mark.parametrize("answer", REFUSED.values(), ids=REFUSED)
def test_what_training_refuses_the_linter_finds_by_the_rule_that_the_error_names(answer):
    dataset = Told(1, answers=[answer])
    dataset.load_mask = lambda image_id: answer
    with pytest.raises(DatasetError) as raised:
        load_checked_image(dataset, 0)
    ((code, message),) = measure_image(dataset, 0).problems
    assert code == raised.value.rule
    assert str(raised.value).endswith(message)


@pytest.mark.parametrize("image", [np.zeros([4]), "text", np.full([4, 4, 3], np.nan)], ids=["flat", "text", "NaN"])
def test_images_that_training_refuses_are_found_by_the_same_rule(image):
    dataset = Told(1)
    dataset.load_image = lambda image_id: image
    with pytest.raises(DatasetError) as raised:
        load_checked_image(dataset, 0)
    assert measure_image(dataset, 0).problems[0][0] == raised.value.rule == "DAT030"


def test_what_training_accepts_is_no_problem():
    answers = [
        (MASKS, IDS.tolist()),
        (MASKS.astype(np.uint8) * 255, IDS.astype(float)),
        (MASKS, -IDS),
        (np.empty([0, 0, 0]), []),
        [MASKS, IDS],
    ]
    for answer in answers:
        dataset = Told(1, answers=[answer])
        load_checked_image(dataset, 0)
        assert measure_image(dataset, 0).problems == []


class RandomMasks(Told):
    """As in a first try at a data set: np.random in both methods."""

    def load_image(self, image_id):
        return np.random.randint(0, 255, (64, 64, 3), np.uint8)

    def load_mask(self, image_id):
        return np.random.randint(0, 2, (64, 64, 2)), np.array([1, 2], np.int32)


def test_random_masks_are_called_noise_and_both_methods_change():
    report = lint.check(None, RandomMasks(12), workers=0)
    (noisy,) = [finding for finding in report if finding.code == "DAT053"]
    assert len(noisy.places) == 24
    (changing,) = [finding for finding in report if finding.code == "DAT052"]
    assert changing.value == "load_image and load_mask"


def test_a_thin_line_is_not_noise():
    masks = np.zeros((64, 64, 1), bool)
    masks[np.arange(64), np.arange(64), 0] = masks[20, :, 0] = True
    report = lint.check(None, Told(3, size=(64, 64), answers=[(masks, np.array([1]))] * 3), select="DAT053", workers=0)
    assert not list(report)
