"""Which weights of a model are as they were made, which came from elsewhere, and which have moved."""

import numpy as np
from keras import ops

from mrcnn_plus.diagnosis.experiments.measuring.subject import borrowed
from mrcnn_plus.diagnosis.experiments.outcome import conclude, csv_text
from mrcnn_plus.diagnosis.experiments.weights import AS_MADE, BROKEN, CONSTANT, OTHER, LayerState, Weights
from mrcnn_plus.training.parts import part_of
from mrcnn_plus.training.stages import weighted_layers
from mrcnn_plus.verbose import log
from mrcnn_plus.weights.report import LoadReport

_ONES = ("gamma", "moving_variance")
_LEAST_VALUES = 500  # of a kernel, below which its distribution says nothing


def weights(model, *, against=None, layers=None, loaded=None, run=None, notes=()):
    """The experiment `weights`: what is loaded, random, frozen, and what has moved.

    model: a `MaskRCNN` of either mode. against: a weights file to compare with, such as the one that training started
    from, or an earlier checkpoint. layers: what trains, as for `train`, or a list with one entry for each stage; None
    takes the layers that are trainable now. loaded: the `LoadReport` of `load_weights`, if there is one.

    A layer counts as random if its kernel has the numbers that its initializer draws, or looks like another draw of it,
    and its bias is 0. Returns an `Outcome`.
    """
    with borrowed(model, layers=layers) as probe:
        before = _values(probe) if against is None else _values_of_file(probe, against)
        states = tuple(_state(layer, before.get(layer.name) if against else None) for layer in weighted_layers(probe))
        total = sum(int(np.prod(variable.shape)) for variable in probe.variables if _is_weight(variable))
    result = Weights(
        layers=states,
        parameters=total,
        loaded=_loaded_tensors(loaded),
        loaded_from=loaded.path if isinstance(loaded, LoadReport) else None,
        against=None if against is None else str(against),
        stages=() if layers is None else (layers,) if isinstance(layers, str) else tuple(layers),
        frozen_statistics=model.config.NORMALIZATION == "batch" and model.config.TRAIN_BN is False,
    )
    header = ("layer", "part", "parameters", "trains", "state", "moved")
    rows = [(state.name, state.part, state.parameters, state.trains, state.state, state.moved) for state in states]
    return conclude(result, model.config, run=run, figures={"weights.csv": csv_text(header, rows)}, notes=notes)


def untrained_parts(model):
    """Names of the parts all of whose kernels are as they were made."""
    states = [_state(layer, None) for layer in weighted_layers(model)]
    by_part = {}
    for state in states:
        if state.has_kernel:
            by_part.setdefault(state.part, []).append(state.state == AS_MADE)
    return tuple(part for part, made in by_part.items() if all(made))


def _is_weight(variable):
    return "seed_generator" not in variable.path


def _values(model):
    """`{layer: {weight: array}}`."""
    return {
        layer.name: {variable.name: np.array(ops.convert_to_numpy(variable)) for variable in layer.weights}
        for layer in weighted_layers(model)
    }


def _values_of_file(probe, path):
    """As `_values`, of a file; layers that the file does not have are left out. The model is as before afterwards."""
    before = [(variable, np.array(ops.convert_to_numpy(variable))) for variable in probe.variables]
    try:
        report = probe.load_weights(path, by_name=True, skip_mismatch=True)
        values = _values(probe)
    finally:
        for variable, value in before:
            variable.assign(value)
    if report is None:  # Keras' own formats are loaded whole
        return values
    log(report.headline())
    names = {name.rsplit("/", 1)[-1] for name in report.loaded}
    return {name: value for name, value in values.items() if name in names}


def _state(layer, before):
    """The `LayerState` of a layer. before: its weights at another time by name, or None."""
    now = {variable.name: np.array(ops.convert_to_numpy(variable), np.float32) for variable in layer.weights}
    return LayerState(
        name=layer.name,
        part=part_of(layer.weights[0].path) or "other",
        parameters=sum(value.size for value in now.values()),
        trains=any(variable.trainable for variable in layer.weights),
        has_kernel="kernel" in now,
        state=_kind(layer, now),
        moved=None if before is None else _relative_change(now, before),
    )


def _kind(layer, values):
    if not all(np.isfinite(value).all() for value in values.values()):
        return BROKEN
    kernel = values.get("kernel")
    if kernel is not None and kernel.size > 1 and np.ptp(kernel) == 0:
        return CONSTANT
    return AS_MADE if all(_is_as_made(layer, name, value) for name, value in values.items()) else OTHER


def _is_as_made(layer, name, value):
    """Whether a weight has the values that its initializer gives; an initializer draws the same numbers again."""
    initializer = getattr(layer, f"{name}_initializer", None)
    if initializer is None:  # layers without one start with ones and zeros
        return bool((value == (1.0 if name in _ONES else 0.0)).all())
    made = np.asarray(ops.convert_to_numpy(initializer(value.shape, dtype="float32")))
    return bool(np.array_equal(made, value)) or (name == "kernel" and is_same_draw(value, made))


def is_same_draw(values, made):
    """Whether values look like another draw from the distribution that `made` was drawn from.

    So random weights of a file are told, too. Initializers draw from bounded distributions, and even a short training
    moves some values of thousands beyond the bounds. Few values tell nothing.
    """
    values, made = np.sort(np.abs(values), axis=None), np.sort(np.abs(made), axis=None)
    if values.size < _LEAST_VALUES or made[0] == made[-1] or values[-1] > made[-1] * (1 + 10 / values.size):
        return False
    # Kolmogorov and Smirnov: the largest distance of the two distributions, which 1 of 1,000 draws exceeds.
    shares = np.searchsorted(made, values) / made.size
    distance = np.abs(shares - np.arange(values.size) / values.size).max()
    return bool(distance < 1.95 * np.sqrt(2 / values.size))


def _relative_change(now, before):
    """Length of the change over the length of what was there, of all weights of a layer together."""
    change = sum(float(np.square(value - before[name]).sum()) for name, value in now.items())
    length = sum(float(np.square(before[name], dtype=np.float64).sum()) for name in now)
    return float(np.sqrt(change) / max(np.sqrt(length), 1e-12))


def _loaded_tensors(report):
    """`(loaded, all)` tensors of a `LoadReport`; None without one."""
    return (report.tensors_loaded, report.tensors_total) if isinstance(report, LoadReport) else None
