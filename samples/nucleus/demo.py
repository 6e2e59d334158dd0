"""The main job from end to end: train on real images, evaluate, draw. `make demo` runs it.

Nuclei in microscopy images (Data Science Bowl 2018, CC0, 87 images to train and 22 to validate, in `nuclei.tar.xz`), a
small network from random weights, the stages `heads` and `all`, COCO average precision of boxes and masks, overlays.
"""

import argparse
import tarfile
import time
from pathlib import Path

import keras
import numpy as np
from nucleus import NucleusDataset
from PIL import Image

from mrcnn_plus.config import Config
from mrcnn_plus.drawing.overlay import draw_overlay
from mrcnn_plus.evaluation import evaluate
from mrcnn_plus.mask_rcnn import MaskRCNN
from mrcnn_plus.utils import extract_bboxes

ARCHIVE = Path(__file__).parent / "nuclei.tar.xz"
PICTURES = 8


class DemoConfig(Config):
    """A small network that learns from random weights on a CPU within minutes."""

    NAME = "nucleus"
    NUM_CLASSES = 1 + 1  # background and nucleus

    # A light network, with normalization that does not depend on the batch, because it is trained from random weights.
    BACKBONE = "resnet18"
    BACKBONE_WIDTH = 32
    NORMALIZATION = "group"
    TOP_DOWN_PYRAMID_SIZE = 64
    RPN_CONV_CHANNELS = 64
    FPN_CLASSIF_FC_LAYERS_SIZE = 256
    MASK_CONV_CHANNELS = 64
    MEAN_PIXEL = [43.5, 40.0, 48.9]  # of these images

    OPTIMIZER = "AdamW"
    LEARNING_RATE = 1e-3
    IMAGES_PER_GPU = 2
    STEPS_PER_EPOCH = 50  # short epochs, so that progress shows
    SEED = 0

    # Most images have 256 x 256 pixels, most nuclei between 8 and 60.
    IMAGE_MIN_DIM = 256
    IMAGE_MAX_DIM = 256
    RPN_ANCHOR_SCALES = (8, 16, 32, 64, 128)
    MAX_GT_INSTANCES = 100
    DETECTION_MAX_INSTANCES = 100
    DETECTION_MIN_CONFIDENCE = 0.05
    DETECTION_NMS_THRESHOLD = 0.4

    PRE_NMS_LIMIT = 2000
    POST_NMS_ROIS_TRAINING = 500
    POST_NMS_ROIS_INFERENCE = 400
    TRAIN_ROIS_PER_IMAGE = 64
    RPN_TRAIN_ANCHORS_PER_IMAGE = 256


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("demo_output"), help="folder for logs and pictures")
    parser.add_argument("--epochs", type=int, default=9, help="epochs of 50 steps, the first one of the heads alone")
    parser.add_argument("--minutes", type=float, default=7.5, help="training stops after the epoch that reaches this")
    args = parser.parse_args()
    start = time.monotonic()

    train, val = load_data(args.output / "data")
    print(f"{train.num_images} images to train, {val.num_images} to validate\n")
    model = MaskRCNN(mode="training", config=DemoConfig(), model_dir=str(args.output / "logs"))
    train_two_stages(model, train, val, epochs=args.epochs, deadline=start + 60 * args.minutes)

    print("\nEvaluating on the validation images")
    result = evaluate(model, val, batch_size=model.config.BATCH_SIZE)
    print(result)
    folder = draw_pictures(model, val, args.output / "pictures")
    print(f"\nPictures (truth left, detections right) in {folder}")
    print(f"Mask AP50 {result.masks.ap50:.3f} after {(time.monotonic() - start) / 60:.1f} minutes")


def load_data(folder):
    """Unpack the images once and return the two prepared data sets."""
    if not folder.exists():
        with tarfile.open(ARCHIVE) as archive:
            archive.extractall(folder, filter="data")
    datasets = NucleusDataset(), NucleusDataset()
    for dataset, part in zip(datasets, ("train", "val"), strict=True):
        dataset.load_nuclei(folder / part)
    return datasets


def train_two_stages(model, train, val, *, epochs, deadline):
    """One epoch of the heads on the random backbone, then all layers with a rate that rises and falls."""
    config = model.config
    model.train(train, None, learning_rate=config.LEARNING_RATE, epochs=1, layers="heads", augmentation=turn_and_flip)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.1 * config.LEARNING_RATE,
        decay_steps=(epochs - 1) * config.STEPS_PER_EPOCH,
        alpha=0.01,
        warmup_target=config.LEARNING_RATE,
        warmup_steps=config.STEPS_PER_EPOCH,
    )
    model.train(
        train,
        val,
        learning_rate=schedule,
        epochs=epochs,
        layers="all",
        augmentation=turn_and_flip,
        custom_callbacks=[StopAt(deadline)],
    )


class StopAt(keras.callbacks.Callback):
    """Ends training with the epoch in which a time is reached, so that a slow machine is not kept busy for ever."""

    def __init__(self, deadline):
        super().__init__()
        self.deadline = deadline

    def on_epoch_end(self, epoch, logs=None):
        if time.monotonic() > self.deadline and epoch + 1 < self.params["epochs"]:
            print(f"\nTime is up: stopping after epoch {epoch + 1} of {self.params['epochs']}.")
            self.model.stop_training = True


def turn_and_flip(image, masks):
    """Turn square images by quarter turns and mirror them: nuclei have no upper side."""
    turns = np.random.randint(4) if image.shape[0] == image.shape[1] else 2 * np.random.randint(2)
    image, masks = np.rot90(image, turns), np.rot90(masks, turns)
    if np.random.randint(2):
        image, masks = image[:, ::-1], masks[:, ::-1]
    return np.ascontiguousarray(image), np.ascontiguousarray(masks)


def draw_pictures(model, dataset, folder):
    """Truth and detections side by side for some validation images."""
    folder.mkdir(parents=True, exist_ok=True)
    for image_id in dataset.image_ids[:: max(1, len(dataset.image_ids) // PICTURES)]:
        image = dataset.load_image(image_id)
        masks, class_ids = dataset.load_mask(image_id)
        result = model.detect([image])[0]
        sure = result["scores"] >= 0.5
        style = {"class_names": dataset.class_names, "show_labels": False}
        truth = draw_overlay(image, extract_bboxes(masks), masks, class_ids, **style)
        found = draw_overlay(
            image, result["rois"][sure], result["masks"][..., sure], result["class_ids"][sure], **style
        )
        gap = np.full((image.shape[0], 8, 3), 255, np.uint8)
        pair = Image.fromarray(np.concatenate([truth, gap, found], axis=1))
        pair.save(folder / f"{dataset.image_info[image_id]['id'][:12]}.png")
    return folder


if __name__ == "__main__":
    main()
