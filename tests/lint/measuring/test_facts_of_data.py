"""The tables of images and objects."""

import numpy as np
import pytest
from PIL import Image

from mrcnn_plus.data import open_dataset
from mrcnn_plus.data.dataset import Dataset
from mrcnn_plus.lint.facts import Split
from mrcnn_plus.lint.measuring.image_facts import draws_annotations, image_names, loads_by_path
from tests.support.lint_data import Told, coco_content, noise, write_coco


@pytest.fixture
def coco(tmp_path):
    return open_dataset(write_coco(tmp_path, coco_content()))


def split_of(dataset, **options):
    return Split("train", dataset, **{"workers": 0, **options})


class Files(Dataset):
    def __init__(self, paths):
        super().__init__()
        self.add_class("files", 1, "thing")
        for number, path in enumerate(paths):
            self.add_image("files", number, path)
        self.prepare()

    def load_mask(self, image_id):
        shape = self.load_image(image_id).shape[:2]
        return np.ones((*shape, 1), bool), np.array([1])


def test_sizes_come_from_headers_and_no_pixel_is_read(coco, monkeypatch):
    monkeypatch.setattr(Split, "pixels", property(lambda _: pytest.fail("pixels were read")))
    images = split_of(coco).images
    assert images.sizes.tolist() == [[160, 200]] * 6
    assert images.names == [f"{number:03}.png" for number in range(6)]
    assert images.formats == ["PNG"] * 6
    assert images.file_sizes.min() > 100


def test_generated_images_have_the_size_that_they_are_loaded_with():
    images = split_of(Told(5, size=(40, 60)), sample=3).images
    known = ~np.isnan(images.sizes[:, 0])
    assert known.tolist() == [True, False, True, False, True]
    assert images.sizes[known].tolist() == [[40, 60]] * 3
    assert images.errors == [None] * 5


def test_a_registered_size_counts_where_nothing_else_is_known():
    dataset = Told(4)
    for info in dataset.image_info:
        info.update(width=60, height=40)
    assert split_of(dataset, sample=1).images.sizes.tolist() == [[40, 60]] * 4


def test_files_of_the_same_name_are_told_apart_by_their_folders(tmp_path):
    infos = [{"path": f"/data/{folder}/photo.jpg", "id": 0} for folder in ("a", "b")] + [
        {"path": "/data/c/x.jpg", "id": 1}
    ]
    assert image_names(infos) == ["a/photo.jpg", "b/photo.jpg", "x.jpg"]
    assert image_names([{"path": None, "id": "s7"}, {"path": "x.png", "id": 1}]) == ["image 0 (id 's7')", "x.png"]
    mixed = [{"path": path, "id": 0} for path in ("/a/x.png", "b/x.png", "C:\\b\\x.png", "https://host/x.png")]
    assert len(set(image_names(mixed))) == 4


def test_a_photo_that_a_reader_turns_has_the_size_after_turning(tmp_path):
    content = coco_content()
    path = write_coco(tmp_path, content)
    exif = Image.Exif()
    exif[274] = 6
    # Stored lying, annotated upright, as phones and browsers do it.
    upright = Image.open(tmp_path / "003.png")
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "003.png", exif=exif)
    images = split_of(open_dataset(path)).images
    assert images.stored[3].tolist() == [200, 160]
    assert images.sizes[3].tolist() == [160, 200]
    assert images.orientation.tolist() == [1, 1, 1, 6, 1, 1]


def test_a_missing_file_is_an_error_only_where_files_are_read(tmp_path):
    Image.fromarray(noise((30, 30), 0)).save(tmp_path / "a.png")
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    assert "b.png" in split_of(Files(paths)).images.errors[1]
    own = Told(2)
    for info, path in zip(own.image_info, ("x", "y"), strict=True):
        info["path"] = path
    assert split_of(own).images.errors == [None, None]


def test_overridden_methods_are_recognised(coco):
    assert loads_by_path(coco)
    assert draws_annotations(coco)
    assert not loads_by_path(Told())
    coco.load_mask = lambda image_id: None
    assert not draws_annotations(coco)


def test_objects_of_annotations_and_of_masks_agree(coco):
    split = split_of(coco)
    by_outline = split.objects
    del split.__dict__["objects"]
    coco.load_mask = type(coco).load_mask.__get__(coco)  # overridden, so that masks are measured
    by_mask = split.objects
    assert (by_outline.from_masks, by_mask.from_masks) == (False, True)
    assert by_outline.class_id.tolist() == by_mask.class_id.tolist()
    assert by_outline.image.tolist() == by_mask.image.tolist()
    assert np.abs(by_outline.boxes - by_mask.boxes).max() < 1.5
    assert np.abs(by_outline.areas / by_mask.areas - 1).max() < 0.05
    assert by_outline.places(3) == "001.png, annotations[3] (id 4)"
    assert by_mask.places(3) == "001.png, instance 1"


def test_a_sample_of_images_does_not_make_a_complete_table():
    assert not split_of(Told(5), sample=3).objects.complete
    assert split_of(Told(5), depth="pixels").objects.complete


def test_of_a_data_set_that_cannot_be_read_nothing_is_known_and_nothing_raises():
    split = split_of(Told(2, answers=[OSError("gone")] * 2))
    assert split.objects is None
    assert [item.measured for item in split.pixels] == [False, False]


def test_mask_folders_are_measured_on_their_masks(tmp_path):
    masks, _ = Told(1).rectangles(0)
    for name in ("one", "two"):
        for folder in ("images", "masks"):
            (tmp_path / name / folder).mkdir(parents=True)
        Image.fromarray(noise((40, 60), len(name))).save(tmp_path / name / "images" / f"{name}.png")
        for number in range(2):
            mask = Image.fromarray(masks[..., number].astype(np.uint8) * 255)
            mask.save(tmp_path / name / "masks" / f"{number}.png")
    table = split_of(open_dataset(tmp_path)).objects
    assert table.complete
    assert not np.isnan(table.boxes).any()
    assert table.areas.tolist() == [float(masks[..., number].sum()) for number in (0, 1, 0, 1)]
