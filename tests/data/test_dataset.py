"""`Dataset` as programs use it: numbering, maps, subclasses of every habit, and mistakes that must be named."""

import copy
import inspect
import json
import pickle

import numpy as np
import pytest
from PIL import Image

from mrcnn_plus.data.dataset import Dataset, check_prepared, describe_image
from mrcnn_plus.data.notices import forget_notices
from mrcnn_plus.errors import DatasetError


@pytest.fixture(autouse=True)
def fresh_notices():
    forget_notices()


@pytest.fixture
def two_sources():
    dataset = Dataset()
    dataset.add_class("coco", 1, "person, individual")
    dataset.add_class("coco", 44, "bottle")
    dataset.add_class("toys", 1, "car")
    dataset.add_image("coco", 391895, "a.jpg", width=640, annotations=[1, 2])
    dataset.add_image(source="toys", image_id="first", path=None)
    dataset.prepare()
    return dataset


class ListsOnly(Dataset):
    """Picklable: at module level, as multiprocess workers need it."""

    def load_image(self, image_id):
        return np.full((4, 5, 3), image_id, np.uint8)


def test_every_public_method_has_matterports_signature(golden_dir):
    recorded = json.loads((golden_dir / "api.json").read_text())["utils"]["Dataset"]["methods"]
    for name, signature in recorded.items():
        member = inspect.getattr_static(Dataset, name)
        function = member.fget if isinstance(member, property) else member
        assert str(inspect.signature(function)) == signature, name


def test_prepare_numbers_classes_and_images(two_sources):
    assert two_sources.num_classes == 4
    assert two_sources.class_ids.tolist() == [0, 1, 2, 3]
    assert two_sources.class_names == ["BG", "person", "bottle", "car"]
    assert two_sources.num_images == len(two_sources.image_ids) == 2
    assert np.random.choice(two_sources.image_ids) in (0, 1)
    assert two_sources.class_from_source_map == {".0": 0, "coco.1": 1, "coco.44": 2, "toys.1": 3}
    assert two_sources.image_from_source_map == {"coco.391895": 0, "toys.first": 1}
    assert sorted(two_sources.sources) == ["", "coco", "toys"]
    assert two_sources.source_class_ids == {"": [0], "coco": [0, 1, 2], "toys": [0, 3]}


def test_image_and_class_infos_are_plain_dicts_with_everything_given(two_sources):
    assert two_sources.image_info[0] == {
        **{"id": 391895, "source": "coco", "path": "a.jpg"},
        **{"width": 640, "annotations": [1, 2]},
    }
    assert two_sources.class_info[0] == {"source": "", "id": 0, "name": "BG"}
    assert two_sources.source_image_link(0) == "a.jpg"
    assert two_sources.image_reference(0) == ""


def test_class_ids_map_to_the_source_and_back(two_sources):
    assert two_sources.map_source_class_id("coco.44") == 2
    assert two_sources.get_source_class_id(2, "coco") == 44
    assert two_sources.get_source_class_id(3, "toys") == 1


def test_unknown_ids_are_errors_that_say_what_exists(two_sources):
    with pytest.raises(DatasetError, match=r"source_class_id='coco\.7'.*'coco\.44'.*add_class"):
        two_sources.map_source_class_id("coco.7")
    with pytest.raises(DatasetError, match="class 3 .'car'. belongs to source 'toys'.*source='coco'"):
        two_sources.get_source_class_id(3, "coco")
    with pytest.raises(DatasetError, match="class_id=9"):
        two_sources.get_source_class_id(9, "coco")


def test_registering_a_class_twice_changes_nothing(caplog):
    dataset = Dataset()
    for _ in range(2):
        dataset.add_class("a", 1, "cat")
    assert len(dataset.class_info) == 2 and not caplog.records


def test_the_same_class_id_with_another_name_is_ignored_and_said(caplog):
    dataset = Dataset()
    dataset.add_class("a", 1, "cat")
    dataset.add_class("a", 1, "dog")
    assert [info["name"] for info in dataset.class_info] == ["BG", "cat"]
    message = caplog.records[0].getMessage()
    assert "'cat'" in message and "'dog'" in message and "class id 1" in message


def test_a_source_with_a_dot_is_an_error():
    with pytest.raises(DatasetError, match=r"source='my\.set'.*'cat'"):
        Dataset().add_class("my.set", 1, "cat")


def test_prepare_can_be_called_again_after_more_images(two_sources):
    two_sources.add_image("toys", "second", None)
    assert len(two_sources.image_ids) == 2
    two_sources.prepare()
    assert two_sources.image_ids.tolist() == [0, 1, 2]


def test_what_prepare_makes_says_so_while_it_is_missing():
    dataset = Dataset()
    for name in ("num_classes", "class_names", "num_images"):
        assert not hasattr(dataset, name)
        with pytest.raises(AttributeError, match=rf"{name}.*prepare\(\)"):
            getattr(dataset, name)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = dataset.nonsense
    with pytest.raises(DatasetError, match=r"prepare\(\) was not called"):
        dataset.map_source_class_id("a.1")


def test_an_init_that_does_not_call_super_works():
    class Careless(Dataset):
        def __init__(self, folder):
            self.folder = folder
            self.add_class("a", 1, "cat")

    dataset = Careless("somewhere")
    dataset.add_image("a", 1, None)
    dataset.prepare()
    assert dataset.num_classes == 2 and dataset.num_images == 1
    assert len(Careless("elsewhere").image_info) == 0, "data sets share nothing"


def test_an_init_that_calls_super_late_starts_empty_as_in_matterport():
    class Late(Dataset):
        def __init__(self):
            self.add_class("a", 1, "cat")
            super().__init__(class_map=None)

    assert len(Late().class_info) == 1


@pytest.mark.parametrize("prepared", [False, True])
def test_a_dataset_survives_pickle_and_copy(prepared):
    dataset = ListsOnly()
    dataset.add_class("a", 1, "cat")
    dataset.add_image("a", 1, None, polygons=np.arange(3))
    if prepared:
        dataset.prepare()
    for twin in (pickle.loads(pickle.dumps(dataset)), copy.deepcopy(dataset), copy.copy(dataset)):
        assert twin.class_info == dataset.class_info
        assert list(twin.image_ids) == list(dataset.image_ids)
        assert twin.load_image(0).shape == (4, 5, 3)


def test_load_image_gives_rgb_uint8_for_any_file(tmp_path):
    Image.new("LA", (7, 5), (80, 10)).save(tmp_path / "la.png")
    dataset = Dataset()
    dataset.add_image("a", 1, tmp_path / "la.png")
    dataset.prepare()
    image = dataset.load_image(0)
    assert image.dtype == np.uint8 and image.shape == (5, 7, 3) and (image == 80).all()


def test_load_image_errors_name_number_source_id_and_path(tmp_path):
    dataset = Dataset()
    dataset.add_image("zoo", "lion-7", str(tmp_path / "lion.png"))
    dataset.add_image("zoo", "made-up", None)
    dataset.prepare()
    with pytest.raises(DatasetError) as error:
        dataset.load_image(0)
    for word in ("image 0", "'zoo'", "'lion-7'", "lion.png"):
        assert word in str(error.value)
    with pytest.raises(DatasetError, match=r"image 1 .*'made-up'.*path=None.*override load_image"):
        dataset.load_image(1)
    for wrong in (2, "lion-7"):
        with pytest.raises(DatasetError, match=r"from 0 to 1, received image_id="):
            dataset.load_image(wrong)


def test_the_base_load_mask_is_empty_and_says_once_that_it_was_not_overridden(two_sources, caplog):
    for _ in range(2):
        masks, class_ids = two_sources.load_mask(0)
    assert masks.shape == (0, 0, 0) and class_ids.shape == (0,) and class_ids.dtype == np.int32
    assert len(caplog.records) == 1 and "Override load_mask" in caplog.records[0].getMessage()


def test_describe_image_works_for_any_kind_of_data_set(two_sources):
    assert describe_image(two_sources, 0) == "image 0 (source 'coco', id 391895, path 'a.jpg')"
    assert describe_image(object(), 3) == "image 3"


def test_check_prepared_tells_three_states_apart(caplog):
    dataset = ListsOnly()
    with pytest.raises(DatasetError, match="ListsOnly has no images"):
        check_prepared(dataset)
    dataset.add_image("a", 1, None)
    with pytest.raises(DatasetError, match=r"1 images.*prepare\(\) was not called"):
        check_prepared(dataset)
    dataset.prepare()
    check_prepared(dataset)
    dataset.add_image("a", 2, None)
    check_prepared(dataset)
    assert "1 images were added after prepare()" in caplog.records[0].getMessage()
