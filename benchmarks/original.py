"""The other side of a comparison: Matterport's package, or a fork of it, in a process and with a Python of its own.

    python benchmarks/detection.py --original /folder/that/holds/mrcnn --original-python /env/bin/python

starts this file with that Python, tells it what to run, and from then on asks it in turn. Nothing of this package is
imported here. The README of `benchmarks` says which versions the fork needs.
"""

import json
import os
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import measure
import numpy as np

# What forks have changed among the defaults, set back.
MATTERPORT = {
    "USE_MINI_MASK": True,
    "DETECTION_MAX_INSTANCES": 100,
    "IMAGE_MIN_SCALE": 0,
    "IMAGES_PER_GPU": 1,
}


def make_config(settings):
    from mrcnn.config import Config

    return type("OriginalConfig", (Config,), {"NAME": "original", **MATTERPORT, **settings})()


def detection(settings, weights, image):
    """A function that detects in one image; it returns the number of detections."""
    from mrcnn import model as modellib

    model = modellib.MaskRCNN(mode="inference", config=make_config(settings), model_dir=tempfile.mkdtemp())
    model.load_weights(weights, by_name=True)
    image = np.load(image)
    return lambda: {"detections": len(model.detect([image])[0]["scores"])}


def training_step(settings, weights, batch, layers):
    """A function that runs a step on one batch; it returns the losses before it."""
    from mrcnn import model as modellib

    config = make_config(settings)
    model = modellib.MaskRCNN(mode="training", config=config, model_dir=tempfile.mkdtemp())
    model.load_weights(weights, by_name=True)
    stages = {"heads": r"(mrcnn\_.*)|(rpn\_.*)|(fpn\_.*)", "all": ".*"}
    model.set_trainable(stages[layers], verbose=0)
    model.compile(config.LEARNING_RATE, config.LEARNING_MOMENTUM)
    given = np.load(batch)
    model.get_anchors(config.IMAGE_SHAPE)
    anchors = model.anchors  # those in pixels
    targets = [
        modellib.build_rpn_targets(
            config.IMAGE_SHAPE, anchors, class_ids[boxes.any(axis=1)], boxes[boxes.any(axis=1)], config
        )
        for class_ids, boxes in zip(given["input_gt_class_ids"], given["input_gt_boxes"])
    ]
    inputs = [
        given["input_image"],
        given["input_image_meta"],
        np.stack([match for match, _ in targets])[..., None].astype(np.int32),
        np.stack([deltas for _, deltas in targets]).astype(np.float32),
        given["input_gt_class_ids"],
        given["input_gt_boxes"].astype(np.int32),
        given["input_gt_masks"],
    ]

    def step():
        values = np.ravel(model.keras_model.train_on_batch(inputs, []))
        return dict(zip(model.keras_model.metrics_names, map(float, values)))

    return step


def input_pipeline(settings, folder, images):
    """A function that loads all images of a folder with their masks and RPN targets, on one core."""
    import cv2
    from mrcnn import model as modellib
    from mrcnn import utils

    resize = utils.resize  # newer versions of scikit-image refuse to interpolate boolean masks
    utils.resize = lambda image, *args, **named: resize(
        image.astype(float) if image.dtype == bool else image, *args, **named
    )

    class Polygons(utils.Dataset):
        def load_mask(self, image_id):
            info = self.image_info[image_id]
            masks = np.zeros((len(info["polygons"]), *info["size"]), np.uint8)
            for mask, polygon in zip(masks, info["polygons"]):
                cv2.fillPoly(mask, [np.array(polygon, np.int32)], 1)
            return np.moveaxis(masks.astype(bool), 0, -1), np.ones(len(masks), np.int32)

    config, dataset = make_config(settings), Polygons()
    dataset.add_class("polygons", 1, "object")
    with open(os.path.join(folder, "polygons.json")) as file:
        for name, entry in list(json.load(file).items())[:images]:
            dataset.add_image("polygons", image_id=name, path=os.path.join(folder, name), **entry)
    dataset.prepare()
    anchors = utils.generate_pyramid_anchors(
        config.RPN_ANCHOR_SCALES,
        config.RPN_ANCHOR_RATIOS,
        modellib.compute_backbone_shapes(config, config.IMAGE_SHAPE),
        config.BACKBONE_STRIDES,
        config.RPN_ANCHOR_STRIDE,
    )
    cv2.setNumThreads(1)

    def load_all():
        for image_id in dataset.image_ids:
            image, _, class_ids, boxes = modellib.load_image_gt(dataset, config, image_id)[:4]
            modellib.build_rpn_targets(image.shape, anchors, class_ids, boxes, config)
        return {"images": len(dataset.image_ids)}

    return load_all


TASKS = {"detection": detection, "training_step": training_step, "input_pipeline": input_pipeline}


def main():
    parser = measure.task_parser(TASKS, __doc__)
    parser.add_argument("--original", required=True, help="folder that holds the package mrcnn")
    args = parser.parse_args()
    sys.path.insert(0, args.original)
    measure.answer(TASKS[args.task], args.arguments)


if __name__ == "__main__":
    main()
