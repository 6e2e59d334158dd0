"""Training runs that are broken on purpose, and healthy ones: does the program find out which is which, and why?

    python benchmarks/gauntlet.py list
    python benchmarks/gauntlet.py train wrong_labels --out runs      # one run, some minutes on a core; --seed 2
    python benchmarks/gauntlet.py table runs                         # judge what was trained, no network needed

A run is a small network on pictures that are made here (squares, discs), or on real microscopy images of the sample
`nucleus`. Every run is given to the same rules as any user's run. The table shows the first verdict, whether it is the
right one, what else was said, and the epoch at which it was clear: the first from which it was given to the end.
"""

import argparse
import logging
import os
import tarfile
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mrcnn_plus.data.dataset import Dataset

SQUARE, DISC = 1, 2
EPOCHS, STEPS, SIDE = 8, 30, 64
NUCLEI = Path(__file__).parents[1] / "samples" / "nucleus" / "nuclei.tar.xz"


class Case(NamedTuple):
    """A run. right: codes of verdicts that name what was done to it (see `_is_right`); none for a healthy run, which
    gets no verdict of severity warning or error.

    data: function -> (train, val). settings: of the `Config`. train: arguments of `train` in place of the usual ones,
    a list for several calls. weights: name of a case whose last checkpoint is loaded first, with `exclude`.
    """

    about: str
    right: tuple[str, ...] = ()
    data: Any = None
    settings: dict = {}
    train: Any = {}
    weights: tuple | None = None


def draw_figures(class_ids, rng, *, side, sizes):
    """Masks bool `[side, side, N]` of squares and discs at random places, and their class ids int32 `[N]`.

    sizes: least and largest diameter in pixels. A figure that would cover another is left out.
    """
    ys, xs = np.ogrid[:side, :side]
    masks, kept = np.zeros((side, side, 0), bool), []
    for class_id in class_ids:
        diameter = rng.uniform(*sizes)
        center_y, center_x = rng.uniform(diameter / 2, side - diameter / 2, 2)
        dy, dx = np.abs(ys - center_y), np.abs(xs - center_x)
        mask = (np.hypot(dy, dx) if class_id == DISC else np.maximum(dy, dx)) < diameter / 2
        if not (mask[..., None] & masks).any():
            masks = np.concatenate([masks, mask[..., None]], axis=-1)
            kept.append(class_id)
    return masks, np.array(kept, np.int32)


class Figures(Dataset):
    """Squares and discs on noise.

    figures: for each image the class ids. wrong: function `(image, masks, class_ids, rng) -> the same`, what is done to
    an image and its annotation; the random numbers are the same each time an image is loaded.
    """

    def __init__(self, figures, *, first_seed, wrong=None, sizes=(14, 28), names=("square", "disc"), side=SIDE):
        super().__init__()
        self.side, self.sizes, self.wrong = side, sizes, wrong
        for class_id, name in enumerate(names, start=1):
            self.add_class("figures", class_id, name)
        for number, class_ids in enumerate(figures):
            self.add_image("figures", first_seed + number, None, class_ids=class_ids)
        self.prepare()

    def _load(self, image_id):
        info = self.image_info[image_id]
        rng = np.random.default_rng([info["id"], 1])
        masks, class_ids = draw_figures(info["class_ids"], rng, side=self.side, sizes=self.sizes)
        image = rng.integers(60, 120, (self.side, self.side, 3)) + 90 * masks.any(axis=-1)[..., None]
        image = np.clip(image, 0, 255).astype(np.uint8)
        return self.wrong(image, masks, class_ids, rng) if self.wrong else (image, masks, class_ids)

    def load_image(self, image_id):
        return self._load(image_id)[0]

    def load_mask(self, image_id):
        return self._load(image_id)[1:]


class Nuclei(Dataset):
    """Parts of 128 x 128 pixels of microscopy images, unpacked from the sample's archive. wrong: as of `Figures`."""

    def __init__(self, folder, subset, wrong=None, tiles=3):
        super().__init__()
        self.wrong = wrong
        self.add_class("nucleus", 1, "nucleus")
        for path in sorted(Path(folder, subset).glob("*/images/*.png")):
            for tile in range(tiles):
                self.add_image("nucleus", f"{path.stem}-{tile}", str(path), tile=tile)
        self.prepare()

    def _load(self, image_id):
        import cv2

        info = self.image_info[image_id]
        path = Path(info["path"])
        rng = np.random.default_rng([info["tile"], *path.stem.encode()[:8]])
        image = super().load_image(image_id)[..., :3]
        masks = [cv2.imread(str(file), cv2.IMREAD_GRAYSCALE) > 0 for file in sorted(path.parents[1].glob("masks/*"))]
        top, left = (int(rng.integers(0, size - 127)) for size in image.shape[:2])
        window = slice(top, top + 128), slice(left, left + 128)
        image, masks = image[window], np.stack(masks, axis=-1)[window]
        masks = masks[..., masks.sum(axis=(0, 1)) > 20]
        class_ids = np.ones(masks.shape[-1], np.int32)
        return self.wrong(image, masks, class_ids, rng) if self.wrong else (image, masks, class_ids)

    def load_image(self, image_id):
        return self._load(image_id)[0]

    def load_mask(self, image_id):
        return self._load(image_id)[1:]


# ---- what is done to the data ----------------------------------------------------------------------------------------


def shuffled_labels(image, masks, class_ids, rng):
    return image, masks, rng.integers(1, 3, len(class_ids)).astype(np.int32)


def shifted_masks(image, masks, class_ids, rng):
    """Each image by another distance: as when images and annotations were cut out differently."""
    return image, np.roll(masks, rng.integers(12, 33, 2) * rng.choice([-1, 1], 2), axis=(0, 1)), class_ids


def one_of_three(image, masks, class_ids, rng):
    """Two thirds of the objects have no annotation."""
    kept = rng.random(len(class_ids)) < 0.34
    kept[:1] |= not kept.any()
    return image, masks[..., kept], class_ids[kept]


def masks_of_noise(image, masks, class_ids, rng):
    """Half of the pixels of every mask, drawn by lot; the boxes stay."""
    noise = rng.random(masks.shape) < 0.5
    corners = np.zeros_like(masks)
    for number in range(masks.shape[-1]):
        ys, xs = np.nonzero(masks[..., number])
        corners[ys.min(), xs.min(), number] = corners[ys.max(), xs.max(), number] = True
    return image, (masks & noise) | corners, class_ids


def between_0_and_1(image, masks, class_ids, rng):
    return (image / 255.0).astype(np.float32), masks, class_ids


def mirror_images_only(image, masks):
    return image[:, ::-1].copy(), masks


def figures(train=None, *, val=None, wrong=None, wrong_val=None, count=160, **looks):
    """As many squares as discs, one to three in an image; the same for validation. train, val: other lists of them."""

    def make(seed):
        rng = np.random.default_rng(8 + seed)
        lists = train(rng, count) if train else [rng.integers(1, 3, rng.integers(1, 4)).tolist() for _ in range(count)]
        return (
            Figures(lists, first_seed=seed * 10_000, wrong=wrong, **looks),
            Figures(val or [[SQUARE, DISC], [DISC], [SQUARE]] * 8, first_seed=seed * 900_000, wrong=wrong_val, **looks),
        )

    return make


def many(rng, count):
    return [rng.integers(1, 3, 5).tolist() for _ in range(count)]


def mostly_squares(rng, count):
    return [[DISC, SQUARE] if number % 25 == 0 else [SQUARE, SQUARE, SQUARE] for number in range(count)]


def mostly_empty(rng, count):
    return [[SQUARE] if number % 20 == 0 else [] for number in range(count)]


def only_discs(rng, count):
    return [[DISC] * int(rng.integers(1, 4)) for _ in range(count)]


def nuclei(wrong=None):
    def make(seed):  # the images there are; the seed changes weights and order
        folder = tempfile.mkdtemp()
        with tarfile.open(NUCLEI) as archive:
            archive.extractall(folder, filter="data")
        return Nuclei(folder, "train", wrong), Nuclei(folder, "val", tiles=1)

    return make


ON_NUCLEI = {"NUM_CLASSES": 2, "IMAGE_MIN_DIM": 128, "IMAGE_MAX_DIM": 128, "MAX_GT_INSTANCES": 24}
SMALLER_RATE = {"learning_rate": 3e-4}
NO_HEADS = r"conv1|bn.*|res.*|gn.*|fpn\_.*|rpn\_.*"
SGD = {"OPTIMIZER": "SGD"}

HEALTHY = {
    "shapes": Case("squares and discs from random weights"),
    "shapes_sgd": Case("the same with SGD", settings=SGD, train={"learning_rate": 0.01}),
    "one_class": Case(
        "discs only", data=figures(only_discs, val=[[DISC, DISC], [DISC]] * 12), settings={"NUM_CLASSES": 3}
    ),
    "many_objects": Case("five figures in an image, smaller", data=figures(many, sizes=(9, 16))),
    "short": Case("three epochs of ten steps", train={"epochs": 3}, settings={"STEPS_PER_EPOCH": 10}),
    "finetune": Case(
        "weights of the run `shapes`, all layers, a tenth of the rate",
        weights=("shapes", ()),
        train={"learning_rate": 1e-4},
        data=figures(sizes=(12, 24)),
    ),
    "two_stages": Case(
        "weights of the run `shapes` but for the last layers; heads, then all",
        weights=("shapes", ("mrcnn_class_logits", "mrcnn_bbox_fc", "mrcnn_mask")),
        train=[{"epochs": 4, "layers": "heads"}, {"epochs": 8, "learning_rate": 1e-4}],
    ),
    "nuclei": Case("microscopy images from random weights", data=nuclei(), settings=ON_NUCLEI),
    "no_normalization": Case(  # bad practice, and harmless in a network of this depth: it learns
        "batch norm with its stored statistics on random weights", settings={"NORMALIZATION": "batch"}
    ),
}
BROKEN = {
    "wrong_labels": Case("classes drawn by lot", ("RUN022",), figures(wrong=shuffled_labels)),
    "shifted_masks": Case(
        "masks 12 to 32 pixels off, each image by another distance", ("RUN040",), figures(wrong=shifted_masks)
    ),
    "partly_annotated": Case(
        "two thirds of the figures have no annotation", ("RUN041",), figures(many, wrong=one_of_three)
    ),
    "rate_x100": Case("learning rate times 100", ("RUN004", "RUN001"), train={"learning_rate": 0.1}),
    "rate_x100_sgd": Case("the same with SGD", ("RUN004", "RUN001"), settings=SGD, train={"learning_rate": 1.0}),
    "heads_frozen": Case("a regular expression that leaves out the heads", ("RUN061",), train={"layers": NO_HEADS}),
    "mask_head_frozen": Case(
        "one that leaves out the mask head", ("RUN061",), train={"layers": NO_HEADS + "|mrcnn\\_[cb].*"}
    ),
    "random_backbone": Case("only heads train, and no weights were loaded", ("RUN060",), train={"layers": "heads"}),
    "large_anchors": Case(
        "anchors eight times as large", ("RUN030",), settings={"RPN_ANCHOR_SCALES": (64, 128, 256, 384, 512)}
    ),
    "majority": Case("75 squares for each disc", ("RUN021",), figures(mostly_squares)),
    "mirrored_images": Case(
        "the augmentation mirrors images and not masks",
        ("RUN040", "RUN042", "RUN043:TRN004"),
        train={"augmentation": mirror_images_only},
    ),
    "weights_not_loaded": Case(
        "rate of fine-tuning with SGD, and no weights", ("RUN011",), settings=SGD, train={"learning_rate": 1e-4}
    ),
    "pixels_0_to_1": Case(
        "images hold values from 0 to 1", ("RUN044", "RUN043:DAT030"), figures(wrong=between_0_and_1)
    ),
    "noise_masks": Case("masks of random pixels", ("RUN046",), figures(wrong=masks_of_noise)),
    "mostly_empty": Case(
        "95 of 100 images without an object",
        ("RUN032",),
        figures(mostly_empty, count=400),
        {"USE_NEGATIVE_IMAGES": True},
    ),
    "few_images": Case("eight images", ("RUN070",), figures(count=8)),
    "other_labels_in_val": Case(
        "classes exchanged in the validation data", ("RUN023",), figures(wrong_val=shuffled_labels)
    ),
    "class_only_in_val": Case("discs only, and as many squares in validation", ("RUN024",), figures(only_discs)),
    "nuclei_shifted": Case("microscopy images, masks shifted", ("RUN040",), nuclei(shifted_masks), ON_NUCLEI),
    "nuclei_partly": Case("microscopy images, a third annotated", ("RUN041",), nuclei(one_of_three), ON_NUCLEI),
}
CASES = {**HEALTHY, **BROKEN}


def train(name, out, seed=1):
    """Train a case; its log folder is `out/<name>`. seed: other images, weights and order; thresholds were set on 1."""
    from mrcnn_plus.config import Config
    from mrcnn_plus.mask_rcnn import MaskRCNN
    from mrcnn_plus.training.failed_step import NonFiniteError

    case = CASES[name]
    config = type("GauntletConfig", (Config,), {**_usual_settings(), "SEED": seed, **case.settings})()
    datasets = (case.data or figures())(seed)
    model = MaskRCNN(mode="training", config=config, model_dir=out)
    model.log_dir = os.path.join(out, name)
    model.checkpoint_path = os.path.join(out, name, "mask_rcnn_gauntlet_{epoch:04d}.h5")
    os.makedirs(model.log_dir, exist_ok=True)
    if case.weights:
        source, exclude = case.weights
        path = max(Path(out, source).glob("mask_rcnn_*.h5"))
        log_dir, checkpoint_path = model.log_dir, model.checkpoint_path
        copy = Path(tempfile.mkdtemp(), "pretrained.h5")
        copy.write_bytes(path.read_bytes())
        model.load_weights(str(copy), by_name=True, exclude=exclude)
        model.log_dir, model.checkpoint_path = log_dir, checkpoint_path
    usual = {"learning_rate": 1e-3, "epochs": EPOCHS, "layers": "all", "lint": "warn"}
    for call in case.train if isinstance(case.train, list) else [case.train]:
        try:
            model.train(*datasets, **{**usual, **call})
        except NonFiniteError as error:
            logging.warning("%s", error)
            return


def _usual_settings():
    return {
        "NAME": "gauntlet",
        "NUM_CLASSES": 3,
        "IMAGE_MIN_DIM": SIDE,
        "IMAGE_MAX_DIM": SIDE,
        "IMAGES_PER_GPU": 4,
        "STEPS_PER_EPOCH": STEPS,
        "WORKERS": 0,
        "BACKBONE": "resnet18",
        "BACKBONE_WIDTH": 16,
        "NORMALIZATION": "group",
        "TOP_DOWN_PYRAMID_SIZE": 32,
        "RPN_CONV_CHANNELS": 32,
        "MASK_CONV_CHANNELS": 32,
        "FPN_CLASSIF_FC_LAYERS_SIZE": 128,
        "RPN_ANCHOR_SCALES": (8, 16, 32, 48, 64),
        "RPN_TRAIN_ANCHORS_PER_IMAGE": 64,
        "PRE_NMS_LIMIT": 300,
        "POST_NMS_ROIS_TRAINING": 100,
        "POST_NMS_ROIS_INFERENCE": 50,
        "TRAIN_ROIS_PER_IMAGE": 24,
        "MAX_GT_INSTANCES": 8,
        "DETECTION_MAX_INSTANCES": 8,
        "MINI_MASK_SHAPE": (28, 28),
        "OPTIMIZER": "AdamW",
        "KEEP_LAST": 1,
    }


def table(out):
    """Judge every run in a folder, and print a table of what was said about it."""
    from mrcnn_plus.diagnosis.history import History
    from mrcnn_plus.diagnosis.verdicts import headline, verdicts_on

    print("| run | what is wrong | first verdict | right | clear at epoch | also said |\n|---|---|---|---|---|---|")
    counts = {True: 0, False: 0}
    for name, case in CASES.items():
        if not Path(out, name, "losses.csv").is_file():
            continue
        history = History.read(Path(out, name))
        report = verdicts_on(history)
        first = headline(report)
        others = [finding.code for finding in report.at_least("warning") if first and finding.code != first.code]
        is_right = _is_right(first, case.right)
        counts[is_right] += 1
        told = f"{first.code} {first.message}" if first else "none"
        epoch = f"{first.epoch} of {len(history)}" if first else ""
        wrong = case.about if name in BROKEN else f"nothing: {case.about}"
        told = told.replace("|", "\\|")  # of a regular expression
        print(f"| {name} | {wrong} | {told} | {'yes' if is_right else 'NO'} | {epoch} | {', '.join(others)} |")
    print(f"\n{counts[True]} right, {counts[False]} not.")


def _is_right(first, right):
    """Whether the first verdict is one of these; "RUN043:DAT030" is RUN043 that passes on the finding DAT030."""
    if first is None or not right:
        return first is None and not right
    return any(
        first.code == code and finding in first.message for code, _, finding in (one.partition(":") for one in right)
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("list", "train", "table"))
    parser.add_argument("case", nargs="?")
    parser.add_argument("--out", default="gauntlet_runs")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.command == "train":
        train(arguments.case, arguments.out, arguments.seed)
    elif arguments.command == "table":
        table(arguments.case or arguments.out)
    else:
        for name, case in CASES.items():
            print(f"{name:22} {'broken' if name in BROKEN else 'healthy':8} {case.about}")


if __name__ == "__main__":
    main()
