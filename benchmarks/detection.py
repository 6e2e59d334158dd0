"""Time of a whole `detect()`: resizing, network, masks pasted to full size; by precision and engine.

python benchmarks/detection.py --backbone resnet101 --size 1024 --side float32 mixed_bfloat16 openvino:float32
python benchmarks/detection.py --original /folder/that/holds/mrcnn --original-python /env/bin/python
python benchmarks/detection.py --backbone resnet50 --torchvision-python /env/bin/python
"""

import argparse
import os
import tempfile

import measure
import numpy as np
from ours import detector


def settings_of(args):
    """Settings that both sides have; with a confidence of 0 all 100 places for detections are filled."""
    return {
        "BACKBONE": args.backbone,
        "NUM_CLASSES": 81,
        "IMAGES_PER_GPU": 1,
        "IMAGE_MIN_DIM": args.size,
        "IMAGE_MAX_DIM": args.size,
        "DETECTION_MIN_CONFIDENCE": 0.0,
    }


def generated_image(size):
    return np.random.default_rng(0).integers(0, 256, (size * 2 // 3, size, 3), dtype=np.uint8)


def fill_places(model, settings, image, detections):
    """Set the least score so that as many of 100 places are filled as a picture with that many objects fills."""
    scores = model.detect([image], allow_untrained=True)[0]["scores"]
    if detections < len(scores):
        settings["DETECTION_MIN_CONFIDENCE"] = float(np.mean(scores[detections - 1 : detections + 1]))


def sides_of(args, settings, folder):
    """`{name: function that detects once}`, each after its first call, of what the command line asks for."""
    weights, image_file = os.path.join(folder, "weights.h5"), os.path.join(folder, "image.npy")
    image = generated_image(args.size)
    np.save(image_file, image)
    model = detector("float32", settings)
    model.keras_model.save_weights(weights)
    fill_places(model, settings, image, args.detections)
    files = {"settings": settings, "weights": weights, "image": image_file}
    sides = {"original": measure.original(args, "detection", **files)} if args.original else {}
    for side in args.side:
        sides[side] = measure.ours("detection", **files, side=side)
    for precision in dict.fromkeys(side.rpartition(":")[2] for side in args.side if args.torchvision_python):
        given = {"size": args.size, "num_classes": settings["NUM_CLASSES"], "image": image_file}
        sides[f"torchvision {precision}"] = measure.torchvision(
            args, "detection", **given, detections=args.detections, precision=precision
        )
    for name, side in sides.items():
        first = side()
        print(f"{name}: first call {first.wall:.1f} s, {side.last['detections']} detections")
    return sides


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet101")
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--detections", type=int, default=20, help="how many of 100 places are filled")
    parser.add_argument("--side", nargs="+", default=["float32", "mixed_bfloat16"], metavar="[ENGINE:]PRECISION")
    parser.add_argument("--crop-padding", action="store_true", help="the image of 3:2 without the padding around it")
    parser.add_argument("--repeats", type=int, default=5)
    measure.add_others(parser, torchvision=True)
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        settings = {**settings_of(args), "DETECTION_CROP_PADDING": args.crop_padding}
        sides = sides_of(args, settings, folder)
        print(f"\ndetect(), {args.backbone}, {args.size} x {args.size}, one image")
        measure.print_machine()
        measure.print_table(measure.interleaved(sides, args.repeats), sides=sides)
        measure.close_others(sides)


if __name__ == "__main__":
    main()
