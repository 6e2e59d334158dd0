"""Time of a training step, by stage and precision.

python benchmarks/training_step.py --backbone resnet50 --size 256 --batch 2
"""

import argparse
import time

import measure
import numpy as np

from mrcnn_plus.config import Config
from mrcnn_plus.mask_rcnn import MaskRCNN


def training_step(backbone, size, batch, precision, layers):
    """A function that runs one step on a fixed batch of 20 generated objects per image."""

    class BenchmarkConfig(Config):
        NAME = "benchmark"
        BACKBONE = backbone
        NUM_CLASSES = 5
        IMAGES_PER_GPU = batch
        IMAGE_MIN_DIM = IMAGE_MAX_DIM = size
        PRECISION = precision

    config = BenchmarkConfig()
    model = MaskRCNN("training", config, "logs")
    model.set_trainable(layers, verbose=0)
    model.compile(1e-3, 0.9)
    inputs = generated_batch(config)
    return lambda: model.keras_model.train_on_batch(inputs)


def generated_batch(config, *, objects=20):
    """A batch as `data.batches` makes it, with boxes at random places and full mini masks."""
    rng = np.random.default_rng(0)
    batch, slots = config.BATCH_SIZE, config.MAX_GT_INSTANCES
    height, width, channels = (int(size) for size in config.IMAGE_SHAPE)
    metas = np.zeros((batch, config.IMAGE_META_SIZE), np.float32)
    metas[:, 1:4] = metas[:, 4:7] = height, width, channels
    metas[:, 7:11] = 0, 0, height, width
    metas[:, 11:] = 1
    boxes = np.zeros((batch, slots, 4), np.float32)
    corner = rng.uniform(0, 0.7, (batch, objects, 2))
    side = rng.uniform(0.05, 0.3, (batch, objects, 2))
    boxes[:, :objects] = np.concatenate([corner, corner + side], axis=2) * height
    class_ids = np.zeros((batch, slots), np.int32)
    class_ids[:, :objects] = rng.integers(1, config.NUM_CLASSES, (batch, objects))
    return {
        "input_image": rng.normal(0, 50, (batch, height, width, channels)).astype(np.float32),
        "input_image_meta": metas,
        "input_gt_class_ids": class_ids,
        "input_gt_boxes": boxes,
        "input_gt_masks": np.ones((batch, *config.MINI_MASK_SHAPE, slots), bool),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--layers", nargs="+", default=["heads", "all"])
    parser.add_argument("--precision", nargs="+", default=["float32"])
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()

    sides = {}
    for precision in args.precision:
        for layers in args.layers:
            step = training_step(args.backbone, args.size, args.batch, precision, layers)
            start = time.perf_counter()
            step()
            print(f"{layers}, {precision}: first step {time.perf_counter() - start:.1f} s")
            sides[f"{layers}, {precision}"] = step
    print(f"\nTraining step, {args.backbone}, {args.size} x {args.size}, {args.batch} images")
    measure.print_machine()
    measure.print_table(measure.interleaved(sides, args.repeats))
    print(f"peak memory {measure.peak_memory_mb():.0f} MB")


if __name__ == "__main__":
    main()
