"""What the settings of training do: average precision with and without them, on pictures that are made here.

    python benchmarks/steering.py imbalance     # 20 squares for each disc: CLASS_WEIGHTS and SAMPLER
    python benchmarks/steering.py collapse      # one faint speck in an image: positive weights, normalization, focal
    python benchmarks/steering.py multipliers   # new heads on a trained backbone: one rate, or rates by part
    python benchmarks/steering.py explosion     # SGD at a rate that is too high: clipping and warm-up
    python benchmarks/steering.py precision     # float32 against mixed_bfloat16

Every arm trains a small network from random weights with the same steps, once for each seed, and is scored on images
of their own with as many objects of every class. Some minutes for an arm and a seed on two cores.
"""

import argparse
import csv
import os
import statistics
import tempfile
import time

import keras
import numpy as np
from gauntlet import DISC, SQUARE, draw_figures
from measure import print_machine

from mrcnn_plus.config import Config
from mrcnn_plus.data.dataset import Dataset
from mrcnn_plus.evaluation.coco import detect_dataset, evaluate_detections
from mrcnn_plus.mask_rcnn import MaskRCNN
from mrcnn_plus.training.failed_step import NonFiniteError

#: Layers that begin anew on a backbone and pyramid that are trained.
HEADS = (
    *("rpn_conv_shared", "rpn_class_raw", "rpn_bbox_pred"),
    *("mrcnn_class_conv1", "mrcnn_class_bn1", "mrcnn_class_conv2", "mrcnn_class_bn2"),
    *("mrcnn_class_logits", "mrcnn_bbox_fc", "mrcnn_mask_deconv", "mrcnn_mask"),
    *(f"mrcnn_mask_{kind}{number}" for kind in ("conv", "bn") for number in (1, 2, 3, 4)),
)


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
        return draw_figures(info["class_ids"], rng, side=self.side, sizes=self.sizes)


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
    """One small faint figure in every third image, nothing in the others: few anchors and proposals are positive."""
    rng = np.random.default_rng([seed, 8])
    looks = {"sizes": (12, 20), "contrast": 75}
    return (
        Figures(
            [[int(rng.integers(1, 3))] if number % 3 == 0 else [] for number in range(800)],
            first_seed=10_000 * (seed + 1),
            **looks,
        ),
        Figures([[1 + number % 2] for number in range(100)], first_seed=900_000, **looks),
    )


def plain(seed):
    """One to three figures in each image, as many of both classes: nothing is difficult here."""
    rng = np.random.default_rng([seed, 9])
    looks = {"sizes": (14, 26), "contrast": 90}
    return (
        Figures([rng.integers(1, 3, rng.integers(1, 4)).tolist() for _ in range(400)], first_seed=10_000, **looks),
        Figures([[SQUARE, DISC]] * 100, first_seed=900_000, **looks),
    )


def pretrained_backbone(seed, folder):
    """Path of weights that were trained on other figures, smaller and fainter, for as many steps as an arm has."""
    path = os.path.join(folder, f"pretrained_{seed}.h5")
    if not os.path.exists(path):
        config = SmallConfig()
        config.SEED = 100 + seed
        config.STEPS_PER_EPOCH, config.LR_SCHEDULE = 300, "cosine"
        model = MaskRCNN(mode="training", config=config, model_dir=folder)
        train, _ = plain(100 + seed)
        model.train(train, None, learning_rate=1e-3, epochs=1, layers="all", lint="off")
        model.keras_model.save_weights(path)
    return path


# Background is nearly always right: empty images are trained on, and samples are large.
FEW_POSITIVES = {"USE_NEGATIVE_IMAGES": True, "RPN_TRAIN_ANCHORS_PER_IMAGE": 256, "TRAIN_ROIS_PER_IMAGE": 64}
POSITIVE_WEIGHTS = {"RPN_POSITIVE_WEIGHT": 5.0, "ROI_POSITIVE_WEIGHT": 3.0}
BY_SAMPLED_ROIS = {"LOSS_NORMALIZATION": {"mrcnn_class_loss": "sampled"}}
BY_PART = {"backbone": 0.1, "rpn": 0.2, "heads": 1.0}
# SGD as Matterport's, at a rate where every run here is lost without help.
TOO_HIGH = {"OPTIMIZER": "SGD", "LEARNING_RATE": 0.2, "LR_SCHEDULE": "cosine"}
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
            "none": FEW_POSITIVES,
            "positive weights 5, 3": {**FEW_POSITIVES, **POSITIVE_WEIGHTS},
            "class loss by sampled ROIs": {**FEW_POSITIVES, **BY_SAMPLED_ROIS},
            "both": {**FEW_POSITIVES, **POSITIVE_WEIGHTS, **BY_SAMPLED_ROIS},
            "focal": {
                **FEW_POSITIVES,
                "RPN_CLASS_LOSS": "focal",
                "CLASS_LOSS": "focal",
                "LOSS_NORMALIZATION": {"rpn_class_loss": "positives", "mrcnn_class_loss": "positives"},
            },
        },
    ),
    "multipliers": (
        plain,
        {
            "one rate, 1e-5": {"LEARNING_RATE": 1e-5, "PRETRAINED": True},
            "one rate, 1e-4": {"LEARNING_RATE": 1e-4, "PRETRAINED": True},
            "one rate, 1e-3": {"LEARNING_RATE": 1e-3, "PRETRAINED": True},
            "one rate, 1e-2": {"LEARNING_RATE": 1e-2, "PRETRAINED": True},
            "by part, up to 1e-3": {"LEARNING_RATE": 1e-3, "LR_MULTIPLIERS": BY_PART, "PRETRAINED": True},
        },
    ),
    "explosion": (
        plain,
        {
            "none": {**TOO_HIGH, "GRADIENT_CLIP_NORM": None},
            "clip each variable": TOO_HIGH,
            "clip the whole": {**TOO_HIGH, "GRADIENT_CLIP_BY": "global"},
            "warm-up": {**TOO_HIGH, "GRADIENT_CLIP_NORM": None, "WARMUP_STEPS": 100},
            "clip the whole, warm-up": {**TOO_HIGH, "GRADIENT_CLIP_BY": "global", "WARMUP_STEPS": 100},
        },
    ),
    "precision": (
        plain,
        {"float32": {}, "mixed_bfloat16": {"PRECISION": "mixed_bfloat16"}},
    ),
}


def train_and_score(make_data, settings, seed, steps, folder):
    """AP50 of the boxes by class of one run, and "sure": detections with a score above 0.5 per image.

    A run that stops because a value is not finite has "steps" below those that were asked for, and no precision.
    """
    keras.utils.clear_session()
    config = SmallConfig()
    config.SEED, config.STEPS_PER_EPOCH = seed, steps
    settings = {"LR_SCHEDULE": "cosine", **settings}
    pretrained = pretrained_backbone(seed, folder) if settings.pop("PRETRAINED", False) else None
    for name, value in settings.items():
        setattr(config, name, value)
    train, val = make_data(seed)
    model = MaskRCNN(mode="training", config=config, model_dir=folder)
    if pretrained:
        model.load_weights(pretrained, by_name=True, exclude=HEADS)
    try:
        model.train(train, None, learning_rate=config.LEARNING_RATE, epochs=1, layers="all", lint="off")
    except NonFiniteError as error:
        print(error)
        return {"square": 0.0, "disc": 0.0, "sure": 0.0, "steps": int(model.keras_model.optimizer.iterations)}
    ground_truth, found = detect_dataset(model.detect, val, batch_size=config.BATCH_SIZE)
    scores = evaluate_detections(ground_truth, found, ("bbox",))["bbox"]
    sure = sum(one["score"] > 0.5 for one in found) / len(val.image_ids)
    return {**{entry.name: entry.ap50 for entry in scores.per_class}, "sure": sure, "steps": steps}


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
    with tempfile.TemporaryDirectory() as folder:
        results = run_arms(arguments, make_data, chosen, folder)
    print(f"\n{'':28} {'AP50 square':>22} {'AP50 disc':>22} {'sure / image':>22} {'steps':>22}")
    for name, runs in results.items():
        print(f"{name:28}", *(_with_spread([run[key] for run in runs]) for key in ("square", "disc", "sure", "steps")))


def run_arms(arguments, make_data, arms, folder):
    """The scores of every arm, a list with one entry for each seed; each is printed as soon as it is there."""
    results = {name: [] for name in arms}
    for seed in range(arguments.seeds):  # seed by seed, so that a run that is broken off still compares all arms
        for name, settings in arms.items():
            start = time.perf_counter()
            found = train_and_score(make_data, settings, seed, arguments.steps, folder)
            results[name].append(found)
            row = [arguments.experiment, name, seed, arguments.steps, *(f"{value:.4f}" for value in found.values())]
            print(*row, f"{time.perf_counter() - start:.0f} s", sep=", ", flush=True)
            if arguments.csv:
                with open(arguments.csv, "a", newline="", encoding="utf-8") as file:
                    csv.writer(file).writerow(row)
    return results


def _with_spread(values):
    """Mean, and least to largest of the seeds."""
    return f"{statistics.mean(values):8.3f} ({min(values):.3f}-{max(values):.3f})"


if __name__ == "__main__":
    main()
