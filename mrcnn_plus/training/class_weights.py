"""Weights of the classes in the loss, against data sets where one class has most of the instances.

A table has a weight for each class with background. Over the instances of the data set the weights have the mean 1, so
the class loss keeps its size and the learning rate its meaning; what changes is how it is shared among the classes. The
background is left out of that: it has weight 1 unless it is given another one, and `ROI_POSITIVE_WEIGHT` raises
objects against it.

- 'balanced': 1 / n, n the instances of the class. Every class has the same share of the loss.
- 'effective': (1 - beta) / (1 - beta ** n), the effective number of samples (Cui et al., arXiv 1901.05555, equation 2).
  Between no weights (beta = 0) and 'balanced' (beta near 1): instances beyond about 1 / (1 - beta) add nothing new.
- a dict {class name or id: weight}; the key "*" stands for all classes that are not named.
"""

import csv
import difflib
import numbers
import os
from typing import NamedTuple

import numpy as np

from mrcnn_plus.errors import ConfigError

MODES = ("balanced", "effective")
OTHERS = "*"
FILE = "class_weights.csv"


class ClassWeight(NamedTuple):
    """A row of the table: the background is class 0."""

    class_id: int
    name: str
    instances: int
    weight: float


def class_weight_table(setting, class_names, instances, *, beta=0.999):
    """A list of `ClassWeight`, one for each class with background, or None for the setting None.

    setting: `CLASS_WEIGHTS`. class_names: of all classes, the background first. instances: int `[C]`, how many the
    training data have. beta: `CLASS_WEIGHTS_BETA`, for 'effective'. 'balanced' and 'effective' give weight 1 to a class
    without instances: nothing to train on depends on it, and validation counts it once.
    Raises ConfigError for a setting that does not fit the classes.
    """
    if setting is None:
        return None
    instances = np.asarray(instances, float)
    if isinstance(setting, dict):
        weights = _given_weights(setting, class_names)
    elif isinstance(setting, str) and setting in MODES:
        weights = _weights_of_counts(setting, instances, beta)
    else:
        raise ConfigError(
            f"CLASS_WEIGHTS: expected None, 'balanced', 'effective' or a dict {{class name or id: weight}}, received: "
            f"CLASS_WEIGHTS={setting!r}. A dict is checked against the names; a list is not taken, because its order "
            "is easily wrong."
        )
    objects = slice(1, None)
    present = instances[objects] > 0
    if present.any():  # classes without instances are no part of any mean
        rescaled = weights[objects] * (instances[objects].sum() / (instances[objects] * weights[objects]).sum())
        weights[objects] = rescaled if isinstance(setting, dict) else np.where(present, rescaled, 1.0)
    return [
        ClassWeight(class_id, str(name), int(count), float(weight))
        for class_id, (name, count, weight) in enumerate(zip(class_names, instances, weights, strict=True))
    ]


def _weights_of_counts(mode, instances, beta):
    """Weights up to a common factor, float64 `[C]`."""
    if not isinstance(beta, numbers.Real) or not 0 <= beta < 1:
        raise ConfigError(
            f"CLASS_WEIGHTS_BETA: expected a number from 0 to below 1, received: CLASS_WEIGHTS_BETA={beta!r}. "
            "The paper uses 0.9, 0.99, 0.999 and 0.9999; nearer to 1 is nearer to 'balanced'."
        )
    counts = np.maximum(instances, 1.0)
    weights = 1.0 / counts if mode == "balanced" else (1.0 - beta) / (1.0 - np.power(beta, counts))
    weights[0] = 1.0
    return weights


def _given_weights(setting, class_names):
    """The weights of a dict in the order of the classes, float64 `[C]`."""
    names = [str(name) for name in class_names]
    weights = np.full(len(names), np.nan)
    for key, weight in setting.items():
        if not isinstance(weight, numbers.Real) or isinstance(weight, bool) or not 0 < weight < float("inf"):
            raise ConfigError(
                f"CLASS_WEIGHTS: expected a number above 0 for class {key!r}, received: CLASS_WEIGHTS[{key!r}]="
                f"{weight!r}. A class of weight 0 would never be learnt; leave it out of the data set instead."
            )
        for class_id in _classes_of(key, names):
            if not np.isnan(weights[class_id]) and weights[class_id] != weight:
                raise ConfigError(
                    f"CLASS_WEIGHTS: expected one weight for class {class_id} ({names[class_id]!r}), received both "
                    f"{weights[class_id]:g} and {weight:g}. Give it by name or by id, not by both."
                )
            weights[class_id] = weight
    missing = np.flatnonzero(np.isnan(weights[1:])) + 1
    if len(missing) and OTHERS not in setting:
        listed = ", ".join(f"{names[class_id]!r}" for class_id in missing[:10]) + (", ..." if len(missing) > 10 else "")
        raise ConfigError(
            f"CLASS_WEIGHTS: expected a weight for every class, received none for {len(missing)} of "
            f"{len(names) - 1}: {listed}. Add them, or '*': 1.0 for all that are not named."
        )
    weights[missing] = setting.get(OTHERS, 1.0)
    return np.where(np.isnan(weights), 1.0, weights)  # left is the background


def _classes_of(key, names):
    """The ids of the classes that a key of the dict means; none for the key of all others."""
    if isinstance(key, str):
        if key == OTHERS:
            return []
        found = [class_id for class_id, name in enumerate(names) if name == key]
        if found:
            return found
        known = {name.lower(): name for name in names}
        nearest = difflib.get_close_matches(key.lower(), known, n=3, cutoff=0.5)
        hint = f" Nearest: {', '.join(repr(known[name]) for name in nearest)}." if nearest else ""
        shown = ", ".join(map(repr, names[:10])) + (", ..." if len(names) > 10 else "")
        raise ConfigError(
            f"CLASS_WEIGHTS: expected names of classes of the data set ({shown}), received the key {key!r}.{hint}"
        )
    if not isinstance(key, numbers.Integral) or isinstance(key, bool) or not 0 <= key < len(names):
        raise ConfigError(
            f"CLASS_WEIGHTS: expected names of classes or ids from 0 to {len(names) - 1}, received the key {key!r}. "
            "Ids are counted in the order of add_class, 0 is the background."
        )
    return [int(key)]


def format_table(table):
    """The table as text, a line for each class."""
    width = max(len("class"), *(len(row.name) for row in table))
    lines = [f"{'id':>4}  {'class':{width}}  {'instances':>9}  {'weight':>8}"]
    return "\n".join(
        lines + [f"{row.class_id:4}  {row.name:{width}}  {row.instances:9}  {row.weight:8.4f}" for row in table]
    )


def write_table(table, log_dir):
    """Write the table to `class_weights.csv` in the folder of the run, and return the path."""
    os.makedirs(log_dir, exist_ok=True)
    path = os.path.join(log_dir, FILE)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(ClassWeight._fields)
        writer.writerows(table)
    return path
