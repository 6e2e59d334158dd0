"""`lr-range`: the learning rate raised step by step; where the loss falls fastest, and where it breaks out.

After L. Smith, "Cyclical learning rates for training neural networks" (arXiv 1506.01186, section 3.3).
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from mrcnn_plus.diagnosis.experiments.outcome import Result
from mrcnn_plus.lint.findings import ERROR, INFO, WARNING, plain
from mrcnn_plus.lint.registry import EXPERIMENT, Violation, rule

_MEMORY = 0.9  # of the moving average
_STEPS_OF_LEVEL = 15
DIVERGED = 2.0  # times the lowest loss


@dataclass(frozen=True)
class LearningRateRange(Result):
    """rates: of each step, rising. losses: total of each step, without the L2 term; the sweep ends where it breaks out.

    used: the rates that the program trains with. layers: what trained. optimizer: its name. is_trained: no part of the
    network is random.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    used: tuple[float, ...]
    layers: tuple[str, ...]
    optimizer: str
    images_per_step: int
    is_trained: bool = False

    name = "lr-range"
    title = "the loss while the learning rate rises"

    @property
    def smoothed(self) -> list[float]:
        return moving_average(self.losses)

    @property
    def level(self) -> float:
        """Mean loss at the lowest rates, where nothing moves yet."""
        return statistics.fmean(self.losses[: self._first])

    @property
    def _first(self) -> int:
        """Steps at the lowest rates that tell the level and the noise."""
        return max(2, min(_STEPS_OF_LEVEL, len(self.losses) // 4))

    @property
    def lowest(self) -> int:
        """The step at which the smoothed loss is lowest, after those that tell the level."""
        values = self.smoothed
        finite = [step for step in range(self._first, len(values)) if math.isfinite(values[step])]
        return min(finite, key=values.__getitem__) if finite else 0

    @property
    def diverges_at(self) -> float | None:
        """The rate at which the loss has doubled from its lowest, or is not finite; None within this range."""
        values = self.smoothed
        limit = DIVERGED * values[self.lowest]
        for step in range(self.lowest, len(values)):
            if not math.isfinite(self.losses[step]) or values[step] > limit:
                return self.rates[step]
        return None

    @property
    def falls(self) -> bool:
        """Whether the loss falls by a tenth and by more than the noise of the batches explains."""
        return self.smoothed[self.lowest] < min(0.9 * self.level, self.level - 3 * self._noise)

    @property
    def rises_after_lowest(self) -> bool:
        """Whether the loss ends above its lowest by more than that noise, and the sweep did not just end there."""
        values = self.smoothed
        return values[-1] > values[self.lowest] + 3 * self._noise

    @property
    def _noise(self) -> float:
        """Standard deviation of the smoothed loss at the lowest rates."""
        return statistics.pstdev(self.losses[: self._first]) * math.sqrt((1 - _MEMORY) / (1 + _MEMORY))

    @property
    def suggestion(self) -> float | None:
        """A tenth of the rate with the lowest loss, to one digit: there it falls fast, and far from breaking out. None
        where no rate makes the loss fall."""
        return one_digit(self.rates[self.lowest] / 10) if self.falls else None

    @property
    def summary(self) -> str:
        if self.suggestion is None:
            return f"No rate from {self.rates[0]:.0e} to {self.rates[-1]:.0e} makes the loss fall in so few steps."
        limit = f", it breaks out at {self.diverges_at:.2g}" if self.diverges_at is not None else ""
        used = f"; the program uses {', '.join(f'{rate:g}' for rate in self.used)}" if self.used else ""
        return (
            f"A learning rate around {self.suggestion:g} suits {self.optimizer} with {self.images_per_step} images per "
            f"step: the loss is lowest at {self.rates[self.lowest]:.2g}{limit}{used}."
        )

    def tables(self):
        rows = [["learning rate", "loss", "smoothed"]]
        smoothed, last = self.smoothed, len(self.rates) - 1
        shown = sorted({round(last * part / 12) for part in range(13)} | {self.lowest})
        for step in shown:
            mark = "  lowest" if step == self.lowest else ""
            rows.append([f"{self.rates[step]:.2e}", f"{self.losses[step]:.4g}", f"{smoothed[step]:.4g}{mark}"])
        return [(f"{len(self.rates)} steps with {self.optimizer}", rows)]

    def to_dict(self):
        more = {"smoothed": self.smoothed, "suggestion": self.suggestion, "diverges_at": self.diverges_at}
        return {**super().to_dict(), **plain(more)}


def moving_average(losses) -> list[float]:
    """The losses as an exponential moving average, free of the bias of its beginning."""
    average, values = 0.0, []
    for step, loss in enumerate(losses, 1):
        average = _MEMORY * average + (1 - _MEMORY) * loss
        values.append(average / (1 - _MEMORY**step))
    return values


def one_digit(value: float) -> float:
    """Rounded down to one digit: 0.0029 -> 0.002."""
    power = 10.0 ** math.floor(math.log10(value))
    return float(f"{math.floor(value / power + 1e-9) * power:.0e}")


@rule(
    "EXP060",
    WARNING,
    needs=EXPERIMENT,
    about=LearningRateRange,
    why="Near the rate at which the loss breaks out training is unstable; above it everything learnt is lost.",
    example="The loss breaks out at 0.02, and the program trains with 0.01",
    fix="Take the suggested rate; WARMUP_STEPS and clipping bear a little more.",
)
def rate_too_high(facts, *, margin=3.0):
    """The program trains with a rate above a `margin`-th of that at which the loss breaks out, an error above it; or,
    where it does not break out in so few steps, above the one with the lowest loss."""
    result = facts.experiment
    breaks_out, lowest = result.diverges_at, result.rates[result.lowest]
    if breaks_out is not None:
        limit, told = breaks_out / margin, f"the loss breaks out at {breaks_out:.2g}"
    elif result.falls and result.rises_after_lowest:
        limit, told = lowest, f"the loss is lowest at {lowest:.2g} and rises after it"
    else:
        return
    for rate in result.used:
        if rate > limit:
            yield Violation(
                f"The program trains with {rate:g}; with {result.optimizer} {told}.",
                setting="LEARNING_RATE",
                value=rate,
                severity=ERROR if breaks_out is not None and rate >= breaks_out else None,
                changes={"LEARNING_RATE": result.suggestion} if result.suggestion else {},
            )


@rule(
    "EXP061",
    INFO,
    needs=EXPERIMENT,
    about=LearningRateRange,
    why="A rate far below the best one takes many times the epochs, and looks as if training were stuck.",
    example="The loss falls fastest at 0.001, and the program trains with 0.00001",
    fix="Raise the rate to the suggested one, except to fine-tune weights that are good already.",
)
def rate_too_low(facts, *, factor=20.0):
    """The highest rate that the program trains with is more than `factor` times below the suggested one."""
    result = facts.experiment
    if result.suggestion is None or not result.used:
        return
    if max(result.used) < result.suggestion / factor:
        yield Violation(
            f"The program trains with {max(result.used):g} at most; around {result.suggestion:g} the loss falls much "
            "faster.",
            setting="LEARNING_RATE",
            value=max(result.used),
            changes={"LEARNING_RATE": result.suggestion},
        )


@rule(
    "EXP062",
    WARNING,
    needs=EXPERIMENT,
    about=LearningRateRange,
    why="If the loss falls at no rate, the rate is not what keeps training from working.",
    example="All heads frozen: the loss is the same at 1e-6 and 1",
    fix="Look for the cause with `mrcnn-plus experiment overfit`.",
)
def no_rate_helps(facts):
    """At no rate the loss falls by a tenth and beyond the noise of the batches; an info if all parts are trained."""
    result = facts.experiment
    if result.suggestion is None:
        yield Violation(
            f"The loss falls at no rate from {result.rates[0]:.0e} to {result.rates[-1]:.0e}: it is {result.level:.3g} "
            f"at the beginning and {result.smoothed[result.lowest]:.3g} at best.",
            where="learning rate",
            severity=INFO if result.is_trained else None,
            causes=[
                *(
                    ["the weights are trained already; train on with the rate that they were trained with, or less"]
                    if result.is_trained
                    else []
                ),
                "what trains cannot help: heads frozen, backbone random",
                "too few steps, or batches that differ too much (--steps)",
            ],
            experiment="mrcnn-plus experiment overfit",
        )
