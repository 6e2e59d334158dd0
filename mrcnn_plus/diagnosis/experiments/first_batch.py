"""`first-batch`: one batch forward and backward, each number against what is expected at that point."""

from __future__ import annotations

import math
from dataclasses import dataclass

from mrcnn_plus.diagnosis.experiments.outcome import Result

#: The part of the network that answers for each loss.
PART_OF_LOSS = {
    "rpn_class_loss": "rpn",
    "rpn_bbox_loss": "rpn",
    "mrcnn_class_loss": "class_head",
    "mrcnn_bbox_loss": "class_head",
    "mrcnn_mask_loss": "mask_head",
}
# A head that knows nothing; trained on the same data it is below, and above only if it is wrong with confidence.
_CLEARLY = 0.9


@dataclass(frozen=True)
class LossLevel:
    """A loss of the batch, unweighted.

    blind: what a head that knows nothing would have on the same targets: all classes equally likely, boxes not moved,
    masks of 0.5. is_trained: whether its part has other weights than random ones.
    """

    name: str
    value: float
    blind: float
    is_trained: bool

    @property
    def verdict(self) -> str:
        if not math.isfinite(self.value):
            return "not finite"
        if self.blind <= 0:
            return "no targets"
        ratio = self.value / self.blind
        if ratio < _CLEARLY:
            return "knows something"
        return "as one that knows nothing" if ratio < 1.5 else "worse than knowing nothing"


@dataclass(frozen=True)
class InputValues:
    """Values of the molded images inside their windows, after the mean pixel was subtracted, in grey levels. deviation:
    the standard deviation, mean over the channels."""

    least: float
    greatest: float
    mean: float
    deviation: float


@dataclass(frozen=True)
class RoiAnswers:
    """What the class head takes the positive ROIs for: their class, background, another class. Numbers of ROIs."""

    right: int
    background: int
    other: int


@dataclass(frozen=True)
class Targets:
    """What the sampled anchors and ROIs should answer. deltas: mean absolute values in units of the standard deviation
    settings. mask_share: share of the pixels of the mask targets that are object. None where there are no positives.
    fill: share of the box of an object that its mask fills, mean over the objects; None without objects."""

    rpn_deltas: float | None
    box_deltas: float | None
    mask_share: float | None
    fill: float | None


@dataclass(frozen=True)
class FirstBatch(Result):
    """images: names. objects, positive_anchors, sampled_anchors, positive_rois, sampled_rois: of each image, as sampled
    for training. losses: the five. total: weighted, with the L2 term. gradient_norms: by part, without L2 and before
    clipping, of the parts in `training_parts`. untrained_parts: those with random weights. labels: `{class: (objects,
    ROIs)}`, ROIs of the background under "BG".
    """

    images: tuple[str, ...]
    losses: tuple[LossLevel, ...]
    total: float
    l2: float
    gradient_norm: float
    gradient_norms: dict[str, float]
    training_parts: tuple[str, ...]
    untrained_parts: tuple[str, ...]
    objects: tuple[int, ...]
    positive_anchors: tuple[int, ...]
    sampled_anchors: tuple[int, ...]
    positive_rois: tuple[int, ...]
    sampled_rois: tuple[int, ...]
    labels: dict[str, tuple[int, int]]
    answers: RoiAnswers
    targets: Targets
    inputs: InputValues

    name = "first-batch"
    title = "one batch forward and backward"

    @property
    def summary(self) -> str:
        return (
            f"The first batch is as expected: total {self.total:.3g}, gradient norm {self.gradient_norm:.3g}, "
            f"{sum(self.positive_anchors)} positive anchors and {sum(self.positive_rois)} positive ROIs for "
            f"{sum(self.objects)} objects in {len(self.images)} images."
        )

    def tables(self):
        losses = [["loss", "value", "knowing nothing", "part is", "so it"]]
        for level in self.losses:
            trained = "trained" if level.is_trained else "random"
            losses.append([level.name, f"{level.value:.4g}", f"{level.blind:.4g}", trained, level.verdict])
        losses += [["l2_loss", f"{self.l2:.4g}", "", "", ""], ["total, weighted", f"{self.total:.4g}", "", "", ""]]
        norms = [["part", "gradient norm"], ["all", f"{self.gradient_norm:.4g}"]]
        norms += [[part, f"{norm:.4g}" if part in self.training_parts else "frozen"] for part, norm in self._norms()]
        samples = [["image", "objects", "positive anchors", "of", "positive ROIs", "of"]]
        columns = (self.objects, self.positive_anchors, self.sampled_anchors, self.positive_rois, self.sampled_rois)
        samples += [[name, *map(str, row)] for name, *row in zip(self.images, *columns, strict=True)]
        labels = [["class", "objects", "ROIs"]]
        labels += [[name, str(objects), str(rois)] for name, (objects, rois) in self.labels.items()]
        return [
            ("Losses, unweighted; beside them what heads that know nothing would have", losses),
            ("Gradient norms before clipping", norms),
            ("What was sampled for training", samples),
            ("Labels", labels),
            ("Answers, targets and inputs", self._values()),
        ]

    def _norms(self):
        return self.gradient_norms.items()

    def _values(self):
        targets, inputs, answers = self.targets, self.inputs, self.answers
        rows = [["value", "here", "expected"]]
        taken = f"{answers.right} their class, {answers.background} background, {answers.other} another class"
        rows.append(["positive ROIs are taken for", taken, "their class, if the head is trained"])
        rows.append(["RPN deltas, mean size", _number(targets.rpn_deltas), "0.3 to 1.5"])
        rows.append(["box deltas, mean size", _number(targets.box_deltas), "0.3 to 1.5"])
        rows.append(["object pixels in mask targets", _number(targets.mask_share), "0.3 to 0.9"])
        rows.append(["object pixels in their boxes", _number(targets.fill), "0.3 to 0.95"])
        rows.append(["pixels, least to greatest", f"{inputs.least:.1f} to {inputs.greatest:.1f}", "-150 to 255"])
        rows.append(["pixels, mean", f"{inputs.mean:.1f}", "near 0"])
        rows.append(["pixels, standard deviation", f"{inputs.deviation:.1f}", "20 to 90"])
        return rows


def _number(value):
    return "none" if value is None else f"{value:.3g}"
