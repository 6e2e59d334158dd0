"""Runs `fit`: compiles the step, makes the batches, writes logs and checkpoints."""

import functools
import logging

import keras

from mrcnn_plus.config_values import mini_mask_shape, resize_settings
from mrcnn_plus.data.batches import BatchBuilder
from mrcnn_plus.data.class_counts import class_ids_by_image, count_instances
from mrcnn_plus.data.sampling import make_stream
from mrcnn_plus.errors import DatasetError
from mrcnn_plus.training import class_weights
from mrcnn_plus.training.callbacks.checkpoint import WeightsCheckpoint
from mrcnn_plus.training.callbacks.logs import log_callbacks
from mrcnn_plus.training.input_pipeline import BatchSequence, FollowEpochs, steps_to_cover, with_free_image_size
from mrcnn_plus.training.loss_balancing import BalanceLog
from mrcnn_plus.training.loss_options import LossOptions
from mrcnn_plus.training.optimizers import build_optimizer, decays_weights

logger = logging.getLogger(__name__)


def compile_model(model, config, learning_rate, momentum):
    """Compile a `TrainingModel` with a new optimizer: its state starts anew at every stage, as in Matterport."""
    optimizer = build_optimizer(
        config.OPTIMIZER,
        learning_rate,
        momentum=momentum,
        clip_norm=config.GRADIENT_CLIP_NORM,
        weight_decay=config.WEIGHT_DECAY,
    )
    model.loss_weights = dict(config.LOSS_WEIGHTS)
    model.weight_decay = 0.0 if decays_weights(optimizer) else config.WEIGHT_DECAY
    model.loss_options = LossOptions.from_config(config)
    model.loss_balancing = config.LOSS_BALANCING
    if config.PRECISION == "mixed_float16":  # small gradients would be 0 in float16
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    # "auto" is Keras' own choice: XLA on accelerators and on JAX, plain graphs on a CPU with TensorFlow, where
    # compiling ResNet-101 at 1024 x 1024 takes half a minute and gains a tenth.
    model.compile(optimizer=optimizer, jit_compile="auto" if config.JIT_COMPILE is None else config.JIT_COMPILE)
    # TensorFlow traces a step twice if variables are made in it; this halves the time to the first step.
    optimizer.build(model.trainable_variables)


def fit(
    model,
    config,
    train_dataset,
    val_dataset,
    *,
    first_epoch,
    epochs,
    checkpoint_path,
    log_dir,
    augmentation=None,
    custom_callbacks=(),
    no_augmentation_sources=(),
):
    """Train a compiled `TrainingModel` up to epoch `epochs`; returns the number of epochs trained in all.

    An epoch is `STEPS_PER_EPOCH` batches of a stream that shows every image once before any image twice, or images with
    rare classes more often (`SAMPLER`). Validation
    walks the whole of `val_dataset` in order, or the first `VALIDATION_STEPS` batches if the configuration sets that.
    """
    if epochs <= first_epoch:
        logger.warning(
            "Nothing to train: epochs=%d is the epoch to stop after, and %d are trained already. Give epochs=%d "
            "for one more.",
            epochs,
            first_epoch,
            first_epoch + 1,
        )
        return first_epoch
    sequence = _training_sequence(
        train_dataset, config, first_epoch, augmentation=augmentation, no_augmentation_sources=no_augmentation_sources
    )
    validation = None if val_dataset is None else _validation_sequence(val_dataset, config)
    model.loss_options = model.loss_options.with_weights(_class_weights(train_dataset, config, log_dir))
    if isinstance(custom_callbacks, keras.callbacks.Callback):
        custom_callbacks = [custom_callbacks]
    balance = [BalanceLog(log_dir, first_epoch)] if model.loss_balancing == "uncertainty" else []
    files = [*balance, *log_callbacks(log_dir), WeightsCheckpoint(checkpoint_path)]
    callbacks = [FollowEpochs(sequence), *files, *custom_callbacks]
    if config.IMAGE_RESIZE_MODE in ("none", "pad64"):
        sequence = with_free_image_size(sequence, model)
        validation = validation and with_free_image_size(validation, model)
    history = model.fit(
        sequence,
        initial_epoch=first_epoch,
        epochs=epochs,
        validation_data=validation,
        callbacks=callbacks,
        shuffle=False,  # the image stream has its own order
    )
    return history.epoch[-1] + 1 if history.epoch else first_epoch


def _class_weights(dataset, config, log_dir):
    """The table of `CLASS_WEIGHTS` for this data set, logged and stored in the folder of the run; None without."""
    if config.CLASS_WEIGHTS is None:
        return None
    table = class_weights.class_weight_table(
        config.CLASS_WEIGHTS, dataset.class_names, count_instances(dataset), beta=config.CLASS_WEIGHTS_BETA
    )
    path = class_weights.write_table(table, log_dir)
    logger.info("CLASS_WEIGHTS=%r, stored in %s:\n%s", config.CLASS_WEIGHTS, path, class_weights.format_table(table))
    return table


def _training_sequence(dataset, config, first_epoch, **augmentation):
    """The steps of training: `STEPS_PER_EPOCH` of them in an epoch, from where the stream of images stands."""
    builder = batch_builder(
        dataset, config, role="train_dataset", use_negative_images=config.USE_NEGATIVE_IMAGES, **augmentation
    )
    if config.SAMPLER != "shuffle":
        builder.stream = make_stream(
            config.SAMPLER,
            dataset.image_ids,
            functools.partial(class_ids_by_image, dataset),
            builder.stream.seed,
            threshold=config.REPEAT_THRESHOLD,
            with_empty=config.USE_NEGATIVE_IMAGES,
        )
    return BatchSequence(builder, steps=config.STEPS_PER_EPOCH, first_epoch=first_epoch, workers=config.WORKERS)


def _validation_sequence(dataset, config):
    """The steps of validation: every image once, in order."""
    builder = batch_builder(dataset, config, role="val_dataset", shuffle=False, use_negative_images=True)
    steps = steps_to_cover(len(builder.stream), builder.batch_size)
    if config.is_overridden("VALIDATION_STEPS"):
        steps = min(steps, config.VALIDATION_STEPS)
    return BatchSequence(builder, steps=steps, repeat=False, workers=config.WORKERS)


def batch_builder(dataset, config, *, role="dataset", shuffle=True, **options):
    """A `data.batches.BatchBuilder` with the settings of a configuration. role: what messages call the data set."""
    if not hasattr(dataset, "image_info"):
        raise DatasetError(f"{role}: expected a prepared Dataset, received: {role}={_short(dataset)}.")
    return BatchBuilder(
        dataset,
        batch_size=config.BATCH_SIZE,
        num_classes=config.NUM_CLASSES,
        resize=resize_settings(config),
        role=role,
        mean_pixel=config.MEAN_PIXEL,
        channels=config.IMAGE_CHANNEL_COUNT,
        max_gt_instances=config.MAX_GT_INSTANCES,
        mini_mask_shape=mini_mask_shape(config),
        seed=config.SEED,
        shuffle=shuffle,
        **options,
    )


def _short(value):
    """The type of a value, or the class itself where a class was given."""
    return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"
