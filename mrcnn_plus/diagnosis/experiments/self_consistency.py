"""`self-consistency`: the network's own predictions taken as ground truth. Its losses must then be near zero.

If they are, targets and losses agree with detection, and what is high on the annotations is a disagreement between
network and annotations. If they are not, the code around the network is at fault: settings, a backbone or a subclass.

What cannot vanish: masks are probabilities near the outline, where their own rounded values disagree with them; boxes
are rounded to whole pixels; a ROI of which the network is half sure costs 0.7 whichever way it is labelled; and the RPN
is asked for overlaps of 0.7, which it was never perfect at. So each loss has a limit of its own, from measurement.
"""

from __future__ import annotations

from dataclasses import dataclass

from mrcnn_plus.diagnosis.experiments.outcome import Result
from mrcnn_plus.lint.findings import INFO, WARNING
from mrcnn_plus.lint.registry import EXPERIMENT, Violation, rule

#: Up to where a loss counts as near zero. Small networks were measured at half of that when trained for some minutes,
#: and at a quarter when trained to the end; heads that know nothing are at about 0.69, 1, ln K, 0.5 and 0.69.
NEAR_ZERO = {
    "rpn_class_loss": 0.2,
    "rpn_bbox_loss": 0.5,
    "mrcnn_class_loss": 0.3,
    "mrcnn_bbox_loss": 0.15,
    "mrcnn_mask_loss": 0.3,
}

_ABOUT = 0.9


@dataclass(frozen=True)
class SelfConsistency(Result):
    """own: losses with the network's own detections as ground truth, by name, as in validation.

    in_training: the same in a training step; None where nothing in the network depends on that. annotated: losses with
    the annotations on the same images. detected, objects: detections and annotated objects in these images. matched:
    detections that overlap an annotated object by half; same_class: those of its class. looked_at: images that were
    looked at for detections.
    """

    images: tuple[str, ...]
    looked_at: int
    own: dict[str, float]
    in_training: dict[str, float] | None
    annotated: dict[str, float]
    detected: int
    objects: int
    matched: int
    same_class: int
    min_confidence: float

    name = "self-consistency"
    title = "the network's own detections as ground truth"

    @property
    def high(self) -> list[str]:
        """Losses that are not near zero on the own detections."""
        return [name for name, limit in NEAR_ZERO.items() if self.own and self.own[name] > limit]

    @property
    def punished(self) -> list[str]:
        """Losses that are not near zero on the own detections, and about as high as on the annotations, or higher."""
        return [name for name in self.high if self.own[name] > _ABOUT * self.annotated[name]]

    @property
    def disputed(self) -> list[str]:
        """Losses that are near zero on the own detections and several times as high on the annotations."""
        names = [name for name in NEAR_ZERO if self.own and name not in self.high]
        return [name for name in names if self.annotated[name] > max(3 * self.own[name], 2 * NEAR_ZERO[name])]

    @property
    def summary(self) -> str:
        if not self.own:
            return f"Nothing is detected in {self.looked_at} images, so there is nothing to compare with."
        own, annotated = (sum(losses[name] for name in NEAR_ZERO) for losses in (self.own, self.annotated))
        return (
            f"Targets, losses and detection agree: with {self.detected} detections in {len(self.images)} images as "
            f"ground truth all losses are near zero (sum {own:.2g}; on the annotations {annotated:.2g})."
        )

    def tables(self):
        if not self.own:
            return []
        head = ["loss", "own detections", *(["in training"] if self.in_training else []), "annotations", "near zero is"]
        rows = [head]
        for name, limit in NEAR_ZERO.items():
            training = [f"{self.in_training[name]:.3g}"] if self.in_training else []
            rows.append([name, f"{self.own[name]:.3g}", *training, f"{self.annotated[name]:.3g}", f"below {limit:g}"])
        counts = [["images", "annotated objects", "detections", "on an object", "of its class"]]
        numbers = (len(self.images), self.objects, self.detected, self.matched, self.same_class)
        counts.append([str(number) for number in numbers])
        return [("Losses", rows), (f"Compared; detections with a score of {self.min_confidence:g} or more", counts)]


@rule(
    "EXP010",
    INFO,
    needs=EXPERIMENT,
    about=SelfConsistency,
    why="Without detections there is no ground truth to make of them.",
    example="A network that has not been trained",
    fix="Load trained weights (--weights), or train first; `mrcnn-plus experiment overfit` needs none.",
)
def nothing_detected(facts):
    """The network detects nothing in the images that were looked at."""
    result = facts.experiment
    if not result.own:
        yield Violation(
            f"Nothing is detected with a score of {result.min_confidence:g} or more in {result.looked_at} images.",
            where="detections",
            experiment="mrcnn-plus experiment funnel",
        )


@rule(
    "EXP011",
    WARNING,
    needs=EXPERIMENT,
    about=SelfConsistency,
    why="Detection says one thing, and the loss punishes the network for it: it is trained towards something else than "
    "it is used for, and no data can mend that.",
    example="mrcnn_mask_loss 0.9 on the network's own masks",
    fix="Look at what your program changes around the network: settings, a BACKBONE of your own, overridden methods.",
)
def own_predictions_are_punished(facts):
    """With the network's own detections as ground truth, losses are not near zero; an info if they are clearly below
    those on the annotations, as with a network that is trained too little."""
    result = facts.experiment
    if not result.high:
        return
    yield Violation(
        "Not near zero on the network's own detections: "
        + ", ".join(f"{name} {result.own[name]:.3g}" for name in result.high)
        + ".",
        where=", ".join(result.high),
        severity=None if result.punished else INFO,
        causes=list(_causes(result)),
        details={name: result.own[name] for name in result.high},
    )


def _causes(result):
    high, punished = set(result.high), set(result.punished)
    if "mrcnn_bbox_loss" in punished:  # detection applies deltas that the targets do not ask for
        yield "BBOX_STD_DEV differs from that of the training"
    if punished & {"rpn_class_loss", "rpn_bbox_loss"}:
        yield "RPN_ANCHOR_SCALES, RPN_ANCHOR_RATIOS or RPN_BBOX_STD_DEV differ from those of the training"
    if high <= {"rpn_class_loss", "rpn_bbox_loss"}:
        yield "the RPN is trained far less than the heads: proposals come from few anchors"
    if "mrcnn_mask_loss" in high:
        yield "masks are undecided (values near 0.5), because the mask head is hardly trained"
        yield "MINI_MASK_SHAPE is much coarser than the masks that the network predicts"
    if "mrcnn_class_loss" in high:
        yield "the network is undecided: many ROIs lie near a score of one half; train longer"
        yield "duplicates are suppressed that the class head takes for objects (DETECTION_NMS_THRESHOLD)"
    if "mrcnn_bbox_loss" in high:
        yield "boxes of ROIs of one object disagree: the box head is hardly trained"
        yield "objects of a few pixels, where rounding to whole pixels matters"


@rule(
    "EXP012",
    WARNING,
    needs=EXPERIMENT,
    about=SelfConsistency,
    why="Batch normalization computes with the statistics of the batch in training and with stored ones in detection. "
    "With few images in a step these differ, and so does what the network sees.",
    example="mrcnn_class_loss 0.1 as in validation, 2.3 as in training, TRAIN_BN = None with 2 images",
    fix="TRAIN_BN = False with pretrained weights, or NORMALIZATION = 'group'; with TRAIN_BN = None 8 images or more.",
)
def training_differs_from_detection(facts, *, factor=2.0, least=0.3):
    """On the same images and targets the losses of a training step are `factor` times those of validation."""
    result = facts.experiment
    if not result.own or result.in_training is None:
        return
    pairs = {name: (result.own[name], result.in_training[name]) for name in NEAR_ZERO}
    different = [name for name, (own, here) in pairs.items() if here > factor * own and here - own > least]
    if different:
        yield Violation(
            "The same images have higher losses in a training step than in validation: "
            + ", ".join(f"{name} {pairs[name][1]:.3g} against {pairs[name][0]:.3g}" for name in different)
            + ".",
            setting="TRAIN_BN",
            causes=["batch normalization with the statistics of few images", "dropout in a backbone of your own"],
        )


@rule(
    "EXP013",
    WARNING,
    needs=EXPERIMENT,
    about=SelfConsistency,
    why="Where the network agrees with itself and not with the annotations, one of the two is wrong; the losses and "
    "the code around them are not.",
    example="mrcnn_class_loss 0.1 on its own detections, 4.0 on the annotations",
    fix="Look at both on one image: `mrcnn-plus preview` draws the annotations, `experiment funnel` what is lost.",
)
def annotations_disagree(facts, *, least=6):
    """Losses are near zero on the own detections and several times as high on the annotations of the same images; or of
    at least `least` detections most have another class than the object they lie on, hardly any lies on one, or there
    are twice as many as objects."""
    result = facts.experiment
    if not result.own or result.punished:  # EXP011 comes first: what it names moves these losses, too
        return
    told, causes = _contradictions(result, least)
    names = set(result.disputed)
    if not names and not told:
        return
    if names == {"mrcnn_class_loss"}:
        causes.append(_ORDER)
    if "mrcnn_mask_loss" in names and not names & {"mrcnn_bbox_loss", "rpn_bbox_loss"}:
        causes.append("masks lie elsewhere than their objects")
    causes += ["the weights were trained on other annotations, or not enough on these", _ELSEWHERE]
    differences = [f"{name} {result.own[name]:.2g} against {result.annotated[name]:.2g}" for name in result.disputed]
    yield Violation(
        f"The network agrees with itself, not with the annotations: {'; '.join([*told, *differences])}.",
        where=", ".join(result.disputed) or "annotations",
        causes=list(dict.fromkeys(causes)),
        experiment="mrcnn-plus experiment funnel",
        details={name: {"own": result.own[name], "annotated": result.annotated[name]} for name in result.disputed},
    )


_ORDER = "the classes stand in another order than in the training of these weights, or labels are wrong"
_ELSEWHERE = "annotations lie elsewhere than their objects"


def _contradictions(result, least):
    """What detections and annotations say of each other, and what causes that; two lists."""
    told, causes = [], []
    if result.detected < least:
        return told, causes
    if result.matched >= least and result.same_class < 0.5 * result.matched:
        told.append(f"{result.matched - result.same_class} of {result.matched} detected objects have another class")
        causes.append(_ORDER)
    if result.matched < 0.25 * min(result.detected, result.objects):
        told.append(f"{result.matched} of {result.detected} detections lie on an annotated object")
        causes.append(_ELSEWHERE)
    elif result.detected > 1.5 * result.objects:
        causes.append(
            f"objects are not annotated: {result.detected} are detected and {result.objects} annotated in these images"
        )
        if result.detected > 2 * result.objects:
            told.append(f"{result.detected} objects are detected, and {result.objects} are annotated")
    return told, causes
