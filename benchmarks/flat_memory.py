"""Whether memory stays flat: resident memory over 1,000 detections, and over 20 epochs on a tiny data set.

python benchmarks/flat_memory.py detections --images 1000
python benchmarks/flat_memory.py epochs --epochs 20

Both print memory where the first 5% are done, at the end, and the growth between them.
"""

import argparse
import tempfile

import keras
import measure
import numpy as np
from steering import DISC, SQUARE, Figures

from mrcnn_plus.config import Config
from mrcnn_plus.mask_rcnn import MaskRCNN


class TinyConfig(Config):
    NAME = "flat_memory"
    NUM_CLASSES = 1 + 2
    IMAGES_PER_GPU = 1
    IMAGE_MIN_DIM = IMAGE_MAX_DIM = 128
    STEPS_PER_EPOCH, VALIDATION_STEPS = 10, 2
    DETECTION_MIN_CONFIDENCE = 0.0
    DETECTION_MAX_INSTANCES = 20
    SEED = 0


def after_detections(args):
    """Resident memory in MB after each image; images are of many sizes, as a user's are, and so are the network's."""
    any_size = {"IMAGE_RESIZE_MODE": "pad64", "IMAGE_MIN_DIM": None, "IMAGE_MIN_SCALE": 0}
    own = {"BACKBONE": args.backbone, "INFERENCE_ENGINE": args.engine, **any_size}
    config = type("ThisConfig", (TinyConfig,), own)()
    model = MaskRCNN("inference", config, tempfile.mkdtemp())
    rng = np.random.default_rng(0)
    for _ in range(args.images):
        image = rng.integers(0, 256, (*rng.integers(60, 400, 2), 3), dtype=np.uint8)
        model.detect([image], allow_untrained=True)
        yield measure.resident_memory_mb()


def after_epochs(args):
    """Resident memory in MB after each epoch of `train`, with validation, checkpoints and logs."""
    config = type("ThisConfig", (TinyConfig,), {"BACKBONE": args.backbone})()
    data = Figures([[SQUARE, DISC]] * 20, first_seed=0, sizes=(20, 50), contrast=90, side=128)
    with tempfile.TemporaryDirectory() as folder:
        memory = []
        callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: memory.append(measure.resident_memory_mb()))
        MaskRCNN("training", config, folder).train(
            *(data, data, config.LEARNING_RATE, args.epochs, args.layers), custom_callbacks=[callback]
        )
    return memory


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("detections", "epochs"))
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--engine", default="keras", help="INFERENCE_ENGINE of detections")
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--layers", default="heads")
    args = parser.parse_args()

    memory = list(after_detections(args) if args.what == "detections" else after_epochs(args))
    first = max(1, len(memory) // 20)
    measure.print_machine()
    print(f"{args.what}, {args.backbone}, {args.engine}: {len(memory)} in all")
    for number in sorted({first, *range(len(memory) // 4, len(memory), max(1, len(memory) // 4)), len(memory)}):
        print(f"after {number:5}: {memory[number - 1]:7.0f} MB, {memory[number - 1] / memory[first - 1] - 1:+.1%}")


if __name__ == "__main__":
    main()
