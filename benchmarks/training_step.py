"""Time of a training step, by stage and precision.

python benchmarks/training_step.py --backbone resnet50 --size 256 --batch 2 --layers heads
python benchmarks/training_step.py --original /folder/that/holds/mrcnn --original-python /env/bin/python
python benchmarks/training_step.py --torchvision-python /env/bin/python
"""

import argparse
import os
import tempfile

import measure
import numpy as np
from ours import STAGES, trainer


def settings_of(args):
    """Settings that both sides have."""
    return {
        "BACKBONE": args.backbone,
        "NUM_CLASSES": 5,
        "IMAGES_PER_GPU": args.batch,
        "IMAGE_MIN_DIM": args.size,
        "IMAGE_MAX_DIM": args.size,
        "USE_RPN_ROIS": not args.filled,
    }


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
    given_rois = {}
    if not config.USE_RPN_ROIS:  # all near objects, so that as many are positive as a sample may hold
        near = boxes[:, rng.integers(0, objects, config.POST_NMS_ROIS_TRAINING)]
        given_rois["input_roi"] = near + rng.uniform(-3, 3, near.shape).astype(np.float32)
    return given_rois | {
        "input_image": rng.normal(0, 50, (batch, height, width, channels)).astype(np.float32),
        "input_image_meta": metas,
        "input_gt_class_ids": class_ids,
        "input_gt_boxes": boxes,
        "input_gt_masks": np.ones((batch, *config.MINI_MASK_SHAPE, slots), bool),
    }


def sides_of(args, settings, folder):
    """`{name: function that runs a step}`, each after its first step, of what the command line asks for."""
    weights, batch_file = os.path.join(folder, "weights.h5"), os.path.join(folder, "batch.npz")
    model = trainer(settings, "float32", args.layers)
    model.keras_model.save_weights(weights)
    np.savez(batch_file, **generated_batch(model.config))
    files = {"settings": settings, "weights": weights, "batch": batch_file, "layers": args.layers}
    # A fork fails with ROIs that are given; its mask branch runs on all of a sample, whatever they are.
    own_rois = {**files, "settings": {**settings, "USE_RPN_ROIS": True}}
    sides = {"original": measure.original(args, "training_step", **own_rois)} if args.original else {}
    for precision in args.precision:
        sides[precision] = measure.ours("training_step", **files, precision=precision)
        if args.torchvision_python:
            given = {"size": args.size, "num_classes": settings["NUM_CLASSES"], "batch": batch_file}
            sides[f"torchvision {precision}"] = measure.torchvision(
                args, "training_step", **given, layers=args.layers, precision=precision
            )
    for name, side in sides.items():
        first = side()
        print(f"{name}: first step {first.wall:.1f} s, losses {_losses(side.last)}")
    return sides


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--layers", choices=STAGES, default="all")
    parser.add_argument(
        "--filled", action="store_true", help="our ROIs near objects, a third of them positive, in place of the RPN's"
    )
    parser.add_argument("--precision", nargs="*", default=["float32", "mixed_bfloat16"])
    parser.add_argument("--repeats", type=int, default=5)
    measure.add_others(parser, torchvision=True)
    args = parser.parse_args()
    if args.filled and args.torchvision_python:
        parser.error("--filled: torchvision takes no ROIs, and its mask branch runs on those with a target alone, too")

    with tempfile.TemporaryDirectory() as folder:
        sides = sides_of(args, settings_of(args), folder)
        print(f"\nTraining step, {args.layers}, {args.backbone}, {args.size} x {args.size}, {args.batch} images")
        measure.print_machine()
        measure.print_table(measure.interleaved(sides, args.repeats), sides=sides)
        measure.close_others(sides)


def _losses(logs):
    """Total and parts in a line. ROIs are sampled, so two programs differ a little."""
    return ", ".join(f"{name} {float(value):.3f}" for name, value in logs.items() if "loss" in name)


if __name__ == "__main__":
    main()
