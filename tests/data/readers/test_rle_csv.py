"""Tables of run lengths in the styles of Kaggle's competitions, and what breaks."""

import numpy as np
import pytest

from mrcnn_plus.data import open_dataset
from mrcnn_plus.errors import DatasetError

from .files import listed, save_image


def starts(mask):
    """Kaggle's text of a mask, the slow way."""
    flat = [0, *mask.T.ravel().astype(int), 0]
    begins = [i for i in range(1, len(flat)) if flat[i] and not flat[i - 1]]
    ends = [i for i in range(1, len(flat)) if not flat[i] and flat[i - 1]]
    return " ".join(f"{begin} {end - begin}" for begin, end in zip(begins, ends))


def box(y1, x1, y2, x2):
    mask = np.zeros((30, 40), bool)
    mask[y1:y2, x1:x2] = True
    return mask


ONE, TWO = box(2, 2, 8, 9), box(20, 30, 30, 40)


@pytest.fixture
def folder(tmp_path):
    save_image(tmp_path / "a.jpg")
    save_image(tmp_path / "b.jpg")
    return tmp_path


def read(folder, *lines, **options):
    (folder / "train.csv").write_text("\n".join(lines) + "\n")
    return open_dataset(folder / "train.csv", **options)


def test_a_row_for_each_object_is_read_and_empty_cells_mean_none(folder):
    dataset = read(folder, "ImageId,EncodedPixels", f"a.jpg,{starts(ONE)}", f"a.jpg,{starts(TWO)}", "b.jpg,")
    masks, class_ids = dataset.load_mask(0)
    assert dataset.format == "rle_csv" and np.array_equal(masks, np.stack([ONE, TWO], axis=-1))
    assert class_ids.tolist() == [1, 1] and dataset.load_mask(1)[0].shape == (30, 40, 0)
    assert dataset.image_info[0]["annotations"][1].place == "line 3"
    assert dataset.problems == []


@pytest.mark.parametrize(
    "header, row",
    [
        ("ImageId,EncodedPixels,Height,Width,ClassId", "a,{},30,40,leaf"),
        ("ImageId,ClassId,EncodedPixels", "a.jpg,leaf,{}"),
        ("id;annotation;width;height;cell_type", "a;{};40;30;leaf"),
        ("image_id\trle\tlabel", "a.jpg\t{}\tleaf"),
        ("ImageId_ClassId,EncodedPixels", "a.jpg_leaf,{}"),
    ],
)
def test_the_columns_of_several_competitions_are_understood(folder, header, row):
    dataset = read(folder, header, row.format(starts(ONE)))
    assert dataset.class_names == ["BG", "leaf"] and np.array_equal(dataset.load_mask(0)[0][..., 0], ONE)
    assert [problem.code for problem in dataset.problems] == ["DAT037"]  # b.jpg is not in the table


def test_attributes_behind_the_class_are_left_out(folder):
    dataset = read(folder, "ImageId,EncodedPixels,ClassId", f"a.jpg,{starts(ONE)},6_20_142", f"a.jpg,{starts(TWO)},13")
    assert dataset.class_names == ["BG", "13", "6"]


def test_the_class_column_may_be_chosen(folder):
    lines = ("ImageId,EncodedPixels,kind", f"a.jpg,{starts(ONE)},oak")
    assert read(folder, *lines, class_attribute="kind").class_names == ["BG", "oak"]
    with pytest.raises(DatasetError, match="class_attribute='sort'"):
        read(folder, *lines, class_attribute="sort")


def test_images_are_found_in_a_folder_for_each(tmp_path):
    save_image(tmp_path / "stage1_train" / "x1" / "images" / "x1.png")
    save_image(tmp_path / "stage1_train" / "x1" / "masks" / "m.png")
    dataset = read(tmp_path, "ImageId,EncodedPixels", f"x1,{starts(ONE)}")
    assert dataset.load_mask(0)[0].sum() == 42 and dataset.problems == []


@pytest.mark.parametrize(
    "cell, words",
    [
        ("1 2 3", "3 numbers"),
        ("0 5", "count from 1"),
        ("1 a", "pairs of start and length"),
        ("1190 50", "1239 pixels"),
    ],
)
def test_damaged_runs_are_listed_with_their_line(folder, cell, words):
    dataset = read(folder, "ImageId,EncodedPixels", f"a.jpg,{starts(ONE)}", f"a.jpg,{cell}", "b.jpg,")
    found = listed(dataset, "line 3")
    assert found.code == "DAT035" and found.skipped and words in found.message
    assert dataset.load_mask(0)[0].shape[2] == 1


def test_rows_that_are_cut_off_or_contradict_each_other_are_listed(folder):
    text = starts(ONE)
    dataset = read(
        folder,
        "ImageId,Height,Width,EncodedPixels",
        f"a.jpg,30,40,{text}",
        f"a.jpg,40,30,{text}",
        "a.jpg,30",
        "b.jpg,30,40,",
    )
    assert "expected 4 cells, received 2" in listed(dataset, "line 4").message
    assert listed(dataset, "line 3", "width and height differ").code == "DAT025"


def test_cells_longer_than_a_spreadsheet_allows_are_read(tmp_path):
    save_image(tmp_path / "a.png", 600, 400)
    mask = np.indices((400, 600)).sum(axis=0) % 2 == 0
    dataset = read(tmp_path, "ImageId,EncodedPixels", f"a.png,{starts(mask)}")
    assert np.array_equal(dataset.load_mask(0)[0][..., 0], mask)


def test_a_table_of_something_else_says_what_it_has(folder):
    with pytest.raises(DatasetError, match="columns 'image', 'x', 'y'.*none of them holds run-length"):
        read(folder, "image,x,y", "a.jpg,1,2")
