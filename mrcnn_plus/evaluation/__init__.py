"""How good are detections: COCO's AP and AR by pycocotools with all that explains them (`evaluate`), and Matterport's
matching and average precision."""

from mrcnn_plus.evaluation.average_precision import compute_ap, compute_ap_range
from mrcnn_plus.evaluation.coco import ClassScores, CocoScores, detect_dataset, evaluate_detections
from mrcnn_plus.evaluation.coco_json import coco_ground_truth, coco_results, with_source_ids
from mrcnn_plus.evaluation.evaluator import evaluate, score_results
from mrcnn_plus.evaluation.matching import compute_matches, compute_recall
from mrcnn_plus.evaluation.result import EvaluationResult

__all__ = [
    "ClassScores",
    "CocoScores",
    "EvaluationResult",
    "coco_ground_truth",
    "coco_results",
    "compute_ap",
    "compute_ap_range",
    "compute_matches",
    "compute_recall",
    "detect_dataset",
    "evaluate",
    "evaluate_detections",
    "score_results",
    "with_source_ids",
]
