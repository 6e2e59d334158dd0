"""Generated shapes of three classes: a complete program without any data to download.

    python shapes.py train                       # a quarter of an hour on two cores, from random weights
    python shapes.py train --weights=last        # goes on where that run stopped
    python shapes.py evaluate --weights=last
    python shapes.py detect --weights=last       # writes pictures

`train --epochs=2` is a glance: boxes and outlines begin to fit, classes are still guessed.
"""

import argparse
from pathlib import Path

import cv2
import keras
import numpy as np
from PIL import Image

from mrcnn_plus import model as modellib
from mrcnn_plus import utils
from mrcnn_plus.config import Config
from mrcnn_plus.drawing.overlay import draw_overlay
from mrcnn_plus.evaluation import evaluate
from mrcnn_plus.weights.pretrained import find_weights


class ShapesConfig(Config):
    """A light network for small pictures, trained from random weights."""

    NAME = "shapes"
    NUM_CLASSES = 1 + 3  # background, square, circle, triangle
    IMAGE_MIN_DIM = IMAGE_MAX_DIM = 128
    RPN_ANCHOR_SCALES = (8, 16, 32, 64, 128)
    MEAN_PIXEL = [128.0, 128.0, 128.0]
    IMAGES_PER_GPU = 4
    STEPS_PER_EPOCH = 50

    BACKBONE, BACKBONE_WIDTH, NORMALIZATION = "resnet18", 32, "group"
    TOP_DOWN_PYRAMID_SIZE = RPN_CONV_CHANNELS = MASK_CONV_CHANNELS = 64
    FPN_CLASSIF_FC_LAYERS_SIZE = 256
    OPTIMIZER, LEARNING_RATE = "AdamW", 1e-3

    TRAIN_ROIS_PER_IMAGE = 32
    MAX_GT_INSTANCES = DETECTION_MAX_INSTANCES = 10
    PRE_NMS_LIMIT, POST_NMS_ROIS_TRAINING, POST_NMS_ROIS_INFERENCE = 1000, 200, 100
    SEED = 0


class ShapesDataset(utils.Dataset):
    """Up to four shapes on a plain ground; each image is drawn from its own seed whenever it is asked for."""

    def load_shapes(self, count, *, size=128, first_seed=0):
        """Register `count` images of `size` x `size` pixels."""
        for class_id, name in enumerate(("square", "circle", "triangle"), start=1):
            self.add_class("shapes", class_id, name)
        for number in range(count):
            seed = first_seed + number
            self.add_image("shapes", image_id=seed, path=None, size=size, shapes=random_shapes(seed, size))
        self.prepare()

    def load_image(self, image_id):
        """The picture, uint8 `[size, size, 3]`."""
        info = self.image_info[image_id]
        ground = np.random.default_rng(info["id"]).integers(0, 256, 3)
        image = np.full((info["size"], info["size"], 3), ground, np.uint8)
        for shape in info["shapes"]:
            image[shape_mask(shape, info["size"])] = shape["color"]
        return image

    def load_mask(self, image_id):
        """The visible part of every shape: later ones cover earlier ones."""
        info = self.image_info[image_id]
        masks = np.stack([shape_mask(shape, info["size"]) for shape in info["shapes"]], axis=-1)
        for index in range(masks.shape[-1] - 1):
            masks[..., index] &= ~masks[..., index + 1 :].any(axis=-1)
        visible = masks.any(axis=(0, 1))
        class_ids = np.array([self.class_names.index(shape["kind"]) for shape in info["shapes"]], np.int32)
        return masks[..., visible], class_ids[visible]


def random_shapes(seed, size):
    """Kind, centre, half size and colour of one to four shapes."""
    rng = np.random.default_rng([seed, 1])
    return [
        {
            "kind": str(rng.choice(["square", "circle", "triangle"])),
            "center": tuple(int(value) for value in rng.integers(size // 6, size - size // 6, 2)),
            "half": int(rng.integers(size // 12, size // 4)),
            "color": rng.integers(0, 256, 3),
        }
        for _ in range(rng.integers(1, 5))
    ]


def shape_mask(shape, size):
    """The pixels of a shape, bool `[size, size]`."""
    mask = np.zeros((size, size), np.uint8)
    (x, y), half = shape["center"], shape["half"]
    if shape["kind"] == "circle":
        cv2.circle(mask, (x, y), half, 1, -1)
    elif shape["kind"] == "square":
        cv2.rectangle(mask, (x - half, y - half), (x + half, y + half), 1, -1)
    else:
        corners = np.array([[x, y - half], [x - half, y + half], [x + half, y + half]], np.int32)
        cv2.fillPoly(mask, [corners], 1)
    return mask.astype(bool)


def load_data(subset, count=None):
    """ "train" or "val": other seeds, so other pictures."""
    dataset = ShapesDataset()
    dataset.load_shapes(count or (2000 if subset == "train" else 50), first_seed=0 if subset == "train" else 10_000)
    return dataset


def train(model, epochs):
    """One epoch of the heads on the random backbone, then everything with a rate that falls to 0."""
    train_data, val_data, config = load_data("train"), load_data("val"), model.config
    if model.epoch < 1:
        model.train(train_data, val_data, config.LEARNING_RATE, epochs=1, layers="heads")
    if model.epoch < epochs:
        steps = (epochs - model.epoch) * config.STEPS_PER_EPOCH
        falling = keras.optimizers.schedules.CosineDecay(config.LEARNING_RATE, steps)
        model.train(train_data, val_data, falling, epochs=epochs, layers="all")


def draw_detections(model, folder, count=6):
    """Pictures of what is found in validation images; returns the folder."""
    folder, dataset = Path(folder), load_data("val", count)
    folder.mkdir(parents=True, exist_ok=True)
    for image_id in dataset.image_ids:
        image = dataset.load_image(image_id)
        picture = draw_enlarged(image, model.detect([image])[0], dataset.class_names, factor=4)
        Image.fromarray(picture).save(folder / f"shapes_{image_id}.png")
    return folder


def draw_enlarged(image, found, class_names, *, factor):
    """The image with what was found in it, each pixel as `factor` x `factor`, so that the labels have room."""
    image, masks = (array.repeat(factor, axis=0).repeat(factor, axis=1) for array in (image, found["masks"]))
    boxes = found["rois"] * factor
    return draw_overlay(image, boxes, masks, found["class_ids"], class_names, found["scores"], show_labels=True)


def main(arguments=None, config_class=ShapesConfig):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["train", "evaluate", "detect"])
    parser.add_argument("--weights", default="random", help="random, last or the path of a weights file")
    parser.add_argument("--logs", default="logs", help="folder for logs and checkpoints")
    parser.add_argument("--epochs", type=int, default=24, help="epochs of 50 steps, the first one of the heads alone")
    parser.add_argument("--output", default="shapes_output", help="folder for pictures")
    args = parser.parse_args(arguments)
    if args.command != "train" and args.weights == "random":
        parser.error(f"{args.command} needs --weights=last, or the path of a weights file")

    config = config_class()
    config.display()
    mode = "training" if args.command == "train" else "inference"
    model = modellib.MaskRCNN(mode=mode, config=config, model_dir=args.logs)
    if args.weights != "random":
        model.load_weights(find_weights(args.weights, model), by_name=True)

    if args.command == "train":
        train(model, args.epochs)
    elif args.command == "evaluate":
        print(evaluate(model, load_data("val"), batch_size=config.BATCH_SIZE))
    else:
        print("Saved to", draw_detections(model, args.output))


if __name__ == "__main__":
    main()
