"""A training step that went wrong: told in words, kept in a file, and repeated from it (`mrcnn-plus replay`).

The file `failed_step_e0003_s0012.npz` is a NumPy archive: `batch/<input>`, `weights/0000`, ... (in the order of the
model's variables), and `facts`, a text in JSON with the settings, the layers that trained, and what was seen.
"""

import json
import math
import os
import zipfile
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from mrcnn_plus.atomic_files import replacing
from mrcnn_plus.config import Config
from mrcnn_plus.config_record import plain_settings
from mrcnn_plus.constants import LOSS_NAMES
from mrcnn_plus.errors import ConfigError
from mrcnn_plus.network.assembly import Network
from mrcnn_plus.training.model import make_training_model
from mrcnn_plus.training.optimizers import NORM_NAMES, GuardedOptimizer
from mrcnn_plus.training.stages import weighted_layers

_FORMAT = 1


class NonFiniteError(ArithmeticError):
    """Training was stopped because a loss or a gradient was not finite. facts: what was seen, see `StepGuard`."""

    def __init__(self, message, facts=None):
        super().__init__(message)
        self.facts = {} if facts is None else facts


def save_failed_step(log_dir, model, config, batch, facts):
    """Write the file for `replay` and return its path. Raises OSError."""
    path = os.path.join(log_dir, f"failed_step_e{facts['epoch']:04d}_s{facts['step']:04d}.npz")
    facts = {**facts, "format": _FORMAT, "settings": plain_settings(config)}
    facts["trainable"] = [layer.name for layer in weighted_layers(model) if layer.trainable]
    arrays = {f"batch/{name}": value for name, value in batch.items()}
    arrays |= {f"weights/{row:04d}": ops.convert_to_numpy(variable) for row, variable in enumerate(model.variables)}
    with replacing(path) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, facts=np.array(json.dumps(facts)), **arrays)
    return path


def describe_failure(facts, batch, path):
    """The report: which loss, which images, ranges of the batch, learning rate, gradient norm by part, what to do."""
    losses = {name: value for name, value in facts["losses"].items() if name in LOSS_NAMES}
    bad = [name for name, value in losses.items() if not math.isfinite(value)]
    norms = facts["gradient_norms"]
    bad_parts = [name for name, value in norms.items() if not math.isfinite(value) and name != "gradient_norm"]
    if bad:
        what = f"{' and '.join(bad)} {'is' if len(bad) == 1 else 'are'} not finite"
    elif not math.isfinite(facts["losses"]["loss"]):
        what = "the total of the losses is not finite, though each of the five is (the L2 term is not, or it overflows)"
    else:
        what = "the losses are finite, but their gradient is not"
    lines = [
        f"Training stopped in epoch {facts['epoch']}, step {facts['step']}: {what}. The weights are those before it.",
        "  losses: " + ", ".join(f"{name} {value:.4g}" for name, value in losses.items()),
        "  gradient norms: " + ", ".join(f"{name[14:] or 'all'} {value:.4g}" for name, value in norms.items()),
        f"  learning rate: {facts['learning_rate']:.4g}",
        *(f"  {image}" for image in facts["images"]),
        *(f"  {line}" for line in describe_batch(batch)),
    ]
    if bad_parts and not bad:
        lines.append(f"  gradients that are not finite: {', '.join(name[14:] for name in bad_parts)}")
    if path is not None:
        lines.append(f"  The step is kept for `mrcnn-plus replay {path}`, which names the layer where it began.")
    lines.append(_advice(facts, batch))
    return "\n".join(lines)


def describe_batch(batch):
    """Lines with the ranges of what a batch holds."""
    pixels, class_ids, boxes = batch["input_image"], batch["input_gt_class_ids"], batch["input_gt_boxes"]
    used = class_ids != 0
    sides = (boxes[..., 2:] - boxes[..., :2])[used]
    yield f"pixels, mean subtracted: {_range(pixels)}"
    yield f"objects: {[int(number) for number in used.sum(axis=1)]}, class ids {sorted(set(class_ids[used].tolist()))}"
    if sides.size:
        yield f"boxes: {_range(boxes[used])} pixels, sides {_range(sides)}"
        covered = batch["input_gt_masks"].any(axis=(1, 2))[used]
        if not covered.all():
            yield f"masks: {int((~covered).sum())} without a pixel"


def _range(values):
    finite = np.isfinite(values)
    text = f"{values[finite].min():.4g} to {values[finite].max():.4g}" if finite.any() else "none finite"
    return text if finite.all() else f"{text}, and {int((~finite).sum())} values that are not finite"


def _advice(facts, batch):
    if not np.isfinite(batch["input_image"]).all():
        return "The images hold values that are not finite: mend load_image or the augmentation."
    if facts["skipped"] > 1:
        return "float16 found no scale at which gradients are finite: use PRECISION='mixed_bfloat16' or 'float32'."
    return (
        "Most often the learning rate is too high for this stage: a tenth of it, WARMUP_STEPS, and "
        "GRADIENT_CLIP_BY='global' help. train(..., resume=True) goes on from the last checkpoint."
    )


class Replay(NamedTuple):
    """What a repeated step showed.

    facts: of the step as it was: epoch, step, losses, gradient_norms, learning_rate, images, settings. batch: its
    arrays. losses, gradient_norms: by name, of the repetition. first_layer: name of the first layer, in the order of
    the graph, with an output that is not finite, or None.
    """

    facts: dict
    batch: dict
    losses: dict[str, float]
    gradient_norms: dict[str, float]
    first_layer: str | None

    @property
    def is_finite(self):
        """Whether all losses and gradients of the repetition are finite."""
        return all(map(math.isfinite, (*self.losses.values(), *self.gradient_norms.values())))


def load_failed_step(path):
    """`(facts, batch, weights)` from a file of `save_failed_step`. Raises ValueError if it is none."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            facts = json.loads(str(archive["facts"]))
            batch = {name[6:]: archive[name] for name in archive.files if name.startswith("batch/")}
            weights = [archive[name] for name in sorted(archive.files) if name.startswith("weights/")]
        if facts["format"] != _FORMAT:
            raise ValueError("written by another version")
    except (ValueError, KeyError, zipfile.BadZipFile, EOFError) as error:
        raise ValueError(
            f"replay: expected a file failed_step_*.npz that a stopped training wrote, received: {os.fspath(path)!r} "
            f"({error})."
        ) from error
    return facts, batch, weights


def replay(path, config=None):
    """Repeat the step of a file once, forward and backward, without changing anything; returns a `Replay`.

    config: the `Config` of the run, needed only if it holds functions (a BACKBONE of one's own), which the file cannot.
    """
    facts, batch, weights = load_failed_step(path)
    config = _config_of(facts["settings"]) if config is None else config
    model = make_training_model(Network(config), config)
    _assign(model, weights, facts, path)
    first_layer = _first_layer_not_finite(model, batch)
    _assign(model, weights, facts, path)  # random generators have moved on
    optimizer = GuardedOptimizer(keras.optimizers.SGD(0.0), initial_scale=1.0)
    model.compile(optimizer=optimizer, jit_compile=False)
    optimizer.build(model.trainable_variables)
    results = model.train_on_batch(batch, return_dict=True)
    norms = ops.convert_to_numpy(optimizer.gradient_norms)[0].tolist()
    losses = {name: float(value) for name, value in results.items()}
    return Replay(facts, batch, losses, dict(zip(NORM_NAMES, norms, strict=True)), first_layer)


def _config_of(settings):
    """A `Config` with stored settings."""
    config = Config()
    derived = ("BATCH_SIZE", "IMAGE_META_SIZE", "IMAGE_SHAPE")
    for name, value in settings.items():
        if isinstance(value, str) and value.startswith("<") and name in ("BACKBONE", "COMPUTE_BACKBONE_SHAPE"):
            raise ConfigError(
                f"replay: {name} of the run is {value}, which the file cannot hold. Call "
                "mrcnn_plus.training.failed_step.replay(path, config=...) from Python with that configuration."
            )
        if hasattr(config, name) and name not in derived:
            default = getattr(config, name)
            setattr(config, name, np.array(value) if isinstance(default, np.ndarray) else value)
    if list(config.IMAGE_SHAPE) != settings["IMAGE_SHAPE"]:
        config.IMAGE_SHAPE = settings["IMAGE_SHAPE"]
    return config


def _assign(model, weights, facts, path):
    variables = model.variables
    if [tuple(variable.shape) for variable in variables] != [value.shape for value in weights]:
        raise ConfigError(
            f"replay: expected the configuration that the model of {os.fspath(path)!r} was built from, received one "
            f"that makes {len(variables)} variables with other shapes; the file has {len(weights)}."
        )
    for layer in weighted_layers(model):
        layer.trainable = layer.name in facts["trainable"]
    for variable, value in zip(variables, weights, strict=True):
        variable.assign(value)


def _first_layer_not_finite(model, batch):
    """Name of the first layer, in the order in which they run, with an output that is not finite, or None."""
    found = []

    def checked(layer):
        original = layer.call

        def call(*args, **kwargs):
            outputs = original(*args, **kwargs)
            if not all(_is_finite(output) for output in keras.tree.flatten(outputs)):
                found.append(layer.name)
            return outputs

        return call

    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    try:
        for layer in layers:
            layer.call = checked(layer)
        batch = {name: ops.convert_to_tensor(value) for name, value in batch.items()}
        getattr(model, "call_layer_by_layer", model)(batch, training=True)
    finally:
        for layer in layers:
            vars(layer).pop("call", None)
    return found[0] if found else None


def _is_finite(values):
    values = ops.convert_to_numpy(values)
    return values.dtype.kind in "biu" or bool(np.isfinite(values.astype("float32")).all())
