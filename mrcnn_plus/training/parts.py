"""The parts of the network, for learning rates and gradient norms, told by names."""

import re

from mrcnn_plus.errors import ConfigError
from mrcnn_plus.training.loss_balancing import LOG_VARIANCES

#: In the order of the data. The class head finds class and box.
PARTS = ("backbone", "fpn", "rpn", "class_head", "mask_head")
#: Names for several parts together.
GROUPS = {"heads": ("class_head", "mask_head")}
# Beginnings of layer names; what begins otherwise is the backbone, which may be the user's own.
_BEGINNINGS = {"fpn_": "fpn", "rpn_": "rpn", "mrcnn_mask": "mask_head", "mrcnn_": "class_head"}


def part_of(path):
    """The part that a variable belongs to, by its path such as 'fpn_p2/kernel'; None for one of no part."""
    if LOG_VARIANCES in path:
        return None
    for name in path.split("/")[:-1]:
        for beginning, part in _BEGINNINGS.items():
            if name.startswith(beginning):
                return part
    return "backbone"


def learning_rate_factor(path, multipliers):
    """The factor of `LR_MULTIPLIERS` for a variable; 1.0 where none is named.

    multipliers: factors by part, group of parts, or regular expression that matches the whole name of a layer. An
    expression wins over a part, a part over a group. Raises ConfigError where two expressions match with different
    factors.
    """
    patterns = [key for key in multipliers if key not in PARTS and key not in GROUPS]
    names = path.split("/")[:-1]
    matching = {key: multipliers[key] for key in patterns if any(re.fullmatch(key, name) for name in names)}
    if len(set(matching.values())) > 1:
        raise ConfigError(
            f"LR_MULTIPLIERS: expected one factor for each layer, received several for {path!r}: {matching}. Make the "
            "regular expressions exclude each other."
        )
    if matching:
        return float(next(iter(matching.values())))
    part = part_of(path)
    groups = [group for group, parts in GROUPS.items() if part in parts]
    return float(next((multipliers[key] for key in (part, *groups) if key in multipliers), 1.0))


def check_multipliers(multipliers, variables):
    """Raise ConfigError for `LR_MULTIPLIERS` that are no factors, or name what the network does not have."""
    if not isinstance(multipliers, dict):
        _fail(multipliers, "a dict {part of the network or regular expression of layer names: factor}")
    names = {name for variable in variables for name in variable.path.split("/")[:-1]}
    for key, factor in multipliers.items():
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor < float("inf"):
            _fail(
                multipliers, f"factors above 0, not {factor!r} for {key!r}", "`layers` says which layers do not move."
            )
        if key in PARTS or key in GROUPS:
            continue
        try:
            found = any(re.fullmatch(key, name) for name in names)
        except (re.error, TypeError) as error:
            _fail(multipliers, f"regular expressions, {key!r} is none ({error})")
        if not found:
            _fail(
                multipliers,
                f"parts {PARTS}, groups {tuple(GROUPS)}, or regular expressions that match the whole name of a layer; "
                f"{key!r} matches none",
            )


def _fail(multipliers, expected, advice="For example {'backbone': 0.1, 'rpn': 0.2, 'heads': 1.0}."):
    raise ConfigError(f"LR_MULTIPLIERS: expected {expected}, received: LR_MULTIPLIERS={multipliers!r}. {advice}")
