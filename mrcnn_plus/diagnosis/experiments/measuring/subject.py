"""What experiments work on: the layers of a user's `MaskRCNN`, left as they were, and images of a data set."""

import contextlib
import copy
from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from mrcnn_plus.config_values import detection_resize_settings
from mrcnn_plus.constants import LAYER_PRESETS, LOSS_NAMES
from mrcnn_plus.data.dataset import check_prepared
from mrcnn_plus.data.ground_truth import GroundTruth, load_ground_truth
from mrcnn_plus.errors import ConfigError, DatasetError
from mrcnn_plus.geometry.boxes import norm_boxes
from mrcnn_plus.geometry.molding import mold_image
from mrcnn_plus.inference.inputs import pad_to_step
from mrcnn_plus.training.fitting import batch_builder
from mrcnn_plus.training.model import L2_NAME, make_training_model
from mrcnn_plus.training.optimizers import NORM_NAMES, GuardedOptimizer
from mrcnn_plus.training.stages import set_trainable, weighted_layers


@contextlib.contextmanager
def borrowed(model, *, layers=None):
    """A `TrainingModel` on the layers of a `MaskRCNN` of either mode, not compiled, for the length of a `with`.

    layers: what trains, as for `train`, or a list of such, for all of them together; None leaves it as it is.
    Afterwards all weights, random numbers and what trains are as before, whatever was done; what the `MaskRCNN` itself
    was compiled with is never touched. Raises ConfigError for a model that has no network of ours.
    """
    network = network_of(model)
    training_settings = network.training_settings
    with getattr(model.keras_model, "devices", _ONE_DEVICE).building():
        probe = make_training_model(network, model.config)
    flags = [(layer, layer.trainable) for layer in weighted_layers(probe)]
    values = [(variable, np.array(ops.convert_to_numpy(variable))) for variable in probe.variables]
    try:
        if layers is not None:
            set_trainable(probe, joined_layers(layers))
        yield probe
    finally:
        for variable, value in values:
            variable.assign(value)
        for layer, trainable in flags:
            layer.trainable = trainable
        network.training_settings = training_settings


class _OneDevice:
    def building(self):
        return contextlib.nullcontext()


_ONE_DEVICE = _OneDevice()


def network_of(model):
    """The `Network` of a `MaskRCNN`; ConfigError without one, or if settings of its layers have changed."""
    network = getattr(model.keras_model, "network", None)
    if network is None:
        raise ConfigError(
            "experiment: expected a keras_model made by MaskRCNN, received one that the program set itself, whose "
            "graph is not known. Build a MaskRCNN and load the weights into it."
        )
    network.settings.require_unchanged(model.config, "experiment")
    return network


def joined_layers(layers):
    """One regular expression for what several stages train. layers: a preset or expression, or a list of them."""
    names = [layers] if isinstance(layers, str) else list(dict.fromkeys(layers))
    return names[0] if len(names) == 1 else "|".join(f"(?:{LAYER_PRESETS.get(name, name)})" for name in names)


def detection_graph(model, **settings):
    """A new Keras model that detects with the layers of a `MaskRCNN`, with other settings of detection.

    Outputs as of `Network.detection_graph`. The graph that the `MaskRCNN` detects with stays.
    """
    config = copy.copy(model.config)
    for name, value in settings.items():
        setattr(config, name, value)
    return keras.Model(*network_of(model).detection_graph(config))


def detect_outputs(graph, model, images, metas):
    """Outputs of a `detection_graph` as arrays, for molded images `[B, H, W, channels]` of one shape."""
    anchors = model.get_anchors(images.shape[1:])
    anchors = np.broadcast_to(anchors, (len(images), *anchors.shape))
    values = graph.predict_on_batch([images, np.asarray(metas, np.float32), anchors])
    values = values if isinstance(values, list | tuple) else [values]  # Keras unwraps a single output
    return [ops.convert_to_numpy(value) for value in values]


# ---- images --------------------------------------------------------------------------------------------------------


def choose_images(dataset, count, *, seed=0, with_objects=True):
    """Ids of `count` images chosen by `seed`, in order, or of fewer where there are not as many that will do.

    with_objects: only images with an instance of a class whose mask is not empty. Raises DatasetError if there is none.
    """
    check_prepared(dataset)
    chosen = []
    for image_id in np.random.default_rng(seed).permutation(dataset.image_ids).tolist():
        if len(chosen) == count:
            break
        if not with_objects or _has_objects(dataset, image_id):
            chosen.append(image_id)
    if not chosen:
        raise DatasetError(
            f"experiment: expected a data set with objects, received {type(dataset).__name__} with "
            f"{len(dataset.image_ids)} images, none of which has one with a pixel in its mask. `mrcnn-plus lint` says "
            "why."
        )
    return sorted(chosen)


def _has_objects(dataset, image_id):
    try:
        masks, class_ids = map(np.asarray, dataset.load_mask(image_id))
        return bool(masks[..., class_ids > 0].any())
    except Exception:  # loading it for the experiment names the image and says what is wrong
        return True


def image_names(dataset, image_ids):
    """What to call images: the name of the file, or the id."""
    infos = [dataset.image_info[image_id] for image_id in image_ids]
    return tuple(str(info.get("path") or f"image {info['id']}").replace("\\", "/").split("/")[-1] for info in infos)


def build_batch(config, dataset, image_ids, *, augmentation=None, no_augmentation_sources=(), seed=0):
    """One training batch with exactly these images, as the dict of `data.batches`."""
    builder = batch_builder(
        *(dataset, config),
        shuffle=False,
        use_negative_images=True,
        augmentation=augmentation,
        no_augmentation_sources=no_augmentation_sources or (),
        seed=seed,
    )
    places = {int(image_id): place for place, image_id in enumerate(dataset.image_ids)}
    return builder.build([places[int(image_id)] for image_id in image_ids])


class MoldedTruth(NamedTuple):
    """An image as detection takes it, with its objects (no crowds); boxes and masks in pixels of the molded image."""

    image_id: int
    image: np.ndarray  # float32 [H, W, channels], molded
    meta: np.ndarray  # [12 + C]
    picture: np.ndarray  # [H, W, channels], before the mean was subtracted
    class_ids: np.ndarray  # int32 [G]
    boxes_px: np.ndarray  # int32 [G, (y1, x1, y2, x2)]
    masks: np.ndarray  # bool [H, W, G]

    @property
    def boxes_norm(self):
        return norm_boxes(self.boxes_px, self.image.shape[:2])


def load_truth(config, dataset, image_id):
    """The `MoldedTruth` of an image. Raises DatasetError that names it if it cannot be loaded."""
    truth: GroundTruth = load_ground_truth(
        *(dataset, image_id), resize=detection_resize_settings(config), channels=config.IMAGE_CHANNEL_COUNT
    )
    objects = truth.class_ids > 0
    picture = pad_to_step(truth.image)
    masks = np.zeros((*picture.shape[:2], int(objects.sum())), bool)
    masks[: truth.image.shape[0], : truth.image.shape[1]] = truth.masks[..., objects]
    meta = truth.meta.astype(np.float32)
    meta[4:7] = picture.shape
    return MoldedTruth(
        int(image_id),
        mold_image(picture, config.MEAN_PIXEL),
        meta,
        picture,
        truth.class_ids[objects],
        truth.boxes_px[objects],
        masks,
    )


# ---- steps ---------------------------------------------------------------------------------------------------------


def compile_without_moving(probe, config):
    """Compile a borrowed model so that a step computes losses and gradients and moves no weight.

    Without L2: its gradient, small as it is, would hide that the losses have none.
    """
    optimizer = GuardedOptimizer(keras.optimizers.SGD(0.0), initial_scale=1.0)
    probe.weight_decay = 0.0
    probe.compile(optimizer=optimizer, jit_compile="auto" if config.JIT_COMPILE is None else config.JIT_COMPILE)
    optimizer.build(probe.trainable_variables)


def take_step(probe, batch):
    """One training step of a compiled model: `(losses, gradient norms)`, both by name."""
    probe.reset_metrics()
    results = probe.train_on_batch(batch, return_dict=True)
    norms = ops.convert_to_numpy(probe.optimizer.gradient_norms)[0].tolist()
    return losses_of(results), dict(zip(NORM_NAMES, norms, strict=True))


def losses_without_training(probe, batch):
    """The losses of a batch as in validation, by name."""
    probe.reset_metrics()
    return losses_of(probe.test_on_batch(batch, return_dict=True))


def losses_of(results):
    """The total, the five and the L2 term, as floats by name."""
    return {name: float(results[name]) for name in ("loss", *LOSS_NAMES, L2_NAME)}
