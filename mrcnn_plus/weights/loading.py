"""Load a weights file into a Keras model by name, tensor by tensor, and prove that it arrived.

Matterport's loader on current TensorFlow loads nothing and says nothing; networks trained from scratch unnoticed. So:
everything is checked before the first assignment, every assigned variable is compared with the file afterwards, and a
report tells the rest.
"""

import difflib

import numpy as np

from mrcnn_plus.errors import WeightsError
from mrcnn_plus.weights import fit_checks
from mrcnn_plus.weights.file_format import as_path, detect_format
from mrcnn_plus.weights.matching import match_trees, shapes_of
from mrcnn_plus.weights.matterport_h5 import file_tree, read_layout, read_tensors
from mrcnn_plus.weights.names import WEIGHTLESS_LAYERS, has_mask_rcnn_heads, to_matterport
from mrcnn_plus.weights.report import LoadReport, SkippedLayer
from mrcnn_plus.weights.tensor_tree import model_tree


def load_weights(model, path, *, by_name=True, exclude=(), on_mismatch="error"):
    """Assign the weights of a file in Matterport's layout to a Keras model.

    model: a functional `keras.Model` whose layers carry Matterport's names.
    path: an .h5 file of Matterport's code, a fork, Keras 2 or tf.keras: a whole Mask R-CNN or an ImageNet backbone.
    by_name: True loads the layers that file and network share. False demands that they have the same layers; then every
        difference is an error. As in Matterport, `exclude` implies True.
    exclude: names of layers to leave alone, or one name; that of a nested model stands for all of its layers. A name
        that neither the file nor the network has is an error.
    on_mismatch: what becomes of a layer that differs in shape. "error" (for detection) raises; "keep" (for training)
        leaves it at the values it has and lists it in the report.

    Returns a `LoadReport`. Raises WeightsError if the file is broken, belongs to another network, holds values that are
    not finite or does not fit; the model is unchanged then.
    """
    if on_mismatch not in ("error", "keep"):
        raise ValueError(f"load_weights: expected on_mismatch='error' or 'keep', received: on_mismatch={on_mismatch!r}")
    path = as_path(path)
    exclude = _excluded_names(exclude)
    layout = _read_matterport_layout(path)
    file_root, model_root = file_tree(layout), model_tree(model)
    file, network = fit_checks.side_of(file_root), fit_checks.side_of(model_root)
    _check_exclude(path, exclude, model, network, file, layout)
    matching = match_trees(model_root, file_root)

    wanted = [layer for layer in matching.layers if not _is_excluded(layer, exclude)]
    report = _start_report(path, matching, wanted, file)
    chosen = _choose_layers(
        path, matching, wanted, file, network, report, by_name=by_name or bool(exclude), on_mismatch=on_mismatch
    )
    pairs = [
        (f"{layer.name}/{kind}", variable, layer.file[kind])
        for layer in chosen
        for kind, variable in layer.model.items()
    ]
    values = read_tensors(path, [tensor for _, _, tensor in pairs])
    _check_finite(path, pairs, values)

    for _, variable, tensor in pairs:
        variable.assign(values[tensor.address])
    _verify(path, pairs, values)

    report.loaded = [layer.name for layer in chosen]
    report.tensors_loaded = len(pairs)
    names = set(report.loaded)
    report.initial = [layer.name for layer in matching.layers if layer.name not in names]
    report.notes += _closing_notes(report, matching, layout, on_mismatch)
    return report


def class_count(path):
    """Number of classes with background that a file's class head was trained for, or None if it has no class head."""
    return fit_checks.side_of(file_tree(_read_matterport_layout(as_path(path)))).classes


def _read_matterport_layout(path):
    if detect_format(path) != "matterport":
        raise WeightsError(
            f"Weights file {path!r} is in Keras 3's own format, which Keras loads itself: use "
            "keras_model.load_weights(path)."
        )
    layout = read_layout(path)
    if layout.backend == "theano":
        raise WeightsError(
            f"Weights file {path!r} was written for Theano (backend='theano'), whose convolution kernels are mirrored. "
            "Use the file of the same network for TensorFlow; such names end in '_tf_kernels.h5' or "
            "'_tf_kernels_notop.h5'."
        )
    return layout


def _start_report(path, matching, wanted, file):
    wanted_names = {layer.name for layer in wanted}
    return LoadReport(
        path=path,
        description=file.describe(),
        file_classes=file.classes,
        excluded=[layer.name for layer in matching.layers if layer.name not in wanted_names],
        missing=[layer.name for layer in wanted if layer.file is None],
        unused=["/".join(path_[:-1] + (node.source,)) for path_, node in matching.unused],
        tensors_total=sum(len(layer.model) for layer in matching.layers),
    )


def _choose_layers(path, matching, wanted, file, network, report, *, by_name, on_mismatch):
    """The layers to load; the others go into the report. Raises WeightsError if the file fits less than asked for."""
    fitting = [layer for layer in wanted if layer.fits]
    misfits = [layer for layer in wanted if layer.file is not None and not layer.fits]
    used = sum(len(layer.file) for layer in fitting)
    left_out = sum(len(layer.model) for layer in matching.layers) - sum(len(layer.model) for layer in wanted)
    fit_checks.check_same_network(path, file, network, used + left_out, used)
    if not by_name:
        fit_checks.check_strict(path, matching, file, network)
    depth_note = fit_checks.check_depth(path, file, network, on_mismatch)
    if depth_note:
        report.notes.append(depth_note)
    if on_mismatch == "error":
        fit_checks.check_shapes(path, file, network, misfits)
        fit_checks.check_nothing_missing(path, file, [layer for layer in wanted if layer.file is None])
    report.skipped = [
        SkippedLayer(layer.name, fit_checks.misfit_reason(layer), shapes_of(layer.file), shapes_of(layer.model))
        for layer in misfits
    ]
    return fitting


def _is_excluded(layer, exclude):
    names = {layer.name, *layer.path}
    return bool(names & exclude) or bool(names & {to_matterport(name) for name in exclude})


def _excluded_names(exclude):
    names = {exclude} if isinstance(exclude, str) else set(exclude or ())
    if not all(isinstance(name, str) for name in names):
        raise WeightsError(
            f"load_weights: expected names of layers in exclude, received: exclude={exclude!r}. Give for example "
            "exclude=['mrcnn_class_logits', 'mrcnn_bbox_fc', 'mrcnn_mask']."
        )
    return names


def _check_exclude(path, exclude, model, network, file, layout):
    """Raise WeightsError for a name in `exclude` that is no layer of the file or the network: it would be loaded."""
    known = {layer.name for layer in (*model.layers, *layout.layers)} | network.names | file.names | WEIGHTLESS_LAYERS
    for name in sorted(exclude):
        if not {name, to_matterport(name), name.rsplit("/", 1)[-1]} & known:
            similar = difflib.get_close_matches(name, sorted(known), n=3)
            hint = f"Did you mean {' or '.join(map(repr, similar))}?" if similar else "Correct it or leave it out."
            raise WeightsError(
                f"Weights file {path!r}: expected names of layers in exclude, received: {name!r}, which neither the "
                f"file nor the network has, so the layer that was meant would be loaded. {hint}"
            )


def _check_finite(path, pairs, values):
    bad = [name for name, _, tensor in pairs if not np.all(np.isfinite(values[tensor.address]))]
    if bad:
        raise WeightsError(
            f"Weights file {path!r} holds values that are not finite (nan or inf) in {len(bad)} tensors, {bad[0]!r} "
            "first: the training that wrote it had diverged. Load an earlier checkpoint, or name the layers in "
            "exclude=[...]."
        )


def _verify(path, pairs, values):
    """Compare the variables with the file, in the precision of the variable. Raises WeightsError if one differs."""
    different = []
    for name, variable, tensor in pairs:
        actual = np.asarray(variable)
        if not np.array_equal(actual, values[tensor.address].astype(actual.dtype)):
            different.append(name)
    if different:
        raise WeightsError(
            f"After loading {path!r}, {len(different)} of {len(pairs)} variables differ from the file, "
            f"{different[0]!r} first. The model is not usable; build it anew and load again, and report this with the "
            "versions of Keras and its backend."
        )


def _closing_notes(report, matching, layout, on_mismatch):
    notes = []
    if matching.renamed:
        notes.append(
            f"{matching.renamed} layers with names made up by Keras were paired in their order; give them names to "
            "load them by name"
        )
    constants = ["/".join(path) for path, node in matching.unused if fit_checks.is_constant(node)]
    if constants:
        notes.append(
            f"{', '.join(constants)} of the file is a constant of the network that was trained (its anchors), not a "
            "weight"
        )
    if layout.keras_version in ("", "1") and "mrcnn_mask_deconv" in report.loaded:
        notes.append("the file does not say which Keras wrote it; its kernels were taken as Keras 2 has them")
    if on_mismatch == "error" and report.initial:
        heads = "" if has_mask_rcnn_heads(set(report.loaded)) else " (the heads among them)"
        notes.append(f"detection would use {len(report.initial)} layers{heads} that did not come from this file")
    return notes
