"""The linter before the first step: errors stop training with the report, warnings are logged, each once."""

from __future__ import annotations

import logging
import os
import time
from typing import Any

from mrcnn_plus import lint
from mrcnn_plus.data.dataset import describe_dataset
from mrcnn_plus.errors import ConfigError
from mrcnn_plus.lint import registry
from mrcnn_plus.lint.measuring.random_states import RandomStates

logger = logging.getLogger(__name__)

CHOICES = ("error", "warn", "off")
#: Environment variable with the choice for calls that make none.
VARIABLE = "MRCNN_PLUS_LINT"

_MOST_SAMPLES = 8  # images of each data set whose pixels are looked at
_SECONDS_FOR_SAMPLES = 1.0
_MOST_IMAGES = 5000  # above, files and objects are left to `mrcnn-plus lint`
_MOST_LOGGED = 12
_logged: set[tuple[str, str]] = set()  # (code, message): a second model need not repeat them


def check_before_training(
    config: Any, train_dataset: Any, val_dataset: Any, *, run: lint.Run, action: str | None, call_alone: bool = False
) -> lint.Report | None:
    """Run the linter on what a call of `train` was given.

    run: the call. action: "error" raises for errors, "warn" logs them as well, "off" does nothing; None takes the
    environment variable `VARIABLE`, or else "error". call_alone: only the rules about the call, where configuration and
    data were checked by an earlier one. Returns the report.

    Costs about a second or two: pixels of a few images, and headers or objects of data sets that are not huge.
    Raises `DatasetError` if all errors are about data, else `ConfigError`.
    """
    source = "lint" if action is not None else VARIABLE
    action = os.environ.get(VARIABLE, "error") if action is None else action
    if action not in CHOICES:
        raise ConfigError(f"train: expected {source} to be 'error', 'warn' or 'off', received: {source}={action!r}.")
    if action == "off":
        return None
    states = RandomStates(None)
    before = states.save()
    try:
        report = _check(config, train_dataset, val_dataset, run, call_alone=call_alone)
    finally:
        states.restore(before)  # a run with a SEED is the same with and without the linter
    _log(report, "warning" if action == "error" else "error")
    if action == "error":
        _raise_for_errors(report)
    return report


def _check(config, train_dataset, val_dataset, run, *, call_alone):
    given = [dataset for dataset in (train_dataset, val_dataset) if hasattr(dataset, "image_info")]
    sample = 0 if call_alone else min((_sample_size(dataset) for dataset in given), default=1)
    too_many = any(len(dataset.image_info) > _MOST_IMAGES for dataset in given)
    select = [rule.code for rule in registry.all_rules().values() if _belongs_here(rule, call_alone, too_many)]
    if too_many and not call_alone:
        logger.info("More than %d images: `mrcnn-plus lint` checks their files and objects.", _MOST_IMAGES)
    return lint.check(
        config,
        train_dataset if train_dataset in given else None,
        val_dataset if val_dataset in given else None,
        select=select,
        sample=sample,
        workers=0,
        run=run,
    )


def _belongs_here(rule, call_alone, too_many):
    needs = set(rule.needs)
    if call_alone:
        return rule.code.startswith("TRN") and registry.RUN in needs
    return not (too_many and needs & {registry.HEADERS, registry.OBJECTS})


def _sample_size(dataset) -> int:
    """How many images can be looked at in the time there is, by the time that the middle one takes."""
    started = time.monotonic()
    try:
        middle = len(dataset.image_info) // 2
        dataset.load_image(middle)
        dataset.load_mask(middle)
    except Exception:  # the rules will say what is wrong
        logger.debug("%s: image %d cannot be loaded", describe_dataset(dataset), middle, exc_info=True)
    return max(1, min(_MOST_SAMPLES, int(_SECONDS_FOR_SAMPLES / (time.monotonic() - started + 1e-6))))


def _log(report, least):
    """One block with the findings of this severity or worse, down to warnings; each is said once in a process."""
    findings = [finding for finding in report.at_least("warning") if least == "error" or finding.severity == "warning"]
    new = [finding for finding in findings if (finding.code, finding.message) not in _logged]
    if not new:
        return
    _logged.update((finding.code, finding.message) for finding in new)
    lines = [f"  {finding}" for finding in new[:_MOST_LOGGED]]
    if len(new) > _MOST_LOGGED:
        lines.append(f"  and {len(new) - _MOST_LOGGED} more; `mrcnn-plus lint` lists all.")
    codes = tuple(dict.fromkeys(finding.code for finding in new))
    logger.warning(
        "The linter found %d thing%s before training (to silence: LINT_IGNORE = %r, or train(..., lint='off')):\n%s",
        *(len(new), "" if len(new) == 1 else "s", codes[:3], "\n".join(lines)),
    )


def _raise_for_errors(report):
    try:
        report.raise_for_errors()
    except ValueError as error:  # ConfigError or DatasetError
        codes = tuple(dict.fromkeys(finding.code for finding in report.errors))
        raise type(error)(
            f"{error}\nTraining was not started. Mend this; or leave rules out by LINT_IGNORE = {codes!r} in the "
            "configuration; or train all the same with train(..., lint='warn')."
        ) from None
