"""Time of a whole `detect()`: resizing, network, masks pasted to full size.

python benchmarks/detection.py --backbone resnet101 --size 1024 --precision float32 mixed_bfloat16
"""

import argparse
import time

import measure
import numpy as np

from mrcnn_plus.config import Config
from mrcnn_plus.mask_rcnn import MaskRCNN


def detector(backbone, size, precision):
    """An untrained model; the time of detection does not depend on what the weights know, given equal detections."""

    class BenchmarkConfig(Config):
        NAME = "benchmark"
        BACKBONE = backbone
        NUM_CLASSES = 81
        IMAGES_PER_GPU = 1
        IMAGE_MIN_DIM = IMAGE_MAX_DIM = size
        DETECTION_MIN_CONFIDENCE = 0.0  # fills all places for detections
        PRECISION = precision

    return MaskRCNN("inference", BenchmarkConfig(), "logs")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet101")
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--precision", nargs="+", default=["float32", "mixed_bfloat16"])
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()

    image = np.random.default_rng(0).integers(0, 256, (args.size * 2 // 3, args.size, 3), dtype=np.uint8)
    sides = {}
    for precision in args.precision:
        model = detector(args.backbone, args.size, precision)
        start = time.perf_counter()
        model.detect([image], allow_untrained=True)
        print(f"{precision}: first call {time.perf_counter() - start:.1f} s")
        sides[precision] = lambda model=model: model.detect([image], allow_untrained=True)
    print(f"\ndetect(), {args.backbone}, {args.size} x {args.size}, one image")
    measure.print_machine()
    measure.print_table(measure.interleaved(sides, args.repeats))
    print(f"peak memory {measure.peak_memory_mb():.0f} MB")


if __name__ == "__main__":
    main()
