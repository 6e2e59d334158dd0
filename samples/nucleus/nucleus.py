"""Cell nuclei in microscopy images, as in the 2018 Data Science Bowl: train, evaluate, detect.

    python nucleus.py train --dataset=nuclei --weights=imagenet
    python nucleus.py train --dataset=nuclei --weights=last             # goes on where that run stopped
    python nucleus.py evaluate --dataset=nuclei --subset=val --weights=last
    python nucleus.py detect --dataset=nuclei --subset=stage1_test --weights=last

`detect` draws every image and writes `submit.csv`, the run lengths that the competition asked for. A subset is a folder
of the data set:

    nuclei/<subset>/<image id>/images/<image id>.png
    nuclei/<subset>/<image id>/masks/*.png            one file per nucleus, white on black

With the competition's own folders, "train" and "val" are two parts of `stage1_train`. `demo.py` trains a smaller
network on the images that come with this sample.
"""

import argparse
import datetime
from pathlib import Path

import numpy as np
from PIL import Image

from mrcnn_plus import model as modellib
from mrcnn_plus import utils
from mrcnn_plus.config import Config
from mrcnn_plus.data.augmentation import import_imgaug
from mrcnn_plus.drawing.overlay import draw_overlay
from mrcnn_plus.errors import DatasetError
from mrcnn_plus.evaluation import evaluate
from mrcnn_plus.weights.pretrained import find_weights

VALIDATION_SHARE = 20  # every 20th image of stage1_train validates; the ids are random, so this is a random choice


class NucleusConfig(Config):
    """For training on a GPU from ImageNet or COCO weights."""

    NAME = "nucleus"
    NUM_CLASSES = 1 + 1  # background and nucleus
    BACKBONE = "resnet50"
    IMAGES_PER_GPU = 6  # for 12 GB of GPU memory
    STEPS_PER_EPOCH = 105  # so that 6 x 105 images are about those of stage1_train

    # Images have 256 to 1,000 pixels, nuclei often fewer than 20: enlarge, then train on random windows.
    IMAGE_RESIZE_MODE = "crop"
    IMAGE_MIN_DIM = 512
    IMAGE_MAX_DIM = 512
    IMAGE_MIN_SCALE = 2.0
    MEAN_PIXEL = [43.53, 39.56, 48.22]

    # Small objects, and many of them.
    RPN_ANCHOR_SCALES = (8, 16, 32, 64, 128)
    RPN_NMS_THRESHOLD = 0.9  # more proposals are left for training
    RPN_TRAIN_ANCHORS_PER_IMAGE = 64
    POST_NMS_ROIS_TRAINING = 1000
    POST_NMS_ROIS_INFERENCE = 2000
    TRAIN_ROIS_PER_IMAGE = 128
    MAX_GT_INSTANCES = 200
    DETECTION_MAX_INSTANCES = 400
    DETECTION_MIN_CONFIDENCE = 0
    MINI_MASK_SHAPE = (56, 56)


def for_detection(config):
    """The settings for images of any size as they are, one at a time; they change no weight of the network."""
    config.IMAGES_PER_GPU = 1
    if config.IMAGE_RESIZE_MODE == "crop":
        config.IMAGE_RESIZE_MODE = "pad64"
    config.RPN_NMS_THRESHOLD = 0.7
    return config


class NucleusDataset(utils.Dataset):
    """Images and masks in folders, as the competition gave them out."""

    def load_nuclei(self, folder):
        """Register every image below `folder`."""
        self.load_images(sorted(Path(folder).glob("*/images/*.png")))

    def load_subset(self, folder, subset):
        """Register the images of a subset; "train" and "val" may be parts of the folder stage1_train."""
        part = Path(folder) / subset
        if part.is_dir():
            paths = sorted(part.glob("*/images/*.png"))
        else:
            whole = sorted((Path(folder) / "stage1_train").glob("*/images/*.png"))
            paths = [p for n, p in enumerate(whole) if subset == ("train" if n % VALIDATION_SHARE else "val")]
        if not paths:
            raise DatasetError(
                f"{subset!r}: no image in {str(part)!r}; expected <image id>/images/*.png there, or in stage1_train "
                "for train and val. Give --dataset the folder above, and --subset the name of one in it."
            )
        self.load_images(paths)

    def load_images(self, paths):
        self.add_class("nucleus", 1, "nucleus")
        for path in paths:
            self.add_image("nucleus", image_id=path.stem, path=str(path))
        self.prepare()

    def load_mask(self, image_id):
        """Masks bool `[H, W, N]` and class ids `[N]` of one image."""
        folder = Path(self.image_info[image_id]["path"]).parent.parent / "masks"
        masks = [np.array(Image.open(path).convert("L")) > 0 for path in sorted(folder.glob("*.png"))]
        return np.stack(masks, axis=-1), np.ones(len(masks), np.int32)


def load_data(folder, subset):
    dataset = NucleusDataset()
    dataset.load_subset(folder, subset)
    return dataset


def train(model, folder, subset, epochs):
    """The heads for half of the epochs, then everything. Nuclei have no upper side: turn and mirror them."""
    train_data, val_data = load_data(folder, subset), load_data(folder, "val")
    iaa = import_imgaug().augmenters
    augmentation = iaa.SomeOf(
        (0, 2),
        [iaa.Fliplr(0.5), iaa.Flipud(0.5), iaa.Rot90((1, 3)), iaa.Multiply((0.8, 1.5)), iaa.GaussianBlur((0.0, 5.0))],
    )
    rate = model.config.LEARNING_RATE
    for layers, last_epoch in (("heads", (epochs + 1) // 2), ("all", epochs)):
        if last_epoch > model.epoch:  # else this stage was trained before the run was interrupted
            model.train(train_data, val_data, rate, last_epoch, layers, augmentation=augmentation)


def detect(model, folder, subset, results):
    """Detect in all images of a subset: a picture of each, and submit.csv. Returns the folder of the results."""
    dataset = load_data(folder, subset)
    output = Path(results) / f"submit_{datetime.datetime.now():%Y%m%dT%H%M%S}"
    output.mkdir(parents=True)
    lines = ["ImageId,EncodedPixels"]
    for image_id in dataset.image_ids:
        image, name = dataset.load_image(image_id), dataset.image_info[image_id]["id"]
        found = model.detect([image])[0]
        lines += run_lengths(name, found["masks"], found["scores"])
        picture = draw_overlay(image, found["rois"], found["masks"], found["class_ids"], dataset.class_names)
        Image.fromarray(picture).save(output / f"{name}.png")
    (output / "submit.csv").write_text("\n".join(lines) + "\n")
    return output


def run_lengths(name, masks, scores):
    """Lines "name,start length start length ..." of the masks `[H, W, N]` of an image; pixels count from 1, downwards.

    No pixel may belong to two nuclei: it goes to the one with the better score.
    """
    taken, lines = np.zeros(masks.shape[:2], bool), []
    for index in np.argsort(-np.asarray(scores), kind="stable"):
        mask = masks[..., index] & ~taken
        taken |= mask
        edges = np.diff(np.concatenate([[0], mask.T.ravel().astype(np.int8), [0]]))
        starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
        if len(starts):
            lines.append(f"{name}," + " ".join(f"{a + 1} {b - a}" for a, b in zip(starts, ends, strict=True)))
    return lines or [f"{name},"]


def main(arguments=None, config_class=NucleusConfig):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["train", "evaluate", "detect"])
    parser.add_argument("--dataset", type=Path, required=True, help="folder with the subsets")
    parser.add_argument("--subset", help="train or val, or a folder such as stage1_test (default for train: train)")
    parser.add_argument("--weights", required=True, help="coco, imagenet, last, random or the path of a weights file")
    parser.add_argument("--logs", default="logs", help="folder for logs and checkpoints")
    parser.add_argument("--epochs", type=int, default=40, help="epochs of both stages (default: 40)")
    parser.add_argument("--results", default="results", help="folder for what detect writes")
    args = parser.parse_args(arguments)
    if args.command != "train" and not args.subset:
        parser.error(f"{args.command} needs --subset")

    config = config_class() if args.command == "train" else for_detection(config_class())
    config.display()
    mode = "training" if args.command == "train" else "inference"
    model = modellib.MaskRCNN(mode=mode, config=config, model_dir=args.logs)
    if args.weights != "random":
        model.load_weights(find_weights(args.weights, model), by_name=True)

    if args.command == "train":
        train(model, args.dataset, args.subset or "train", args.epochs)
    elif args.command == "evaluate":
        print(evaluate(model, load_data(args.dataset, args.subset)))
    else:
        print("Saved to", detect(model, args.dataset, args.subset, args.results))


if __name__ == "__main__":
    main()
