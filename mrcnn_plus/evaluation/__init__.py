"""How good are detections: Matterport's matching and average precision, and COCO's AP and AR by pycocotools."""

from mrcnn_plus.evaluation.average_precision import compute_ap, compute_ap_range
from mrcnn_plus.evaluation.coco import ClassScores, CocoScores, detect_dataset, evaluate, evaluate_detections
from mrcnn_plus.evaluation.coco_json import coco_ground_truth, coco_results
from mrcnn_plus.evaluation.matching import compute_matches, compute_recall

__all__ = [
    "ClassScores",
    "CocoScores",
    "coco_ground_truth",
    "coco_results",
    "compute_ap",
    "compute_ap_range",
    "compute_matches",
    "compute_recall",
    "detect_dataset",
    "evaluate",
    "evaluate_detections",
]
