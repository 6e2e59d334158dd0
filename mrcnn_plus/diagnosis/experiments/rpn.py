"""`rpn`: how many objects anchors and proposals reach, by class and size."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from mrcnn_plus.diagnosis.experiments.outcome import Result
from mrcnn_plus.lint.findings import ERROR, INFO, WARNING
from mrcnn_plus.lint.registry import EXPERIMENT, Violation, rule

#: Proposals per image at which recall is told.
COUNTS = (50, 100, 300, 1000)
USUAL_NMS = 0.7
HALF = 0.5  # what an anchor or proposal has to overlap, so that heads can be trained on it


@dataclass(frozen=True)
class ProposedObject:
    """An object of the ground truth.

    side: of the square of the same area, in pixels of the molded image. anchor_iou: largest overlap with an anchor.
    positive_anchors: how many train the RPN as positive. rank: of the best proposal by score that overlaps it by half,
    from 0; None if none does. chance_rank: the same for anchors in random order.
    """

    class_name: str
    side: float
    anchor_iou: float
    positive_anchors: int
    rank: int | None
    chance_rank: int | None


@dataclass(frozen=True)
class Proposals(Result):
    """images: how many were looked at. in_training, in_detection: proposals per image by the settings. is_untrained:
    the RPN has its first, random weights. nms_threshold: RPN_NMS_THRESHOLD. with_usual_nms: share of the objects that
    the proposals of detection would reach with `USUAL_NMS`; None where that is the setting. counts: at which recall is
    told."""

    objects: tuple[ProposedObject, ...]
    images: int
    in_training: int
    in_detection: int
    is_untrained: bool
    nms_threshold: float = USUAL_NMS
    with_usual_nms: float | None = None
    counts: tuple[int, ...] = COUNTS

    name = "rpn"
    title = "objects that anchors and proposals reach"

    def recall(self, count: int, objects=None, *, chance: bool = False) -> float:
        """Share of the objects that one of the first `count` proposals overlaps by half."""
        objects = self.objects if objects is None else objects
        ranks = [item.chance_rank if chance else item.rank for item in objects]
        return float(np.mean([rank is not None and rank < count for rank in ranks])) if objects else 0.0

    def anchor_recall(self, iou: float, objects=None) -> float:
        """Share of the objects that an anchor overlaps by `iou`."""
        objects = self.objects if objects is None else objects
        return float(np.mean([item.anchor_iou >= iou for item in objects])) if objects else 0.0

    @property
    def by_class(self) -> dict[str, list[ProposedObject]]:
        return _grouped(self.objects, lambda item: item.class_name)

    @functools.cached_property
    def by_size(self) -> dict[str, list[ProposedObject]]:
        """Thirds of the objects by their size, named by the range of sides in pixels."""
        sides = sorted(item.side for item in self.objects)
        if len(sides) < 3 or sides[0] == sides[-1]:
            return {"all": list(self.objects)}
        first, second = np.quantile(sides, [1 / 3, 2 / 3])
        thirds = _grouped(self.objects, lambda item: int(item.side > first) + int(item.side > second))
        return {
            f"{word}, {min(item.side for item in items):.0f}-{max(item.side for item in items):.0f} px": items
            for word, items in ((("small", "medium", "large")[third], thirds[third]) for third in sorted(thirds))
        }

    @property
    def summary(self) -> str:
        few = self.counts[0]
        return (
            f"Anchors reach {self.anchor_recall(HALF):.0%} of {len(self.objects)} objects, all {self.in_detection} "
            f"proposals {self.recall(self.in_detection):.0%}, the first {few} of them {self.recall(few):.0%} "
            f"(by chance {self.recall(few, chance=True):.0%})."
        )

    def tables(self):
        head = ["", "objects", "anchors >= 0.5", "anchors >= 0.7", *(f"first {count}" for count in self.counts)]
        rows = [head, ["all", *self._row(self.objects)]]
        chance = [f"{self.recall(count, chance=True):.0%}" for count in self.counts]
        rows.append(["by chance", "", "", "", *chance])
        rows += [[name, *self._row(items)] for name, items in self.by_class.items()]
        rows += [[name, *self._row(items)] for name, items in self.by_size.items() if len(self.by_size) > 1]
        positives = [item.positive_anchors for item in self.objects]
        counts = [["positive anchors per object", "least", "median", "most"]]
        counts.append(["", str(min(positives)), f"{np.median(positives):.0f}", str(max(positives))])
        return [
            ("Recall: objects that are overlapped by half or more; sides in pixels of the network's input", rows)
        ] + [("What the RPN learns from", counts)]

    def _row(self, objects):
        shares = [self.anchor_recall(0.5, objects), self.anchor_recall(0.7, objects)]
        shares += [self.recall(count, objects) for count in self.counts]
        return [str(len(objects)), *(f"{share:.0%}" for share in shares)]

    def to_dict(self):
        """With the recalls beside the objects."""
        groups = {"all": list(self.objects), **self.by_class, **self.by_size}
        recalls = {
            name: {
                "objects": len(items),
                "anchors_50": self.anchor_recall(0.5, items),
                "anchors_70": self.anchor_recall(0.7, items),
                **{f"first_{count}": self.recall(count, items) for count in self.counts},
            }
            for name, items in groups.items()
        }
        chance = {f"first_{count}": self.recall(count, chance=True) for count in self.counts}
        return {**super().to_dict(), "recall": recalls, "recall_by_chance": chance}


def _grouped(items, key):
    groups = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


@rule(
    "EXP040",
    WARNING,
    needs=EXPERIMENT,
    about=Proposals,
    why="The RPN moves anchors a little. An object that no anchor overlaps by half gives the heads nothing to learn.",
    example="RPN_ANCHOR_SCALES = (32, ..., 512) for cells of 12 pixels",
    fix="Take RPN_ANCHOR_SCALES and RPN_ANCHOR_RATIOS from `mrcnn_plus.lint.suggest_anchors(config, dataset)`, or "
    "enlarge the images (IMAGE_MIN_SCALE).",
)
def anchors_miss_objects(facts, *, least=0.9, warning_below=0.65, error_below=0.35):
    """Anchors overlap less than the share `least` of the objects by half: a warning below `warning_below`, an error
    below `error_below`, and an info where the trained RPN proposes them all the same."""
    result = facts.experiment
    if not result.objects:
        return
    recall, proposed = result.anchor_recall(HALF), result.recall(result.in_detection)
    if recall >= least:
        return
    missed = [item for item in result.objects if item.anchor_iou < HALF]
    sides = sorted(item.side for item in missed)
    makes_up = not result.is_untrained and proposed >= least
    severity = ERROR if recall < error_below else WARNING if recall < warning_below else INFO
    yield Violation(
        f"No anchor overlaps {len(missed)} of {len(result.objects)} objects by half; their sides are "
        f"{sides[0]:.0f} to {sides[-1]:.0f} pixels."
        + (f" The RPN has learnt to propose {proposed:.0%} all the same." if makes_up else ""),
        setting="RPN_ANCHOR_SCALES",
        severity=INFO if makes_up else severity,
        evidence=[f"{name}: {result.anchor_recall(HALF, items):.0%}" for name, items in result.by_size.items()],
        causes=["anchors larger or smaller than the objects", "objects more elongated than the ratios"],
        details={"recall": recall},
    )


@rule(
    "EXP041",
    WARNING,
    needs=EXPERIMENT,
    about=Proposals,
    why="What is not proposed can be neither learnt nor found by the heads.",
    example="Anchors reach 98% of the objects, 1,000 proposals 40%",
    fix="Train the RPN longer or at a higher rate; RPN_POSITIVE_WEIGHT = 5.0 where it says background to everything.",
)
def proposals_miss_objects(facts, *, gap=0.15):
    """The share of objects that proposals reach is more than `gap` below that of anchors; an info if the RPN is
    untrained."""
    result = facts.experiment
    if not result.objects:
        return
    reachable, reached = result.anchor_recall(HALF), result.recall(result.in_detection)
    if reached < reachable - gap:
        yield Violation(
            f"{result.in_detection} proposals per image reach {reached:.0%} of the objects; anchors would reach "
            f"{reachable:.0%}." + (" The RPN has its first, random weights." if result.is_untrained else ""),
            where="RPN",
            severity=INFO if result.is_untrained else None,
            evidence=[
                f"{name}: {result.recall(result.in_detection, items):.0%}"
                for name, items in {**result.by_class, **result.by_size}.items()
            ],
            causes=[
                *(["the RPN is not trained yet"] if result.is_untrained else []),
                *_causes_of_settings(facts.config),
                "the RPN was trained too little, or at a rate that is too low",
                *([] if result.is_untrained else ["annotations lie elsewhere than the objects that it was trained on"]),
                "the backbone gives it no useful features (frozen and random, or of a far domain)",
            ],
            details={"anchors": reachable, "proposals": reached},
        )


def _causes_of_settings(config):
    """Settings that leave out proposals."""
    if config is not None and config.RPN_MIN_SIZE:
        yield f"RPN_MIN_SIZE = {config.RPN_MIN_SIZE:g} leaves out small proposals"


@rule(
    "EXP042",
    WARNING,
    needs=EXPERIMENT,
    about=Proposals,
    why="A trained RPN puts objects first. One that ranks them no better than chance has learnt nothing, even where so "
    "many proposals cover the image that recall looks good.",
    example="The first 50 proposals reach 31% of the objects, 50 random anchors 33%",
    fix="Find out with `mrcnn-plus experiment overfit` whether it can learn at all.",
)
def rpn_ranks_by_chance(facts, *, least_gain=0.1):
    """The first proposals of a trained RPN reach hardly more objects than anchors in random order."""
    result = facts.experiment
    if result.is_untrained or not result.objects:
        return
    gains = {count: result.recall(count) - result.recall(count, chance=True) for count in result.counts}
    room = {count: 1 - result.recall(count, chance=True) for count in result.counts}
    if all(gains[count] < least_gain * room[count] or room[count] == 0 for count in result.counts[:2]):
        count = result.counts[0]
        yield Violation(
            f"The first {count} proposals reach {result.recall(count):.0%} of the objects; {count} anchors at random "
            f"{result.recall(count, chance=True):.0%}.",
            where="RPN",
            causes=["the RPN has not learnt", "labels or boxes do not belong to these images"],
            experiment="mrcnn-plus experiment overfit",
        )


@rule(
    "EXP043",
    INFO,
    needs=EXPERIMENT,
    about=Proposals,
    why="Proposals beyond the limit are thrown away, though they would have reached further objects.",
    example="300 proposals reach 80%, 1,000 reach 95%",
    fix="Raise POST_NMS_ROIS_TRAINING and POST_NMS_ROIS_INFERENCE.",
)
def too_few_proposals(facts, *, gap=0.05, warning_from=0.2):
    """More proposals than the settings keep would reach `gap` more of the objects; a warning from `warning_from` on."""
    result = facts.experiment
    if not result.objects or result.is_untrained:
        return
    most = max(result.counts)
    for setting, count in (
        ("POST_NMS_ROIS_TRAINING", result.in_training),
        ("POST_NMS_ROIS_INFERENCE", result.in_detection),
    ):
        missing = result.recall(most) - result.recall(count)
        if count < most and missing > gap:
            enough = min(n for n in result.counts if n > count and result.recall(most) - result.recall(n) <= gap)
            yield Violation(
                f"{count} proposals reach {result.recall(count):.0%} of the objects, {enough} would reach "
                f"{result.recall(enough):.0%}.",
                setting=setting,
                severity=WARNING if missing > warning_from else None,
                changes={setting: enough},
            )


@rule(
    "EXP044",
    WARNING,
    needs=EXPERIMENT,
    about=Proposals,
    why="A class or size that is proposed more rarely than the others is found more rarely, whatever the heads do.",
    example="Proposals reach 95% of the cells and 40% of the spores",
    fix="Anchors for its sizes and shapes; more images with it (SAMPLER = 'repeat_factor').",
)
def group_is_proposed_rarely(facts, *, gap=0.2, least_objects=10):
    """A class or a third of the sizes is reached by `gap` less than all objects together."""
    result = facts.experiment
    if result.is_untrained:
        return
    overall = result.recall(result.in_detection)
    for name, items in {**result.by_class, **result.by_size}.items():
        recall = result.recall(result.in_detection, items)
        if len(items) >= least_objects and recall < overall - gap:
            yield Violation(
                f"Proposals reach {recall:.0%} of the {len(items)} objects of {name}, of all {overall:.0%}; anchors "
                f"reach {result.anchor_recall(HALF, items):.0%} of them.",
                where=name,
                causes=list(_causes_of_settings(facts.config)),
            )


@rule(
    "EXP045",
    WARNING,
    needs=EXPERIMENT,
    about=Proposals,
    why="Proposals that overlap a better one by more than RPN_NMS_THRESHOLD are dropped. Too low, and the right ones "
    "go with them; too high, and copies of the same box fill the limit.",
    example="RPN_NMS_THRESHOLD = 0.05: 83% of the objects are proposed, with 0.7 all of them",
    fix="RPN_NMS_THRESHOLD = 0.7.",
)
def unusual_suppression(facts, *, gap=0.05):
    """With RPN_NMS_THRESHOLD = 0.7 proposals would reach `gap` more of the objects than with the setting."""
    result = facts.experiment
    if result.is_untrained or result.with_usual_nms is None:
        return
    reached = result.recall(result.in_detection)
    if result.with_usual_nms - reached > gap:
        yield Violation(
            f"{result.in_detection} proposals per image reach {reached:.0%} of the objects; with RPN_NMS_THRESHOLD = "
            f"{USUAL_NMS:g} they would reach {result.with_usual_nms:.0%}.",
            setting="RPN_NMS_THRESHOLD",
            changes={"RPN_NMS_THRESHOLD": USUAL_NMS},
        )
