"""Runs `fit`: compiles the step, makes the batches, writes logs and checkpoints."""

import logging

import keras

from mrcnn_plus.data.batches import BatchBuilder
from mrcnn_plus.errors import DatasetError
from mrcnn_plus.geometry.resizing import ResizeSettings
from mrcnn_plus.training.callbacks.checkpoint import WeightsCheckpoint
from mrcnn_plus.training.callbacks.logs import log_callbacks
from mrcnn_plus.training.input_pipeline import BatchSequence, FollowEpochs, steps_to_cover, with_free_image_size
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

    An epoch is `STEPS_PER_EPOCH` batches of a stream that shows every image once before any image twice. Validation
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
    train_builder = batch_builder(
        train_dataset,
        config,
        augmentation=augmentation,
        no_augmentation_sources=no_augmentation_sources,
        use_negative_images=config.USE_NEGATIVE_IMAGES,
    )
    sequence = BatchSequence(
        train_builder, steps=config.STEPS_PER_EPOCH, first_epoch=first_epoch, workers=config.WORKERS
    )
    validation = None
    if val_dataset is not None:
        builder = batch_builder(val_dataset, config, shuffle=False, use_negative_images=True)
        steps = steps_to_cover(len(builder.stream), builder.batch_size)
        if config.is_overridden("VALIDATION_STEPS"):
            steps = min(steps, config.VALIDATION_STEPS)
        validation = BatchSequence(builder, steps=steps, repeat=False, workers=config.WORKERS)
    if isinstance(custom_callbacks, keras.callbacks.Callback):
        custom_callbacks = [custom_callbacks]
    files = [*log_callbacks(log_dir), WeightsCheckpoint(checkpoint_path)]
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


def batch_builder(dataset, config, *, shuffle=True, **options):
    """A `data.batches.BatchBuilder` with the settings of a configuration."""
    if not hasattr(dataset, "image_info"):
        raise DatasetError(f"train: expected a prepared Dataset, received: {type(dataset).__name__}.")
    return BatchBuilder(
        dataset,
        batch_size=config.BATCH_SIZE,
        num_classes=config.NUM_CLASSES,
        resize=resize_settings(config),
        mean_pixel=config.MEAN_PIXEL,
        channels=config.IMAGE_CHANNEL_COUNT,
        max_gt_instances=config.MAX_GT_INSTANCES,
        mini_mask_shape=tuple(config.MINI_MASK_SHAPE) if config.USE_MINI_MASK else None,
        seed=config.SEED,
        shuffle=shuffle,
        **options,
    )


def resize_settings(config):
    """The settings of a configuration that say how images are resized."""
    return ResizeSettings(config.IMAGE_MIN_DIM, config.IMAGE_MAX_DIM, config.IMAGE_MIN_SCALE, config.IMAGE_RESIZE_MODE)
