"""`overfit`: a few images learnt by heart, without augmentation. If that fails, something fundamental is wrong."""

from __future__ import annotations

from dataclasses import dataclass

from mrcnn_plus.diagnosis.experiments.first_batch import PART_OF_LOSS
from mrcnn_plus.diagnosis.experiments.outcome import Result
from mrcnn_plus.lint.findings import ERROR, INFO, WARNING
from mrcnn_plus.lint.registry import EXPERIMENT, Violation, rule

#: The mean overlap that masks have to reach.
GOOD_MASK = 0.8
REACHED, OUT_OF_STEPS, OUT_OF_TIME, NOT_FINITE = "reached", "steps", "time", "not finite"
EXPLODED = "exploded"  # it stayed above EXPLOSION for so many steps
STEPS_EXPLODED = 50
#: After fewer steps nothing is said about a loss that has not fallen.
LEAST_STEPS = 50
#: Times the first total, beyond which the loss counts as exploded.
EXPLOSION = 10.0
_WINDOW = 0.1  # share of the steps that "at the beginning" and "at the end" are the means of


@dataclass(frozen=True)
class Check:
    """What the network detects on its images after so many steps: for each object the best overlap with a detection of
    its class, averaged; found: share of the objects that are overlapped by half, by box."""

    step: int
    mask_iou: float
    box_iou: float
    found: float


@dataclass(frozen=True)
class Overfit(Result):
    """losses: `{name: its value at each step}`, unweighted; "total" is their weighted sum without the L2 term. checks:
    in the order of the steps, the first before any. gradient_norms: `{part: its mean over the steps}`. trained:
    `{part: (parameters that train, parameters)}`. stopped: why it ended. weights: LOSS_WEIGHTS.
    """

    images: tuple[str, ...]
    objects: int
    losses: dict[str, tuple[float, ...]]
    checks: tuple[Check, ...]
    gradient_norms: dict[str, float]
    trained: dict[str, tuple[int, int]]
    untrained_parts: tuple[str, ...]
    layers: tuple[str, ...]
    learning_rate: float
    optimizer: str
    stopped: str
    seconds: float

    name = "overfit"
    title = "a few images learnt by heart"

    @property
    def steps(self) -> int:
        return len(self.losses["total"])

    def at_start(self, loss: str) -> float:
        """Mean of a loss over the first steps in which it was above 0: without positive ROIs that of boxes and masks is
        0, and that is no success."""
        return _mean([value for value in self.losses[loss] if value > 0][: self._window])

    def at_end(self, loss: str) -> float:
        """Mean of a loss over the last steps."""
        return _mean(self.losses[loss][-self._window :])

    @property
    def _window(self) -> int:
        return max(1, min(20, round(self.steps * _WINDOW)))

    def fell_to(self, loss: str) -> float:
        """The end over the start: 0.1 is a tenth. 1.0 for a loss that was 0 all the time."""
        start = self.at_start(loss)
        return self.at_end(loss) / start if start > 0 else 1.0

    @property
    def is_falling(self) -> bool:
        """Whether the total was still falling clearly when time was up."""
        window = max(1, self.steps // 5)
        before, last = self.losses["total"][-2 * window : -window], self.losses["total"][-window:]
        return bool(before) and _mean(last) < 0.9 * _mean(before)

    @property
    def exploded(self) -> bool:
        """Whether a value was not finite, or the total rose to many times what it began with, even if it came back."""
        total = self.losses["total"]
        return self.stopped in (NOT_FINITE, EXPLODED) or (bool(total) and max(total) > EXPLOSION * total[0])

    @property
    def is_undecided(self) -> bool:
        """Whether it ended before anything could be said."""
        return self.stopped != NOT_FINITE and (self.steps < LEAST_STEPS or self.is_falling)

    @property
    def best(self) -> Check:
        return max(self.checks, key=lambda check: check.mask_iou)

    @property
    def summary(self) -> str:
        return (
            f"{len(self.images)} images with {self.objects} objects are learnt in {self.steps} steps: the loss fell "
            f"from {self.at_start('total'):.3g} to {self.at_end('total'):.3g}, masks overlap by "
            f"{self.best.mask_iou:.2f}. The network, its data and losses can learn."
        )

    def tables(self):
        losses = [["loss", "first steps", "last steps", "fell to"]]
        for name in self.losses:
            start, end = self.at_start(name), self.at_end(name)
            losses.append([name, f"{start:.4g}", f"{end:.4g}", f"{self.fell_to(name):.0%}"])
        checks = [["step", "mask IoU", "box IoU", "objects found"]]
        for check in self.checks:
            checks.append([str(check.step), f"{check.mask_iou:.2f}", f"{check.box_iou:.2f}", f"{check.found:.0%}"])
        parts = [["part", "trains", "gradient norm", "weights at start"]]
        for part, (training, total) in self.trained.items():
            kind = "random" if part in self.untrained_parts else "trained"
            norm = f"{self.gradient_norms.get(part, 0.0):.3g}" if training else "frozen"
            parts.append([part, f"{training:,} of {total:,}", norm, kind])
        how = f"{self.steps} steps at rate {self.learning_rate:g} with {self.optimizer}, {self.seconds:.0f} s"
        return [(f"Losses, unweighted; {how}", losses), ("What it detects on these images", checks), ("Parts", parts)]


def _mean(values):
    return sum(values) / len(values) if len(values) else 0.0


def _failed(facts):
    """The result, if the experiment has not reached its aim."""
    result = facts.experiment
    return result if result.stopped != REACHED else None


def _stuck(result, *, most=0.8):
    """Losses that have hardly fallen, of those that were not near 0 to begin with."""
    names = [name for name in PART_OF_LOSS if result.at_start(name) > 0.02]
    return [name for name in names if result.fell_to(name) > most]


def _random_and_frozen(result):
    """Other parts whose weights are random and stay so: heads and RPN get noise from them."""
    return [part for part in result.untrained_parts if part not in _frozen(result) and not result.trained[part][0]]


def _frozen(result):
    """Parts that answer for a loss and do not train."""
    return [part for part, (training, _) in result.trained.items() if part in PART_OF_LOSS.values() and not training]


@rule(
    "EXP020",
    ERROR,
    needs=EXPERIMENT,
    about=Overfit,
    why="A loss cannot fall if the part that answers for it does not train.",
    example='layers="mrcnn_class.*", and the masks stay as they are',
    fix="Choose `layers` so that these parts train: 'heads' has all of them.",
)
def frozen_part_does_not_learn(facts):
    """The images were not learnt, and a part with a loss of its own is frozen."""
    result = _failed(facts)
    frozen = _frozen(result) if result else []
    if frozen:
        losses = [name for name, part in PART_OF_LOSS.items() if part in frozen]
        yield Violation(
            f"The images are not learnt, because {' and '.join(frozen)} "
            f"{'do' if len(frozen) > 1 else 'does'} not train: "
            + ", ".join(f"{name} {result.at_start(name):.3g} -> {result.at_end(name):.3g}" for name in losses)
            + ".",
            where=", ".join(frozen),
            value=", ".join(result.layers) or None,
            evidence=[f"layers={text!r}" for text in result.layers],
        )


@rule(
    "EXP021",
    ERROR,
    needs=EXPERIMENT,
    about=Overfit,
    why="Any sound network learns a handful of images by heart in some hundred steps. If the loss does not fall on "
    "them, more data and more epochs will not help.",
    example="Total 3.1 at the beginning, 2.9 after 300 steps",
    fix="Find the cause by the order below; `mrcnn-plus experiment first-batch` and `weights` tell them apart.",
)
def few_images_are_not_learnt(facts, *, most=0.6):
    """After all steps the total is above `most` of what it was, and no part is frozen by mistake."""
    result = _failed(facts)
    if result is None or _frozen(result) or result.exploded or result.is_undecided:
        return
    if result.fell_to("total") > most and result.fell_to("total") < 1.5:
        stuck = _stuck(result)
        yield Violation(
            f"{len(result.images)} images are not learnt in {result.steps} steps: the loss went from "
            f"{result.at_start('total'):.3g} to {result.at_end('total'):.3g}"
            + (f"; stuck are {', '.join(stuck)}." if stuck else "."),
            where="total",
            causes=list(_causes_of_stuck(result, stuck)),
            experiment="mrcnn-plus experiment lr-range",
            details={"stuck": stuck, "fell_to": result.fell_to("total")},
        )


def _causes_of_stuck(result, stuck):
    backbone = result.trained.get("backbone", (0, 0))
    if part := " and ".join(_random_and_frozen(result)):
        yield f"random and frozen: {part}, so the heads get noise"
    norms = [norm for part, norm in result.gradient_norms.items() if result.trained[part][0]]
    if norms and max(norms) < 1e-4:
        yield "almost no gradient: loss weights of 0, dead units, or a batch without positives"
    if stuck and set(stuck) <= {"mrcnn_mask_loss"}:
        yield "masks contradict each other: they lie elsewhere than their objects, or are cut to other boxes"
    if stuck and set(stuck) <= {"mrcnn_class_loss"}:
        yield "labels contradict each other: the same object is annotated with several classes"
    yield f"the learning rate is too low (or so high that it jumps about): {result.learning_rate:g}"
    if "backbone" in result.untrained_parts and backbone[0]:
        yield "a random backbone needs more steps than these, and normalization that works (NORMALIZATION = 'group')"
    yield "anchors do not fit, so that hardly a ROI is positive (`mrcnn-plus experiment rpn`)"


@rule(
    "EXP022",
    ERROR,
    needs=EXPERIMENT,
    about=Overfit,
    why="A loss that rises on images seen in every step has nothing to do with the data: the steps are too long.",
    example="Total 3.1 at the beginning, 47 after 20 steps",
    fix="A tenth of the learning rate; GRADIENT_CLIP_BY = 'global', WARMUP_STEPS = 100.",
)
def overfit_diverges(facts, *, factor=1.5, least_steps=10):
    """The total ends `factor` times as high as it began, after `least_steps` or more, or rises to ten times on its way,
    or a value is not finite."""
    result = _failed(facts)
    if result is None:
        return
    if not result.exploded and (result.fell_to("total") < factor or result.steps < least_steps):
        return
    total = result.losses["total"]
    what = "a value is not finite" if result.stopped == NOT_FINITE else f"it has risen to {max(total):.3g}"
    yield Violation(
        f"The loss explodes on {len(result.images)} images: it begins at {total[0]:.3g}, and after "
        f"{result.steps if result.stopped == NOT_FINITE else total.index(max(total)) + 1} steps {what}.",
        setting="LEARNING_RATE",
        value=result.learning_rate,
        causes=[
            f"the learning rate {result.learning_rate:g} is too high for this optimizer ({result.optimizer})",
            "features explode in a random backbone under batch normalization with stored statistics",
        ],
        experiment="mrcnn-plus experiment lr-range",
        changes={"LEARNING_RATE": result.learning_rate / 10},
    )


@rule(
    "EXP023",
    ERROR,
    needs=EXPERIMENT,
    about=Overfit,
    why="Losses can fall while what is detected stays bad: then loss and detection disagree, or one part lags behind.",
    example="Total at 20% of the start, boxes found, masks at IoU 0.5",
    fix="Give it more steps (--steps) to be sure; then follow the causes.",
)
def learnt_but_not_detected(facts, *, most=0.6, good_box=0.7, nearly=0.7):
    """The loss has fallen below `most` of its start and no further, and masks do not reach 0.8 (a warning from `nearly`
    on); says whether boxes are found."""
    result = _failed(facts)
    if result is None or _frozen(result) or result.exploded or result.fell_to("total") > most or result.is_undecided:
        return
    best = result.best
    if best.box_iou >= good_box:
        what, causes = (
            "boxes are good and masks are not",
            [
                "the masks of the ground truth lie elsewhere than their objects, or are coarse (MINI_MASK_SHAPE)",
                "the mask head lags behind: raise mrcnn_mask_loss in LOSS_WEIGHTS, or its rate by LR_MULTIPLIERS",
                "objects with thin parts: masks of 28 x 28 cells cannot show them",
            ],
        )
    elif best.found >= good_box:
        what, causes = (
            "objects are found, with boxes that are not exact",
            [
                "more steps or a higher learning rate are needed",
                "BBOX_STD_DEV is not 0.1, 0.1, 0.2, 0.2",
            ],
        )
    else:
        what, causes = (
            "objects are not found",
            [
                "anchors or proposals do not reach them (`mrcnn-plus experiment rpn`)",
                "the class head says background: few positive ROIs in the sample",
                "more steps are needed",
            ],
        )
    yield Violation(
        f"The loss fell to {result.fell_to('total'):.0%}, and masks overlap by {best.mask_iou:.2f} only "
        f"({GOOD_MASK} is the aim): {what} (box IoU {best.box_iou:.2f}, {best.found:.0%} found).",
        where="masks",
        severity=WARNING if best.mask_iou >= nearly else None,
        causes=causes,
        experiment="mrcnn-plus experiment funnel",
        details={"mask_iou": best.mask_iou, "box_iou": best.box_iou, "found": best.found},
    )


@rule(
    "EXP024",
    INFO,
    needs=EXPERIMENT,
    about=Overfit,
    why="The loss was still falling when steps or time were up, so that nothing is wrong, and nothing is proven.",
    example="Total 3.1 -> 1.2 and falling after 5 minutes",
    fix="Repeat with more --steps and --minutes, smaller images, or a higher learning rate.",
)
def overfit_is_not_decided(facts):
    """Steps or time were up while the total was still falling, or after very few steps."""
    result = _failed(facts)
    if result is None or _frozen(result) or result.exploded or not result.is_undecided:
        return
    limit = "the time was up" if result.stopped == OUT_OF_TIME else "the steps were up"
    why = f"the loss was still falling when {limit}" if result.is_falling else f"{limit} after {result.steps} steps"
    yield Violation(
        f"Not decided: {why} ({result.at_start('total'):.3g} -> {result.at_end('total'):.3g}); masks overlap by "
        f"{result.best.mask_iou:.2f} so far.",
        where="total",
    )


@rule(
    "EXP025",
    ERROR,
    needs=EXPERIMENT,
    about=Overfit,
    why="A random part that does not train stays random, and the heads after it learn from noise. Losses fall all the "
    "same, because a few images can be told apart by noise, too.",
    example='No weights loaded, and layers="heads": the backbone is random for ever',
    fix="Load weights for these layers, or let them train (layers='all').",
)
def random_part_stays_random(facts):
    """Backbone or pyramid have random weights and do not train; a warning where the images were learnt all the same."""
    result = facts.experiment
    parts = _random_and_frozen(result)
    if parts:
        yield Violation(
            f"The {' and the '.join(parts)} {'have' if len(parts) > 1 else 'has'} random weights and "
            f"{'do' if len(parts) > 1 else 'does'} not train; masks overlap by {result.best.mask_iou:.2f} after "
            f"{result.steps} steps.",
            where=", ".join(parts),
            severity=WARNING if result.stopped == REACHED else None,
            causes=["no weights were loaded, or of another network", "`layers` leaves it out"],
            experiment="mrcnn-plus experiment weights",
        )
