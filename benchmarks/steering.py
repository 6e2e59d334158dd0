"""What the settings against imbalance do: average precision with and without them, on pictures that are made here.

    python benchmarks/steering.py imbalance     # 20 squares for each disc: CLASS_WEIGHTS and SAMPLER
    python benchmarks/steering.py collapse      # one faint speck in an image: positive weights, normalization, focal

Every arm trains a small network from random weights with the same steps, once for each seed, and is scored on images
of their own with as many objects of every class. Some minutes for an arm and a seed on two cores.
"""

import argparse
import csv
import statistics
import tempfile
import time

import keras
import numpy as np
from measure import print_machine

from mrcnn_plus.config import Config
from mrcnn_plus.data.dataset import Dataset
from mrcnn_plus.evaluation.coco import detect_dataset, evaluate_detections
from mrcnn_plus.mask_rcnn import MaskRCNN

SQUARE, DISC = 1, 2


class SmallConfig(Config):
    """A network that trains from random weights in some hundred steps."""

    NAME = "steering"
    NUM_CLASSES = 1 + 2
    IMAGE_MIN_DIM = IMAGE_MAX_DIM = 64
    IMAGES_PER_GPU = 4
    BACKBONE, BACKBONE_WIDTH, NORMALIZATION = "resnet18", 16, "group"
    TOP_DOWN_PYRAMID_SIZE = RPN_CONV_CHANNELS = MASK_CONV_CHANNELS = 32
    FPN_CLASSIF_FC_LAYERS_SIZE = 128
    RPN_ANCHOR_SCALES = (8, 16, 32, 48, 64)
    RPN_TRAIN_ANCHORS_PER_IMAGE = 64
    PRE_NMS_LIMIT, POST_NMS_ROIS_TRAINING, POST_NMS_ROIS_INFERENCE = 300, 100, 50
    TRAIN_ROIS_PER_IMAGE = 24
    MAX_GT_INSTANCES = DETECTION_MAX_INSTANCES = 8
    MINI_MASK_SHAPE = (28, 28)
    DETECTION_MIN_CONFIDENCE = 0.05  # average precision wants the doubtful detections too
    OPTIMIZER, LEARNING_RATE = "AdamW", 1e-3


class Figures(Dataset):
    """Squares and discs of one brightness on noise, so that only the outline tells them apart.

    figures: for each image the class ids of its figures. sizes: least and largest diameter in pixels. contrast: by how
    many grey levels they stand out.
    """

    def __init__(self, figures, *, first_seed, sizes, contrast, side=64):
        super().__init__()
        self.side, self.sizes, self.contrast = side, sizes, contrast
        self.add_class("figures", SQUARE, "square")
        self.add_class("figures", DISC, "disc")
        for number, class_ids in enumerate(figures):
            self.add_image("figures", first_seed + number, None, class_ids=class_ids)
        self.prepare()

    def load_image(self, image_id):
        rng = np.random.default_rng([self.image_info[image_id]["id"], 0])
        image = rng.integers(60, 120, (self.side, self.side, 3))
        masks, _ = self.load_mask(image_id)
        return np.clip(image + self.contrast * masks.any(axis=-1)[..., None], 0, 255).astype(np.uint8)

    def load_mask(self, image_id):
        info = self.image_info[image_id]
        rng = np.random.default_rng([info["id"], 1])
        ys, xs = np.ogrid[: self.side, : self.side]
        taken = np.zeros((self.side, self.side), bool)
        masks, class_ids = [], []
        for class_id in info["class_ids"]:
            diameter = rng.uniform(*self.sizes)
            center_y, center_x = rng.uniform(diameter / 2, self.side - diameter / 2, 2)
            dy, dx = np.abs(ys - center_y), np.abs(xs - center_x)
            mask = (np.hypot(dy, dx) if class_id == DISC else np.maximum(dy, dx)) < diameter / 2
            if not (mask & taken).any():
                taken |= mask
                masks.append(mask)
                class_ids.append(class_id)
        return np.stack(masks, axis=-1), np.array(class_ids, np.int32)


def imbalanced(seed):
    """Training images with 20 squares for each disc, two figures in each; as many of both in validation."""
    rng = np.random.default_rng([seed, 7])
    with_disc = rng.permutation(400) < 40
    train = [[DISC, SQUARE] if disc else [SQUARE, SQUARE] for disc in with_disc]
    looks = {"sizes": (14, 26), "contrast": 90}
    return (
        Figures(train, first_seed=10_000 * (seed + 1), **looks),
        Figures([[SQUARE, DISC]] * 100, first_seed=900_000, **looks),
    )


def sparse(seed):
    """One small faint figure in each image: few anchors and few proposals are positive."""
    rng = np.random.default_rng([seed, 8])
    looks = {"sizes": (7, 11), "contrast": 45}
    return (
        Figures([[int(rng.integers(1, 3))] for _ in range(400)], first_seed=10_000 * (seed + 1), **looks),
        Figures([[1 + number % 2] for number in range(100)], first_seed=900_000, **looks),
    )


SAMPLED = {"rpn_bbox_loss": "sampled", "mrcnn_class_loss": "sampled", "mrcnn_bbox_loss": "sampled"}
EXPERIMENTS = {
    "imbalance": (
        imbalanced,
        {
            "none": {},
            "CLASS_WEIGHTS balanced": {"CLASS_WEIGHTS": "balanced"},
            "CLASS_WEIGHTS effective": {"CLASS_WEIGHTS": "effective", "CLASS_WEIGHTS_BETA": 0.99},
            "SAMPLER class_balanced": {"SAMPLER": "class_balanced"},
            "SAMPLER repeat_factor 0.5": {"SAMPLER": "repeat_factor", "REPEAT_THRESHOLD": 0.5},
        },
    ),
    "collapse": (
        sparse,
        {
            "none": {},
            "positive weights 5, 3": {"RPN_POSITIVE_WEIGHT": 5.0, "ROI_POSITIVE_WEIGHT": 3.0},
            "class loss by sampled ROIs": {"LOSS_NORMALIZATION": {"mrcnn_class_loss": "sampled"}},
            "both": {
                "RPN_POSITIVE_WEIGHT": 5.0,
                "ROI_POSITIVE_WEIGHT": 3.0,
                "LOSS_NORMALIZATION": {"mrcnn_class_loss": "sampled"},
            },
            "focal": {
                "RPN_CLASS_LOSS": "focal",
                "CLASS_LOSS": "focal",
                "LOSS_NORMALIZATION": {"rpn_class_loss": "positives", "mrcnn_class_loss": "positives"},
            },
        },
    ),
}


def train_and_score(make_data, settings, seed, steps):
    """AP50 of the boxes by class of one run, and "sure": detections with a score above 0.5 per image."""
    keras.utils.clear_session()
    config = SmallConfig()
    config.SEED, config.STEPS_PER_EPOCH = seed, steps
    for name, value in settings.items():
        setattr(config, name, value)
    train, val = make_data(seed)
    with tempfile.TemporaryDirectory() as folder:
        model = MaskRCNN(mode="training", config=config, model_dir=folder)
        falling = keras.optimizers.schedules.CosineDecay(config.LEARNING_RATE, steps)
        model.train(train, None, learning_rate=falling, epochs=1, layers="all", lint="off")
        ground_truth, found = detect_dataset(model.detect, val, batch_size=config.BATCH_SIZE)
    scores = evaluate_detections(ground_truth, found, ("bbox",))["bbox"]
    sure = sum(one["score"] > 0.5 for one in found) / len(val.image_ids)
    return {**{entry.name: entry.ap50 for entry in scores.per_class}, "sure": sure}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=300, help="training steps of 4 images")
    parser.add_argument("--arms", nargs="*", help="names of the arms to run, by default all")
    parser.add_argument("--csv", help="file to which every run is added")
    arguments = parser.parse_args()
    print_machine()
    make_data, arms = EXPERIMENTS[arguments.experiment]
    chosen = {name: settings for name, settings in arms.items() if not arguments.arms or name in arguments.arms}
    results = {name: [] for name in chosen}
    for seed in range(arguments.seeds):  # seed by seed, so that a run that is broken off still compares all arms
        for name, settings in chosen.items():
            start = time.perf_counter()
            found = train_and_score(make_data, settings, seed, arguments.steps)
            results[name].append(found)
            row = [arguments.experiment, name, seed, arguments.steps, *(f"{value:.4f}" for value in found.values())]
            print(*row, f"{time.perf_counter() - start:.0f} s", sep=", ", flush=True)
            if arguments.csv:
                with open(arguments.csv, "a", newline="", encoding="utf-8") as file:
                    csv.writer(file).writerow(row)
    print(f"\n{'':28} {'AP50 square':>22} {'AP50 disc':>22} {'sure / image':>20}")
    for name, runs in results.items():
        print(f"{name:28}", *(_with_spread([run[key] for run in runs]) for key in ("square", "disc", "sure")))


def _with_spread(values):
    """Mean, and least to largest of the seeds."""
    return f"{statistics.mean(values):8.3f} ({min(values):.3f}-{max(values):.3f})"


if __name__ == "__main__":
    main()
