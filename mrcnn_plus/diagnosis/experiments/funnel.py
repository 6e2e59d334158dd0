"""`funnel`: how many objects of the ground truth pass each stage of detection, and where the others are lost."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

from mrcnn_plus.diagnosis.experiments.outcome import Result
from mrcnn_plus.lint.findings import ERROR, WARNING
from mrcnn_plus.lint.registry import EXPERIMENT, Violation, rule

#: What an object has to pass, in this order, and what that means.
STAGES = {
    "anchor": "an anchor overlaps it by half, or a proposal does all the same",
    "proposal": "a proposal overlaps it by half",
    "class": "such a proposal gets its class",
    "box": "and its refined box overlaps it by half",
    "score": "with a score of at least DETECTION_MIN_CONFIDENCE",
    "nms": "it is left over by non-maximum suppression, and no other object's",
    "limit": "it is among the first DETECTION_MAX_INSTANCES",
    "mask": "its mask overlaps the object by half",
}
_LOST = {
    "anchor": "neither an anchor nor a proposal overlaps them by half",
    "proposal": "no proposal overlaps them by half",
    "class": "they are taken for background or another class",
    "box": "their refined boxes no longer overlap them by half",
    "score": "their scores are below DETECTION_MIN_CONFIDENCE",
    "nms": "a better box of their class suppresses theirs",
    "limit": "DETECTION_MAX_INSTANCES others score higher",
    "mask": "their masks overlap them by less than half",
}
FOUND = "found"
_LISTED = 20


@dataclass(frozen=True)
class TracedObject:
    """An object and how far it came.

    image: name. number: in the order of the annotations, from 0. box: `(y1, x1, y2, x2)` in pixels of the molded image.
    lost_at: one of `STAGES`, or "found". reason: what happened there, with numbers. score: the highest one that its
    class got near it, None if none did. mask_iou: of the detection that found it.
    """

    image: str
    number: int
    class_name: str
    box: tuple[int, int, int, int]
    lost_at: str
    reason: str = ""
    score: float | None = None
    mask_iou: float | None = None


@dataclass(frozen=True)
class Funnel(Result):
    """images: how many were looked at. false_detections: of these images, those that belong to no object. settings:
    those of detection that decide."""

    objects: tuple[TracedObject, ...]
    images: int
    detections: int
    false_detections: int
    settings: dict[str, float]

    name = "funnel"
    title = "where objects are lost on their way to a detection"

    @property
    def passed(self) -> dict[str, int]:
        """`{stage: objects that passed it and all before}`."""
        lost = Counter(item.lost_at for item in self.objects)
        left, passed = len(self.objects), {}
        for stage in STAGES:
            left -= lost[stage]
            passed[stage] = left
        return passed

    def lost_at(self, stage: str) -> list[TracedObject]:
        return [item for item in self.objects if item.lost_at == stage]

    def reached(self, stage: str) -> int:
        """Objects that came as far as this stage."""
        passed = list(self.passed.values())
        place = list(STAGES).index(stage)
        return passed[place - 1] if place else len(self.objects)

    @property
    def finds_other_things(self) -> bool:
        """Whether most detections belong to no object, while no proposal reaches most objects."""
        unreached = len(self.lost_at("anchor")) + len(self.lost_at("proposal"))
        detects = 2 * self.detections >= len(self.objects) > 0
        return detects and self.false_detections > 0.8 * self.detections and 2 * unreached > len(self.objects)

    @property
    def summary(self) -> str:
        found = len(self.lost_at(FOUND))
        lost = Counter(item.lost_at for item in self.objects if item.lost_at != FOUND).most_common(2)
        most = " and ".join(f"{stage!r} ({count})" for stage, count in lost)
        where = f"most are lost at {most}, which is not much for a single stage" if lost else "none is lost"
        return (
            f"{found} of {len(self.objects)} objects in {self.images} images are found with a good mask; {where}. "
            f"{self.false_detections} of {self.detections} detections belong to no object."
        )

    def tables(self):
        rows = [
            ["stage", "passed", "lost", "it means"],
            ["", str(len(self.objects)), "", "objects of the ground truth"],
        ]
        for stage, passed in self.passed.items():
            rows.append([stage, str(passed), str(len(self.lost_at(stage)) or "-"), STAGES[stage]])
        tables = [("Objects that pass each stage", rows)]
        classes = list(dict.fromkeys(item.class_name for item in self.objects))
        if len(classes) > 1:
            by_class = [["class", "objects", *STAGES, FOUND]]
            for name in classes:
                items = [item for item in self.objects if item.class_name == name]
                lost = Counter(item.lost_at for item in items)
                by_class.append([name, str(len(items)), *(str(lost[stage] or "-") for stage in (*STAGES, FOUND))])
            tables.append(("Lost at each stage, by class", by_class))
        missing = [item for item in self.objects if item.lost_at != FOUND]
        if missing:
            listed = [["image", "object", "class", "lost at", "why"]]
            listed += [_row(item) for item in missing[:_LISTED]]
            more = f" (the first {_LISTED} of {len(missing)})" if len(missing) > _LISTED else ""
            tables.append((f"Lost objects{more}; objects count from 0 as annotated", listed))
        return tables

    def to_dict(self):
        return {**super().to_dict(), "passed": self.passed}


def _row(item):
    return [item.image, str(item.number), item.class_name, item.lost_at, item.reason]


def _loss_at(facts, stage, share, least):
    """The lost objects if a stage loses more than `share` of the objects that reach it, and at least `least`; else
    none."""
    lost, reached = facts.experiment.lost_at(stage), facts.experiment.reached(stage)
    return lost if len(lost) >= least and len(lost) > share * reached else []


def _losses_at(facts, stage, share, least, **more):
    """The `Violation` of a stage that loses so many, if it does. more: of the `Violation`."""
    if lost := _loss_at(facts, stage, share, least):
        reached = facts.experiment.reached(stage)
        come = "" if reached == len(facts.experiment.objects) else " that come so far"
        yield Violation(
            f"{len(lost)} of the {reached} objects{come} are lost at {stage!r}: {_LOST[stage]}.",
            places=[f"{item.image}, object {item.number} ({item.class_name}): {item.reason}" for item in lost],
            details={"lost": len(lost), "reached": reached},
            **({"where": stage} if "setting" not in more else {}),
            **more,
        )


@rule(
    "EXP050",
    WARNING,
    needs=EXPERIMENT,
    about=Funnel,
    why="An object that no anchor overlaps by half is proposed only if the RPN has learnt to move anchors far.",
    example="Objects of 10 pixels with anchors from 32 on",
    fix="Take anchors from `mrcnn_plus.lint.suggest_anchors(config, dataset)`, or enlarge the images.",
)
def lost_by_anchors(facts, *, share=0.1, least=2):
    """More than `share` of the objects, and at least `least`, are overlapped by no anchor and no proposal."""
    if not facts.experiment.finds_other_things:  # EXP058
        experiment = "mrcnn-plus experiment rpn"
        yield from _losses_at(facts, "anchor", share, least, setting="RPN_ANCHOR_SCALES", experiment=experiment)


@rule(
    "EXP051",
    WARNING,
    needs=EXPERIMENT,
    about=Funnel,
    why="Heads see proposals only.",
    example="1,000 proposals reach 60% of the objects that anchors reach",
    fix="Train the RPN longer, with more proposals (POST_NMS_ROIS_INFERENCE) where `rpn` shows that more would do.",
)
def lost_by_proposals(facts, *, share=0.1, least=2, few=10):
    """More than `share` of the objects that anchors reach, and at least `least`, are overlapped by no proposal; fewer
    than `few` proposals for each object are the first cause."""
    result = facts.experiment
    if result.finds_other_things:  # EXP058
        return
    causes = ["the RPN is trained too little", "POST_NMS_ROIS_INFERENCE or PRE_NMS_LIMIT is too low"]
    count, each = result.settings.get("POST_NMS_ROIS_INFERENCE", math.inf), len(result.objects) / max(result.images, 1)
    if count < few * each:
        causes.insert(0, f"POST_NMS_ROIS_INFERENCE = {count:g} is few for {each:.3g} objects in an image")
    if facts.config is not None and facts.config.RPN_MIN_SIZE:
        causes.insert(0, f"RPN_MIN_SIZE = {facts.config.RPN_MIN_SIZE:g} leaves out small proposals")
    yield from _losses_at(facts, "proposal", share, least, causes=causes, experiment="mrcnn-plus experiment rpn")


@rule(
    "EXP052",
    WARNING,
    needs=EXPERIMENT,
    about=Funnel,
    why="The object was proposed, and the class head calls it background or another class.",
    example="12 of 40 proposed spores are taken for background",
    fix="More training of the heads; CLASS_WEIGHTS or ROI_POSITIVE_WEIGHT where background or a common class wins.",
)
def lost_by_class(facts, *, share=0.1, least=2, most_others=0.5):
    """More than `share` of the proposed objects, and at least `least`, get another class or background; another class
    for more than `most_others` is no confusion any more, but another order of the classes."""
    if lost := _loss_at(facts, "class", share, least):
        as_background = sum("background" in item.reason for item in lost)
        most = Counter(item.class_name for item in lost).most_common(1)[0]
        background = "the class head is trained too little, or background dominates its sample (ROI_POSITIVE_WEIGHT)"
        confusion = "classes look alike, or are labelled inconsistently"
        order = "the classes stand in another order than in the training of these weights"
        others = len(lost) - as_background
        causes = [background, confusion] if as_background >= others else [confusion, background]
        if others > most_others * facts.experiment.reached("class"):
            causes.insert(0, order)
        yield from _losses_at(
            *(facts, "class", share, least),
            evidence=[
                f"taken for background: {as_background}, for another class: {others}",
                f"most often lost: {most[0]} ({most[1]})",
            ],
            causes=causes,
        )


@rule(
    "EXP053",
    WARNING,
    needs=EXPERIMENT,
    about=Funnel,
    why="The class is right, but the refined box no longer lies on the object.",
    example="Boxes are moved away from objects at the border",
    fix="More training of the box head; BBOX_STD_DEV must be that of the training.",
)
def lost_by_box(facts, *, share=0.1, least=2):
    """More than `share` of the classified objects, and at least `least`, get a box that overlaps them by less than
    half."""
    causes = ["the box head is trained too little", "BBOX_STD_DEV differs from that of the training"]
    yield from _losses_at(facts, "box", share, least, causes=causes)


@rule(
    "EXP054",
    WARNING,
    needs=EXPERIMENT,
    about=Funnel,
    why="The network finds these objects and is less sure than DETECTION_MIN_CONFIDENCE asks for.",
    example="Scores of 0.55 with DETECTION_MIN_CONFIDENCE = 0.9",
    fix="Lower DETECTION_MIN_CONFIDENCE; training longer makes scores higher.",
)
def lost_by_score(facts, *, share=0.1, least=2):
    """More than `share` of the classified objects, and at least `least`, score below the threshold."""
    if lost := _loss_at(facts, "score", share, least):
        scores = sorted(item.score for item in lost if item.score is not None)
        threshold = facts.experiment.settings["DETECTION_MIN_CONFIDENCE"]
        # The score above which nine of ten of them lie.
        better = max(0.05, int(scores[len(scores) // 10] * 20) / 20) if scores else None
        change = {"DETECTION_MIN_CONFIDENCE": better} if better is not None and better < threshold else {}
        yield from _losses_at(
            *(facts, "score", share, least),
            setting="DETECTION_MIN_CONFIDENCE",
            evidence=[f"their scores: {scores[0]:.2f} to {scores[-1]:.2f}, half of them above {_middle(scores):.2f}"],
            fix=f"DETECTION_MIN_CONFIDENCE = {better} would keep nine of ten of them." if change else None,
            changes=change,
        )


def _middle(values):
    return values[len(values) // 2]


@rule(
    "EXP055",
    WARNING,
    needs=EXPERIMENT,
    about=Funnel,
    why="Of boxes of one class that overlap by more than DETECTION_NMS_THRESHOLD only the best stays, also where there "
    "are two objects.",
    example="Cells that overlap by 0.4 with DETECTION_NMS_THRESHOLD = 0.3",
    fix="Raise DETECTION_NMS_THRESHOLD to 0.5 where objects of a class overlap.",
)
def lost_by_suppression(facts, *, share=0.1, least=2):
    """More than `share` of the objects above the threshold, and at least `least`, are suppressed by a neighbour."""
    yield from _losses_at(facts, "nms", share, least, setting="DETECTION_NMS_THRESHOLD")


@rule(
    "EXP056",
    WARNING,
    needs=EXPERIMENT,
    about=Funnel,
    why="Only the best DETECTION_MAX_INSTANCES of an image are reported.",
    example="160 cells in an image with DETECTION_MAX_INSTANCES = 100",
    fix="Raise DETECTION_MAX_INSTANCES above the number of objects in an image.",
)
def lost_by_limit(facts, *, share=0.0, least=1):
    """Objects, more than `share` of those left and at least `least`, fall under the limit of instances."""
    yield from _losses_at(facts, "limit", share, least, setting="DETECTION_MAX_INSTANCES")


@rule(
    "EXP057",
    WARNING,
    needs=EXPERIMENT,
    about=Funnel,
    why="The box is right and the mask is not.",
    example="Boxes found with IoU 0.8, masks with 0.3",
    fix="Raise mrcnn_mask_loss in LOSS_WEIGHTS, train longer; check masks with `mrcnn-plus preview`.",
)
def lost_by_mask(facts, *, share=0.1, least=2):
    """More than `share` of the objects found by box, and at least `least`, have a mask that overlaps by less than
    half."""
    causes = ["the mask head is trained too little", "masks lie elsewhere than their objects, or are outlines"]
    yield from _losses_at(facts, "mask", share, least, causes=causes, experiment="mrcnn-plus experiment overfit")


@rule(
    "EXP058",
    ERROR,
    needs=EXPERIMENT,
    about=Funnel,
    why="A network that detects with confidence, and hardly ever where an object is annotated, has learnt something "
    "else.",
    example="31 of 31 detections belong to no object, and no proposal reaches 30 of 30 objects",
    fix="Look at both: `funnel_lost.png` (--output), and the annotations alone with `mrcnn-plus preview`.",
)
def finds_other_things(facts):
    """Most detections belong to no object, and no proposal reaches most of the objects."""
    result = facts.experiment
    if result.finds_other_things:
        reached = result.passed["proposal"]
        yield Violation(
            f"The network finds other things than those annotated: {result.false_detections} of {result.detections} "
            f"detections belong to no object, and proposals reach {reached} of {len(result.objects)} objects.",
            where="annotations",
            causes=[
                "annotations lie elsewhere than their objects: other images, another size, x and y exchanged",
                "the weights were trained on other objects",
            ],
            experiment="mrcnn-plus experiment self-consistency",
        )
