"""Balloons in photographs: learn to find them, then grey out everything else (color splash).

    python balloon.py download --dataset=balloon
    python balloon.py train --dataset=balloon --weights=coco
    python balloon.py train --dataset=balloon --weights=last            # goes on where that run stopped
    python balloon.py evaluate --dataset=balloon --weights=last
    python balloon.py detect --weights=last --image=photo.jpg           # a file or an address on the web
    python balloon.py splash --weights=last --image=photo.jpg
    python balloon.py splash --weights=last --video=film.mp4

The data are two folders, `train` and `val`, with photographs and outlines drawn in VIA (`via_region_data.json`). For
objects of your own: draw them in VIA, COCO tools or labelme, change the name of the class and the settings.
"""

import argparse
import datetime
import zipfile
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from mrcnn_plus import model as modellib
from mrcnn_plus.config import Config
from mrcnn_plus.data import open_dataset
from mrcnn_plus.data.image_files import read_image
from mrcnn_plus.drawing.overlay import draw_overlay
from mrcnn_plus.evaluation import evaluate
from mrcnn_plus.weights.download import download
from mrcnn_plus.weights.pretrained import find_weights

DATA_URL = "https://github.com/matterport/Mask_RCNN/releases/download/v2.1/balloon_dataset.zip"


class BalloonConfig(Config):
    NAME = "balloon"
    NUM_CLASSES = 1 + 1  # background and balloon
    IMAGES_PER_GPU = 2  # for 12 GB of GPU memory; set it to 1 if memory runs out
    STEPS_PER_EPOCH = 100
    DETECTION_MIN_CONFIDENCE = 0.9


def load_data(folder, subset):
    """The balloons of a subset, "train" or "val". Outlines need no attribute: all of them are balloons."""
    return open_dataset(Path(folder) / subset, class_names=["balloon"], default_class="balloon")


def train(model, folder, epochs):
    """The heads are enough for a set as small as this, if the backbone comes from COCO."""
    train_data, val_data = load_data(folder, "train"), load_data(folder, "val")
    model.train(
        train_data, val_data, learning_rate=model.config.LEARNING_RATE, epochs=model.epoch + epochs, layers="heads"
    )


def color_splash(image, masks):
    """The image in grey, but for the objects: uint8 `[H, W, 3]`. masks: bool `[H, W, N]`."""
    grey = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return np.where(masks.any(axis=-1, keepdims=True), image, grey)


def detect_image(model, path, draw):
    """Detect in an image, draw the result and write it; returns the path of the picture."""
    image = read_image(path)
    found = model.detect([image])[0]
    for box, score in zip(found["rois"].tolist(), found["scores"], strict=True):
        print(f"balloon {score:.0%} at (y1, x1, y2, x2) = {box}")
    output = new_name(draw.__name__, "png")
    Image.fromarray(draw(image, found)).save(output)
    return output


def splash(image, found):
    return color_splash(image, found["masks"])


def outlines(image, found):
    return draw_overlay(
        image, found["rois"], found["masks"], found["class_ids"], ["background", "balloon"], found["scores"]
    )


def splash_video(model, path):
    """Color splash of every frame; returns the path of the new video, which has no sound."""
    video = cv2.VideoCapture(str(path))
    if not video.isOpened():
        raise SystemExit(f"{path}: OpenCV cannot read it as a video.")
    size = int(video.get(cv2.CAP_PROP_FRAME_WIDTH)), int(video.get(cv2.CAP_PROP_FRAME_HEIGHT))
    output = new_name("splash", "avi")
    writer = cv2.VideoWriter(output, cv2.VideoWriter_fourcc(*"MJPG"), video.get(cv2.CAP_PROP_FPS) or 25, size)
    count = 0
    while True:
        there_is_one, frame = video.read()
        if not there_is_one:
            break
        image = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        picture = color_splash(image, model.detect([image])[0]["masks"])
        writer.write(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        count += 1
    writer.release()
    video.release()
    print(f"{count} frames")
    return output


def new_name(kind, ending):
    return f"{kind}_{datetime.datetime.now():%Y%m%dT%H%M%S}.{ending}"


def download_data(folder):
    """Fetch the 61 training and 13 validation photographs, unless they are there."""
    folder = Path(folder)
    if not (folder / "train").exists():
        archive = folder.with_name(folder.name + ".zip")
        download(DATA_URL, archive)
        with zipfile.ZipFile(archive) as content:
            content.extractall(folder.parent)
        if (folder.parent / "balloon").resolve() != folder.resolve():
            (folder.parent / "balloon").rename(folder)
        archive.unlink()


def main(arguments=None, config_class=BalloonConfig):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["download", "train", "evaluate", "detect", "splash"])
    parser.add_argument("--dataset", type=Path, help="folder with train and val")
    parser.add_argument("--weights", help="coco, imagenet, last, random or the path of a weights file")
    parser.add_argument("--logs", default="logs", help="folder for logs and checkpoints")
    parser.add_argument("--epochs", type=int, default=30, help="epochs to train")
    parser.add_argument("--image", help="path or address of an image")
    parser.add_argument("--video", help="path or address of a video")
    args = parser.parse_args(arguments)
    if args.command in ("download", "train", "evaluate") and args.dataset is None:
        parser.error(f"{args.command} needs --dataset")
    if args.command == "download":
        return download_data(args.dataset)
    if args.weights is None:
        parser.error(f"{args.command} needs --weights")
    if args.command == "detect" and not args.image:
        parser.error("detect needs --image")
    if args.command == "splash" and not (args.image or args.video):
        parser.error("splash needs --image or --video")

    config = config_class()
    if args.command != "train":
        config.IMAGES_PER_GPU = 1
    config.display()
    mode = "training" if args.command == "train" else "inference"
    model = modellib.MaskRCNN(mode=mode, config=config, model_dir=args.logs)
    if args.weights != "random":
        model.load_weights(find_weights(args.weights, model), by_name=True)

    if args.command == "train":
        train(model, args.dataset, args.epochs)
    elif args.command == "evaluate":
        print(evaluate(model, load_data(args.dataset, "val")))
    elif args.video:
        print("Saved to", splash_video(model, args.video))
    else:
        print("Saved to", detect_image(model, args.image, splash if args.command == "splash" else outlines))


if __name__ == "__main__":
    main()
