"""What a user of pycocotools would write, and detections to score, for the tests of this folder."""

import contextlib
import copy
import io
import json

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from .data_sets import detection, discs


def coco_eval(truth, results, kind):
    """An accumulated and summarized COCOeval. truth: COCO json; results: list, with only the shapes of `kind`."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = copy.deepcopy(truth)
        coco.createIndex()
        if results:
            found = coco.loadRes(copy.deepcopy(results))
        else:
            found = COCO()
            found.dataset = {**copy.deepcopy(truth), "annotations": []}
            found.createIndex()
        evaluation = COCOeval(coco, found, kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def coco_eval_on_files(folder, kind):
    """The same on the files that `save_coco` wrote."""
    truth = json.loads((folder / "ground_truth.json").read_text())
    return coco_eval(truth, json.loads((folder / f"results_{kind}.json").read_text()), kind)


def twelve_numbers(scores):
    """COCOeval.stats of a `CocoScores`: -1 for what nothing was there to measure by."""
    sizes = [scores.ap_small, scores.ap_medium, scores.ap_large]
    recalls = [*scores.ar, scores.ar_small, scores.ar_medium, scores.ar_large]
    return np.nan_to_num([scores.ap, scores.ap50, scores.ap75, *sizes, *recalls], nan=-1.0)


def imperfect_detector(dataset, seed=3, classes=None):
    """detect() that shifts masks, misses some, invents others, mistakes classes and says some twice.

    Images are told apart by their first pixel: give it to a data set whose `load_image` writes the image id there.
    """
    count = classes or len(dataset.class_names) - 1

    def detect(images):
        return [_answer(dataset, int(image[0, 0, 0]), image.shape[:2], np.random.default_rng) for image in images]

    def _answer(dataset, image_id, size, make_rng):
        rng = make_rng([seed, image_id])
        masks, class_ids = dataset.load_mask(image_id)
        moved = [np.roll(m, rng.integers(-4, 5, 2), (0, 1)) for m in np.moveaxis(masks, -1, 0)]
        invented = np.moveaxis(discs(3, size=size, largest=30, seed=50 + image_id), -1, 0)
        ids = np.concatenate([np.abs(class_ids), rng.integers(1, count + 1, 3)]).astype(int)
        ids[::5] = 1 + ids[::5] % count
        stack = np.stack([*moved, *invented], axis=-1)
        rows = np.flatnonzero(rng.random(len(ids)) < 0.8)
        rows = np.concatenate([rows, rows[:2]])
        return detection(stack[..., rows], ids[rows], rng.random(len(rows)).round(2))

    return detect
