"""Time of a whole `detect()`: resizing, network, masks pasted to full size; by precision and engine.

python benchmarks/detection.py --backbone resnet101 --size 1024 --side float32 mixed_bfloat16 openvino:float32
python benchmarks/detection.py --original /folder/that/holds/mrcnn --original-python /env/bin/python
python benchmarks/detection.py --backbone resnet50 --torchvision-python /env/bin/python
"""

import argparse
import os
import tempfile
import time

import measure
import numpy as np

from mrcnn_plus.config import Config
from mrcnn_plus.mask_rcnn import MaskRCNN


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


def detector(side, settings, weights=None):
    """A model of random weights, or those of a file. side: `PRECISION` or `ENGINE:PRECISION`."""
    engine, _, precision = side.rpartition(":")
    own = {"NAME": "benchmark", "SEED": 0, "PRECISION": precision, "INFERENCE_ENGINE": engine or "keras"}
    model = MaskRCNN("inference", type("BenchmarkConfig", (Config,), {**settings, **own})(), tempfile.mkdtemp())
    if weights:
        model.keras_model.load_weights(weights, by_name=True)
    else:
        _randomize_offsets(model.keras_model)
    return model


def _randomize_offsets(keras_model):
    """Biases and the like begin as zeros, whose addition TensorFlow leaves out; trained ones are none."""
    rng = np.random.default_rng(0)
    for weight in keras_model.weights:
        if weight.path.endswith(("/bias", "/beta", "/moving_mean")):
            weight.assign(rng.normal(0, 0.01, weight.shape))


def generated_image(size):
    return np.random.default_rng(0).integers(0, 256, (size * 2 // 3, size, 3), dtype=np.uint8)


def fill_places(model, settings, image, detections):
    """Set the least score so that as many of 100 places are filled as a picture with that many objects fills."""
    scores = model.detect([image], allow_untrained=True)[0]["scores"]
    if detections < len(scores):
        settings["DETECTION_MIN_CONFIDENCE"] = float(np.mean(scores[detections - 1 : detections + 1]))


def sides_of(args, settings, folder):
    """`{name: function that detects once}`, each warmed up, of what the command line asks for."""
    weights, image_file = os.path.join(folder, "weights.h5"), os.path.join(folder, "image.npy")
    image = generated_image(args.size)
    np.save(image_file, image)
    model = detector("float32", settings)
    model.keras_model.save_weights(weights)
    fill_places(model, settings, image, args.detections)
    sides = {}
    if args.original:
        sides["original"] = measure.original(args, "detection", settings=settings, weights=weights, image=image_file)
    for side in args.side:
        model = detector(side, settings, weights)
        start = time.perf_counter()
        found = model.detect([image], allow_untrained=True)[0]
        print(f"{side}: first call {time.perf_counter() - start:.1f} s, {len(found['scores'])} detections")
        sides[side] = lambda model=model: model.detect([image], allow_untrained=True)
    for precision in dict.fromkeys(side.rpartition(":")[2] for side in args.side if args.torchvision_python):
        given = {"size": args.size, "num_classes": settings["NUM_CLASSES"], "image": image_file}
        sides[f"torchvision {precision}"] = measure.torchvision(
            args, "detection", **given, detections=args.detections, precision=precision
        )
    for name, side in sides.items():
        if isinstance(side, measure.OtherProgram):
            side()
            print(f"{name}: {side.last['detections']} detections")
    return sides


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet101")
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--detections", type=int, default=20, help="how many of 100 places are filled")
    parser.add_argument("--side", nargs="+", default=["float32", "mixed_bfloat16"], metavar="[ENGINE:]PRECISION")
    parser.add_argument("--repeats", type=int, default=5)
    measure.add_others(parser, torchvision=True)
    args = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        sides = sides_of(args, settings_of(args), folder)
        print(f"\ndetect(), {args.backbone}, {args.size} x {args.size}, one image")
        measure.print_machine()
        measure.print_table(measure.interleaved(sides, args.repeats))
        measure.close_others(sides)
    print(f"peak memory {measure.peak_memory_mb():.0f} MB")


if __name__ == "__main__":
    main()
