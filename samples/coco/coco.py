"""COCO: 80 classes of everyday objects. Train, evaluate, detect.

    python coco.py train --dataset=coco --weights=imagenet --download
    python coco.py train --dataset=coco --weights=last                  # goes on where that run stopped
    python coco.py evaluate --dataset=coco --weights=coco --limit=500
    python coco.py detect --weights=coco --image=photo.jpg              # a file or an address on the web

The data are COCO's own files: `annotations/instances_train2017.json`, `annotations/instances_val2017.json` and the
folders `train2017`, `val2017`. `--year=2014` takes those of 2014; the images of both are the same, but 2017 splits them
as Matterport trained (its `train` with `valminusminival`, and `minival`). `--model` means the same as `--weights`.
"""

import argparse
import datetime
import zipfile
from pathlib import Path

from PIL import Image

from mrcnn_plus import model as modellib
from mrcnn_plus.config import Config
from mrcnn_plus.data import open_dataset
from mrcnn_plus.data.augmentation import import_imgaug
from mrcnn_plus.data.image_files import read_image
from mrcnn_plus.drawing.overlay import draw_overlay
from mrcnn_plus.evaluation import evaluate
from mrcnn_plus.weights.download import download
from mrcnn_plus.weights.pretrained import find_weights

DATA_URL = "http://images.cocodataset.org"
# In the order of the class ids of a network trained on COCO.
# fmt: off
CLASS_NAMES = [
    "background", "person", "bicycle", "car", "motorcycle", "airplane", "bus", "train", "truck", "boat",
    "traffic light", "fire hydrant", "stop sign", "parking meter", "bench", "bird", "cat", "dog", "horse", "sheep",
    "cow", "elephant", "bear", "zebra", "giraffe", "backpack", "umbrella", "handbag", "tie", "suitcase", "frisbee",
    "skis", "snowboard", "sports ball", "kite", "baseball bat", "baseball glove", "skateboard", "surfboard",
    "tennis racket", "bottle", "wine glass", "cup", "fork", "knife", "spoon", "bowl", "banana", "apple", "sandwich",
    "orange", "broccoli", "carrot", "hot dog", "pizza", "donut", "cake", "chair", "couch", "potted plant", "bed",
    "dining table", "toilet", "tv", "laptop", "mouse", "remote", "keyboard", "cell phone", "microwave", "oven",
    "toaster", "sink", "refrigerator", "book", "clock", "vase", "scissors", "teddy bear", "hair drier",
    "toothbrush",
]
# fmt: on


class CocoConfig(Config):
    NAME = "coco"
    NUM_CLASSES = 1 + 80  # background and COCO's classes
    IMAGES_PER_GPU = 2  # for 12 GB of GPU memory; set it to 1 if memory runs out
    # GPU_COUNT = 8


def load_data(folder, subset, year):
    """A subset of COCO, "train" or "val", of a year. Images without an object stay out of training."""
    folder = Path(folder)
    return open_dataset(folder / "annotations" / f"instances_{subset}{year}.json", images=folder / f"{subset}{year}")


def train(model, folder, year, epochs):
    """Heads first, then the upper half of the backbone, then everything at a tenth of the rate."""
    train_data, val_data = load_data(folder, "train", year), load_data(folder, "val", year)
    flip = import_imgaug().augmenters.Fliplr(0.5)
    rate = model.config.LEARNING_RATE
    for share, layers, learning_rate in ((0.25, "heads", rate), (0.75, "4+", rate), (1.0, "all", rate / 10)):
        last_epoch = round(share * epochs)
        if last_epoch > model.epoch:  # else this stage was trained before the run was interrupted
            model.train(train_data, val_data, learning_rate, last_epoch, layers, augmentation=flip)


def detect_image(model, path):
    """Detect in an image, draw the result and write it; returns the path of the picture."""
    image = read_image(path)
    found = model.detect([image])[0]
    for class_id, score in zip(found["class_ids"], found["scores"], strict=True):
        print(f"{CLASS_NAMES[class_id]} {score:.0%}")
    picture = draw_overlay(image, found["rois"], found["masks"], found["class_ids"], CLASS_NAMES, found["scores"])
    output = f"detect_{datetime.datetime.now():%Y%m%dT%H%M%S}.png"
    Image.fromarray(picture).save(output)
    return output


def download_data(folder, year, subsets=("train", "val")):
    """Fetch what is missing of the images (19 GB for train2017) and annotations, and unpack it."""
    folder = Path(folder)
    names = [(f"{subset}{year}", f"zips/{subset}{year}.zip") for subset in subsets]
    names.append(("annotations", f"annotations/annotations_trainval{year}.zip"))
    for name, address in names:
        expected = folder / name
        if name == "annotations":
            expected = expected / f"instances_{subsets[-1]}{year}.json"
        if not expected.exists():
            archive = download(f"{DATA_URL}/{address}", folder / f"{name}{year}.zip")
            with zipfile.ZipFile(archive) as content:
                content.extractall(folder)
            Path(archive).unlink()


def yes_or_no(text):
    return str(text).lower() in ("", "1", "true", "yes")


def main(arguments=None, config_class=CocoConfig):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["train", "evaluate", "detect"])
    parser.add_argument("--dataset", type=Path, help="folder with annotations and images")
    parser.add_argument(
        "--weights", "--model", required=True, help="coco, imagenet, last, random or the path of a weights file"
    )
    parser.add_argument("--logs", default="logs", help="folder for logs and checkpoints")
    parser.add_argument("--year", default="2017", choices=["2014", "2017"], help="of the data (default: 2017)")
    parser.add_argument("--download", nargs="?", const=True, default=False, type=yes_or_no, help="fetch missing data")
    parser.add_argument("--limit", type=int, default=500, help="images to evaluate, 0 for all (default: 500)")
    parser.add_argument("--epochs", type=int, default=160, help="epochs of all stages (default: 160)")
    parser.add_argument("--image", help="path or address of an image, for detect")
    args = parser.parse_args(arguments)
    if args.command == "detect" and not args.image:
        parser.error("detect needs --image")
    if args.command != "detect" and args.dataset is None:
        parser.error(f"{args.command} needs --dataset")
    if args.download and args.dataset is not None:
        download_data(args.dataset, args.year, ("train", "val") if args.command == "train" else ("val",))

    config = config_class()
    if args.command != "train":
        config.IMAGES_PER_GPU = 1
    config.display()
    mode = "training" if args.command == "train" else "inference"
    model = modellib.MaskRCNN(mode=mode, config=config, model_dir=args.logs)
    if args.weights != "random":
        model.load_weights(find_weights(args.weights, model), by_name=True)

    if args.command == "train":
        train(model, args.dataset, args.year, args.epochs)
    elif args.command == "evaluate":
        val_data = load_data(args.dataset, "val", args.year)
        print(evaluate(model, val_data, limit=args.limit or None, min_confidence=0))
    else:
        print("Saved to", detect_image(model, args.image))


if __name__ == "__main__":
    main()
