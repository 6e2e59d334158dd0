"""Run lengths against pycocotools, and damaged ones."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mrcnn_plus.data.readers.rle import draw_runs, encode_mask, run_lengths, runs_box, runs_from_starts
from mrcnn_plus.errors import DatasetError


def random_masks():
    rng = np.random.default_rng(0)
    yield np.zeros((7, 5), bool)
    yield np.ones((7, 5), bool)
    for number in range(60):
        height, width = rng.integers(1, 60, 2)
        mask = np.zeros((height, width), bool)
        for _ in range(number % 5 + 1):
            y, x = rng.integers(0, height), rng.integers(0, width)
            mask[y : y + rng.integers(1, 30), x : x + rng.integers(1, 30)] ^= True
        yield mask
    yield rng.random((200, 300)) > 0.5
    wide = np.zeros((3000, 2000), bool)
    wide[5, 5] = wide[2990, 1990] = True  # long runs take several characters
    yield wide


def test_compressed_text_gives_the_runs_of_pycocotools():
    for mask in random_masks():
        text = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]
        runs = run_lengths(text)
        assert np.array_equal(draw_runs(runs, *mask.shape), mask)
        assert np.array_equal(run_lengths(text.decode()), runs)


def test_encoding_is_the_inverse_of_drawing():
    for mask in random_masks():
        assert np.array_equal(draw_runs(encode_mask(mask), *mask.shape), mask)


def test_the_box_is_tight_around_the_mask():
    for mask in random_masks():
        box = runs_box(encode_mask(mask), mask.shape[0])
        if not mask.any():
            assert box is None
            continue
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        assert box == (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)


def test_starts_count_from_one_down_the_columns():
    mask = draw_runs(runs_from_starts("1 2 11 1"), 4, 3, open_end=True)
    expected = np.zeros((4, 3), bool)
    expected[[0, 1, 2], [0, 0, 2]] = True
    assert np.array_equal(mask, expected)


def test_unordered_and_overlapping_starts_are_united():
    assert runs_from_starts("11 2 1 3 2 4").tolist() == [0, 5, 5, 2]
    assert runs_from_starts("1 3 4 2").tolist() == [0, 5]


@pytest.mark.parametrize(
    "counts, reason",
    [
        ("abc\x01", "damaged"),
        ("e", "damaged"),
        ("oooooooooooooooooo0", "too large"),
        (None, "None"),
        ([1, -2, 3], "whole numbers from 0"),
        ([1.5, 2], "whole numbers"),
        ([float("nan"), 2], "whole numbers"),
        ([1e30], "longer than any image"),
        (["x"], "a list of numbers"),
        ({"a": 1}, "a list of numbers"),
        (np.array([3, -1]), "from 0"),
    ],
)
def test_damaged_counts_are_refused_with_the_reason(counts, reason):
    with pytest.raises(DatasetError, match=reason):
        run_lengths(counts)


@pytest.mark.parametrize(
    "pairs, reason",
    [("1 2 3", "3 numbers"), ("0 5", "from 1"), ("1 x", "pairs"), ("-4 2", "whole"), ("1 1e30", "beyond any image")],
)
def test_damaged_starts_are_refused_with_the_reason(pairs, reason):
    with pytest.raises(DatasetError, match=reason):
        runs_from_starts(pairs)


def test_runs_of_another_size_never_reach_memory():
    with pytest.raises(DatasetError, match="1000 pixels, an image of 4 x 3"):
        draw_runs(np.array([0, 1000]), 3, 4)
    with pytest.raises(DatasetError, match="4 pixels"):
        draw_runs(np.array([2, 2]), 3, 4)
    assert draw_runs(np.array([2, 2]), 3, 4, open_end=True).sum() == 2
