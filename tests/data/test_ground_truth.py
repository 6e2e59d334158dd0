"""One image made ready, against a slow obvious version; and every wrong answer of load_image and load_mask."""

import numpy as np
import pytest
from PIL import Image

from mrcnn_plus.data.dataset import Dataset
from mrcnn_plus.data.ground_truth import load_ground_truth
from mrcnn_plus.data.notices import forget_notices
from mrcnn_plus.errors import DatasetError
from mrcnn_plus.geometry.molding import parse_image_meta
from mrcnn_plus.geometry.resizing import ResizeSettings

from .data_sets import Answers, Rectangles

AS_IT_IS = ResizeSettings(mode="none")
SQUARE = ResizeSettings(min_dim=64, max_dim=128, mode="square")


@pytest.fixture(autouse=True)
def fresh_notices():
    forget_notices()


def two_masks(height=20, width=30):
    masks = np.zeros((height, width, 2), bool)
    masks[2:8, 3:9, 0] = True
    masks[10:19, 12:29, 1] = True
    return masks


def box_of(mask):
    """The obvious box around a mask: first and one past the last row and column with a pixel."""
    rows = [y for y in range(mask.shape[0]) if mask[y].any()]
    columns = [x for x in range(mask.shape[1]) if mask[:, x].any()]
    return [rows[0], columns[0], rows[-1] + 1, columns[-1] + 1]


def test_without_resizing_image_masks_and_boxes_are_those_of_the_data_set():
    dataset = Rectangles([3])
    truth = load_ground_truth(dataset, 0, resize=AS_IT_IS)
    masks, class_ids = dataset.load_mask(0)
    assert np.array_equal(truth.image, dataset.load_image(0))
    assert np.array_equal(truth.masks, masks) and truth.masks.dtype == bool
    assert truth.class_ids.tolist() == class_ids.tolist() and truth.class_ids.dtype == np.int32
    assert truth.boxes_px.tolist() == [box_of(masks[..., n]) for n in range(3)]
    assert truth.boxes_px.dtype == np.int32


def test_masks_follow_the_image_through_scaling_and_padding():
    bright = np.zeros((20, 30, 3), np.uint8)
    masks = two_masks()
    bright[masks.any(axis=2)] = 200
    truth = load_ground_truth(Answers(bright, masks, [1, 2]), 0, resize=SQUARE)
    assert truth.image.shape == (128, 128, 3) and truth.masks.shape == (128, 128, 2)
    inside = truth.image[..., 0] > 100
    both = truth.masks.any(axis=2)
    assert (inside & both).sum() / (inside | both).sum() > 0.9
    assert truth.boxes_px.tolist() == [box_of(truth.masks[..., n]) for n in range(2)]


def test_the_meta_holds_original_shape_window_scale_and_active_classes():
    truth = load_ground_truth(Answers(masks=two_masks(), class_ids=[1, 3]), 0, resize=SQUARE)
    meta = parse_image_meta(truth.meta[np.newaxis])
    assert meta["image_id"].tolist() == [0]
    assert meta["original_image_shape"].tolist() == [[20, 30, 3]]
    assert meta["image_shape"].tolist() == [[128, 128, 3]]
    assert meta["window"].tolist() == [[32, 16, 96, 112]]
    assert meta["scale"][0] == pytest.approx(3.2)
    assert meta["active_class_ids"].tolist() == [[1, 1, 1, 1]]


def test_the_random_window_of_crop_holds_for_masks_too_and_follows_the_rng():
    bright = np.zeros((20, 30, 3), np.uint8)
    masks = two_masks()
    bright[masks.any(axis=2)] = 200
    crop = ResizeSettings(min_dim=12, mode="crop")
    seen = set()
    for seed in range(8):
        dataset = Answers(bright, masks, [1, 2])
        truth = load_ground_truth(dataset, 0, resize=crop, rng=np.random.default_rng(seed))
        again = load_ground_truth(dataset, 0, resize=crop, rng=np.random.default_rng(seed))
        assert np.array_equal(truth.image, again.image)
        assert truth.image.shape == (12, 12, 3)
        assert np.array_equal(truth.image[..., 0] > 100, truth.masks.any(axis=2))
        assert len(truth.class_ids) == truth.masks.shape[2] == len(truth.boxes_px)
        seen.add(truth.image.tobytes())
    assert len(seen) > 1


def test_only_classes_of_the_images_own_source_are_active():
    class Mixed(Rectangles):
        def __init__(self):
            super().__init__([1])
            self.add_class("other", 1, "moon")
            self.add_image("other", 1, None, count=1)
            self.prepare()

    dataset = Mixed()
    first, second = (load_ground_truth(dataset, i, resize=AS_IT_IS).meta[12:].tolist() for i in (0, 1))
    assert first == [1, 1, 1, 1, 0] and second == [1, 0, 0, 0, 1]


def test_mini_masks_have_the_mini_shape_and_the_masks_content():
    truth = load_ground_truth(
        Answers(masks=two_masks(), class_ids=[1, 2]), 0, resize=AS_IT_IS, mini_mask_shape=(28, 14)
    )
    assert truth.masks.shape == (28, 14, 2) and truth.masks.dtype == bool
    assert truth.masks.mean() > 0.95, "rectangles fill their boxes"


def test_instances_without_a_pixel_are_dropped_with_their_class_ids():
    masks = np.concatenate([np.zeros((20, 30, 1), bool), two_masks()], axis=2)
    truth = load_ground_truth(Answers(masks=masks, class_ids=[3, 1, -2]), 0, resize=AS_IT_IS)
    assert truth.class_ids.tolist() == [1, -2]
    assert truth.masks.shape[2] == len(truth.boxes_px) == 2


@pytest.mark.parametrize("shape", [(0, 0, 0), (20, 30, 0), (0,)])
def test_an_image_without_instances_gives_empty_arrays_of_full_shape(shape):
    dataset = Answers(masks=np.zeros(shape), class_ids=[])
    for mini_mask_shape, mask_shape in ((None, (128, 128, 0)), ((28, 28), (28, 28, 0))):
        truth = load_ground_truth(dataset, 0, resize=SQUARE, mini_mask_shape=mini_mask_shape)
        assert truth.masks.shape == mask_shape and truth.boxes_px.shape == (0, 4) and truth.class_ids.shape == (0,)


def test_one_empty_mask_of_class_0_passes_as_no_instance():
    truth = load_ground_truth(Answers(masks=np.zeros((20, 30, 1)), class_ids=[0]), 0, resize=AS_IT_IS)
    assert len(truth.class_ids) == 0


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int64, np.float32])
@pytest.mark.parametrize("inside", [1, 255])
def test_masks_of_any_number_type_with_two_values_are_accepted(kind, inside, caplog):
    masks = (two_masks() * inside).astype(kind)
    truth = load_ground_truth(Answers(masks=masks, class_ids=[1, 2]), 0, resize=AS_IT_IS)
    assert np.array_equal(truth.masks, two_masks())
    assert not caplog.records


def test_soft_masks_count_as_inside_everywhere_but_at_0_and_that_is_said_once(caplog):
    masks = two_masks().astype(np.uint8) * 255
    masks[8, 3:9, 0] = 40
    for _ in range(2):
        truth = load_ground_truth(Answers(masks=masks, class_ids=[1, 2]), 0, resize=AS_IT_IS)
    assert truth.boxes_px[0].tolist() == [2, 3, 9, 9]
    assert len(caplog.records) == 1 and "image 0" in caplog.records[0].getMessage()


@pytest.mark.parametrize("class_ids", [[1, 2], (1, 2), np.array([1.0, 2.0]), np.array([1, 2], np.uint8)])
def test_class_ids_may_be_a_list_or_any_whole_numbers(class_ids):
    truth = load_ground_truth(Answers(masks=two_masks(), class_ids=class_ids), 0, resize=AS_IT_IS)
    assert truth.class_ids.tolist() == [1, 2] and truth.class_ids.dtype == np.int32


@pytest.mark.parametrize(
    ("image", "shape", "kind"),
    [
        (np.zeros((20, 30), np.uint8), (20, 30, 1), np.uint8),
        (np.zeros((20, 30, 1), np.uint8), (20, 30, 1), np.uint8),
        (np.zeros((20, 30, 5), np.float32), (20, 30, 5), np.float32),
        (np.zeros((20, 30, 2), np.uint16), (20, 30, 2), np.uint16),
    ],
)
@pytest.mark.parametrize("resize", [AS_IT_IS, SQUARE])
def test_images_of_other_channels_and_types_keep_them(image, shape, kind, resize):
    truth = load_ground_truth(Answers(image, two_masks(), [1, 2]), 0, resize=resize)
    assert truth.image.shape[2] == shape[2] and truth.image.dtype == kind
    assert parse_image_meta(truth.meta[np.newaxis])["original_image_shape"].tolist() == [list(shape)]


WRONG_ANSWERS = {
    "more ids than masks": (dict(masks=two_masks(), class_ids=[1, 2, 3]), ["(20, 30, 2)", "3 class ids", "one mask"]),
    "fewer ids than masks": (dict(masks=two_masks(), class_ids=[1]), ["(20, 30, 2)", "1 class ids"]),
    "masks but no ids": (dict(masks=two_masks(), class_ids=[]), ["0 class ids"]),
    "ids but no masks": (dict(masks=np.zeros((0, 0, 0)), class_ids=[1]), ["1 class ids", "Masks are empty"]),
    "one mask without its axis": (dict(masks=two_masks()[..., 0], class_ids=[1]), ["np.newaxis"]),
    "instances first": (dict(masks=np.moveaxis(two_masks(), -1, 0), class_ids=[1, 2]), ["np.moveaxis"]),
    "height and width exchanged": (dict(masks=two_masks(30, 20), class_ids=[1, 2]), ["exchanged", "EXIF"]),
    "masks of another size": (dict(masks=two_masks(40, 60), class_ids=[1, 2]), ["(40, 60, 2)", "another size"]),
    "a list of masks": (dict(masks=[np.zeros((20, 30))] * 2, class_ids=[1, 2]), ["a list of 2", "np.stack"]),
    "None as masks": (dict(masks=None, class_ids=[1]), ["None", "return statement"]),
    "NaN in masks": (dict(masks=np.full((20, 30, 1), np.nan), class_ids=[1]), ["NaN"]),
    "only the masks": (dict(answer=two_masks()), ["(masks, class_ids)"]),
    "names as ids": (dict(masks=two_masks(), class_ids=["box", "lid"]), ["'box'", "class_names.index"]),
    "fractions as ids": (dict(masks=two_masks(), class_ids=[1.5, 2]), ["1.5"]),
    "ids in a column": (dict(masks=two_masks(), class_ids=[[1], [2]]), ["shape=(2, 1)"]),
    "an id beyond the classes": (dict(masks=two_masks(), class_ids=[1, 7]), ["class_ids=[7]", "from 1 to 3"]),
    "a crowd id beyond the classes": (dict(masks=two_masks(), class_ids=[1, -4]), ["class_ids=[-4]"]),
    "an id beyond 32 bits": (dict(masks=two_masks(), class_ids=[1, 2**32 + 1]), [f"[{2**32 + 1}]", "32 bits"]),
    "an id below 32 bits": (dict(masks=two_masks(), class_ids=[1, -(2**31) - 1]), ["32 bits"]),
    "an infinite id": (dict(masks=two_masks(), class_ids=[1, np.inf]), ["[inf]"]),
    "the most negative id": (dict(masks=two_masks(), class_ids=[1, -(2**31)]), ["from 1 to 3"]),
    "the background as class": (dict(masks=two_masks(), class_ids=[1, 0]), ["instance 1", "background"]),
    "None as image": (dict(image=[], masks=two_masks(), class_ids=[1, 2]), ["load_image", "list"]),
    "an image of four axes": (dict(image=np.zeros((1, 20, 30, 3)), masks=two_masks(), class_ids=[1, 2]), ["(1, 20"]),
    "an image of NaN": (dict(image=np.full((20, 30, 3), np.nan), masks=two_masks(), class_ids=[1, 2]), ["NaN"]),
}


@pytest.mark.parametrize("case", WRONG_ANSWERS)
def test_a_wrong_answer_is_an_error_that_names_the_image_and_the_cause(case):
    answers, words = WRONG_ANSWERS[case]
    with pytest.raises(DatasetError) as error:
        load_ground_truth(Answers(**answers), 0, resize=AS_IT_IS)
    for word in ["image 0 (source 'rectangles', id 'r0', path None)", *words]:
        assert word in str(error.value)


def test_a_source_without_classes_is_an_error_that_names_both():
    dataset = Rectangles([1])
    dataset.add_image("elsewhere", 1, None, count=1)
    dataset.prepare()
    with pytest.raises(DatasetError, match=r"image 1.*'elsewhere' has no class.*\['rectangles'\]"):
        load_ground_truth(dataset, 1, resize=AS_IT_IS)


def test_a_forgotten_prepare_is_an_error():
    dataset = Dataset()
    dataset.add_class("a", 1, "cat")
    dataset.add_image("a", 1, None)
    with pytest.raises(DatasetError, match=r"prepare\(\) was not called"):
        load_ground_truth(dataset, 0, resize=AS_IT_IS)


def test_an_augmentation_moves_masks_and_boxes_with_the_image():
    dataset = Rectangles([3])
    plain = load_ground_truth(dataset, 0, resize=AS_IT_IS)
    flipped = load_ground_truth(dataset, 0, resize=AS_IT_IS, augmentation=lambda i, m: (np.flipud(i), np.flipud(m)))
    assert np.array_equal(flipped.image, plain.image[::-1])
    assert np.array_equal(flipped.masks, plain.masks[::-1])
    assert flipped.boxes_px[:, 0].tolist() == (60 - plain.boxes_px[:, 2]).tolist()


def test_what_an_augmentation_moves_out_of_the_image_is_dropped():
    def lose_the_second(image, masks):
        masks[..., 1] = False
        return image, masks

    dataset = Rectangles([3])
    truth = load_ground_truth(dataset, 0, resize=AS_IT_IS, augmentation=lose_the_second)
    assert truth.class_ids.tolist() == [1, 3]
    assert len(dataset.load_mask(0)[1]) == 3


def test_an_array_that_the_data_set_keeps_is_never_changed():
    def spoil(image, masks):
        image[:], masks[:] = 0, True
        return image, masks

    image, masks = np.full((20, 30, 3), 7, np.uint8), two_masks()
    dataset = Answers(image, masks, [1, 2])
    load_ground_truth(dataset, 0, resize=AS_IT_IS, augmentation=spoil)
    assert (image == 7).all() and np.array_equal(masks, two_masks())


def test_a_folder_of_images_and_mask_files_as_in_the_nucleus_sample(tmp_path):
    """RGBA images and one 0/255 PNG for each nucleus, as the Data Science Bowl ships them."""

    class Nuclei(Dataset):
        def load_nuclei(self, folder):
            self.add_class("nucleus", 1, "nucleus")
            for entry in sorted(folder.iterdir()):
                self.add_image("nucleus", entry.name, entry / "images" / f"{entry.name}.png")

        def load_mask(self, image_id):
            folder = self.image_info[image_id]["path"].parent.parent / "masks"
            masks = [np.asarray(Image.open(file)).astype(bool) for file in sorted(folder.glob("*.png"))]
            return np.stack(masks, axis=-1), np.ones([len(masks)], np.int32)

    painted = two_masks(40, 50)
    for name, count in (("aa", 1), ("bb", 2)):
        (tmp_path / name / "images").mkdir(parents=True)
        (tmp_path / name / "masks").mkdir()
        Image.new("RGBA", (50, 40), (9, 8, 7, 255)).save(tmp_path / name / "images" / f"{name}.png")
        for n in range(count):
            Image.fromarray(painted[..., n].astype(np.uint8) * 255).save(tmp_path / name / "masks" / f"{n}.png")
    dataset = Nuclei()
    dataset.load_nuclei(tmp_path)
    dataset.prepare()
    for image_id, count in ((0, 1), (1, 2)):
        truth = load_ground_truth(dataset, image_id, resize=AS_IT_IS)
        assert truth.image.shape == (40, 50, 3) and truth.image[0, 0].tolist() == [9, 8, 7]
        assert np.array_equal(truth.masks, painted[..., :count])
        assert truth.class_ids.tolist() == [1] * count
