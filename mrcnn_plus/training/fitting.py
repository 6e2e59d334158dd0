"""Runs `fit`: compiles the step, makes the batches, writes logs and checkpoints."""

import functools
import logging
from typing import Any, NamedTuple

import keras

from mrcnn_plus.config_values import mini_mask_shape, resize_settings
from mrcnn_plus.data.batches import BatchBuilder
from mrcnn_plus.data.class_counts import class_ids_by_image, count_instances
from mrcnn_plus.data.dataset import check_prepared
from mrcnn_plus.data.sampling import make_stream
from mrcnn_plus.errors import DatasetError
from mrcnn_plus.training import class_weights, resuming
from mrcnn_plus.training.callbacks.evaluation import evaluations_of_run
from mrcnn_plus.training.input_pipeline import BatchSequence, feeding, input_of, steps_to_cover
from mrcnn_plus.training.loss_options import LossOptions
from mrcnn_plus.training.optimizers import GuardedOptimizer, decays_weights, guard, optimizer_of_stage
from mrcnn_plus.training.parts import check_multipliers
from mrcnn_plus.training.run_callbacks import Run, callbacks_of, console_of

logger = logging.getLogger(__name__)


def compile_model(model, config, learning_rate, momentum):
    """Compile a `TrainingModel` with a new optimizer: its state starts anew at every stage, as in Matterport."""
    check_multipliers(config.LR_MULTIPLIERS, model.variables)
    model.loss_weights = dict(config.LOSS_WEIGHTS)
    model.loss_options = LossOptions.from_config(config)
    model.loss_balancing = config.LOSS_BALANCING  # may add variables to train: the optimizer comes after it
    with model.devices.building():
        optimizer = optimizer_of_stage(config, learning_rate, momentum, model.trainable_variables)
    model.weight_decay = 0.0 if decays_weights(optimizer) else config.WEIGHT_DECAY
    # "auto" is Keras' own choice: XLA on accelerators and on JAX, plain graphs on a CPU with TensorFlow, where
    # compiling ResNet-101 at 1024 x 1024 takes half a minute and gains a tenth.
    model.compile(optimizer=optimizer, jit_compile="auto" if config.JIT_COMPILE is None else config.JIT_COMPILE)


class Inputs(NamedTuple):
    """What a call of `train` or `train_stages` was given, beside the stages."""

    train_dataset: Any
    val_dataset: Any
    augmentation: Any = None
    custom_callbacks: Any = ()
    no_augmentation_sources: Any = ()
    lint: str | None = None


def fit(
    model,
    config,
    inputs,
    *,
    progress,
    start,
    checkpoint_path,
    log_dir,
    findings=(),
    observers=(),
    tell=None,
    detector=None,
):
    """Train a compiled `TrainingModel` in the stage `progress` (a `StageProgress`), from `start` to its end.

    An epoch is `STEPS_PER_EPOCH` batches of a stream that shows every image once before any image twice, or images with
    rare classes more often (`SAMPLER`). Validation walks the whole of the validation data in order, or the first
    `VALIDATION_STEPS` batches if the configuration sets that.

    inputs: `Inputs`. start: a `StartingPoint`. findings: of the linter, to be kept with the checkpoints. observers:
    callbacks that come after all others. tell: called with the `TrainingState`, without its arrays, after every epoch.
    detector: the `MaskRCNN`, for evaluations in between.
    """
    _guard_optimizer(model, config)
    run = _make_run(model, config, inputs, progress, start, (checkpoint_path, log_dir), findings)
    custom_callbacks = evaluations_of_run(
        *(_as_list(inputs.custom_callbacks), config),
        dataset=inputs.val_dataset,
        model=detector,
        log_dir=log_dir,
        writes=model.devices.host == 0,
    )
    console = console_of(run)
    callbacks = callbacks_of(run, custom_callbacks, console, observers, tell)
    resuming.restore(model, start, progress, config)
    with feeding(run.sequence, run.validation), model.devices.fitting(), console:
        model.fit(
            input_of(run.sequence, model),
            initial_epoch=start.epoch,
            epochs=progress.last_epoch,
            validation_data=input_of(run.validation, model),
            callbacks=callbacks,
            shuffle=False,  # the image stream has its own order
            verbose=0,  # the console is told by `Console`
        )


def _make_run(model, config, inputs, progress, start, paths, findings):
    """The `Run` of a stage; `paths`: of checkpoints and of the log folder. What has changed since a state is told."""
    sequence = _training_sequence(
        *(inputs.train_dataset, config, start),
        augmentation=inputs.augmentation,
        no_augmentation_sources=inputs.no_augmentation_sources or (),
    )
    validation = None if inputs.val_dataset is None else _validation_sequence(inputs.val_dataset, config)
    for steps in filter(None, (sequence, validation)):
        steps.devices = model.devices
    data = resuming.data_facts(inputs.train_dataset, inputs.val_dataset)
    if start.from_file:
        resuming.tell_changes(start.state, config, data)
    model.loss_options = model.loss_options.with_weights(_class_weights(inputs.train_dataset, config, paths[1]))
    return Run(model, config, progress, start, sequence, validation, *paths, data=data, findings=list(findings))


def _guard_optimizer(model, config):
    """Put the guard around the optimizer of a model that a subclass of MaskRCNN has compiled in its own way."""
    if isinstance(model.optimizer, GuardedOptimizer):
        return
    with model.devices.building():
        model.optimizer = guard(model.optimizer, config, model.trainable_variables)
    model.devices.prepare(model)


def _class_weights(dataset, config, log_dir):
    """The table of `CLASS_WEIGHTS` for this data set, logged and stored in the folder of the run; None without."""
    if config.CLASS_WEIGHTS is None:
        return None
    counts = count_instances(dataset, skip_bad_images=config.SKIP_BAD_IMAGES)
    table = class_weights.class_weight_table(
        config.CLASS_WEIGHTS, dataset.class_names, counts, beta=config.CLASS_WEIGHTS_BETA
    )
    path = class_weights.write_table(table, log_dir)
    logger.info("CLASS_WEIGHTS=%r, stored in %s:\n%s", config.CLASS_WEIGHTS, path, class_weights.format_table(table))
    return table


def _training_sequence(dataset, config, start, **augmentation):
    """The steps of training: `STEPS_PER_EPOCH` of them in an epoch, from where the stream of images stands."""
    _check_dataset(dataset, "train_dataset")
    check_prepared(dataset, "train_dataset")
    stream = make_stream(
        *(config.SAMPLER, dataset.image_ids),
        functools.partial(class_ids_by_image, dataset, skip_bad_images=config.SKIP_BAD_IMAGES),
        seed=start.seed_of_stream(config.SEED),
        threshold=config.REPEAT_THRESHOLD,
        with_empty=config.USE_NEGATIVE_IMAGES,
    )
    builder = batch_builder(
        *(dataset, config),
        role="train_dataset",
        stream=stream,
        use_negative_images=config.USE_NEGATIVE_IMAGES,
        **augmentation,
    )
    return BatchSequence(
        builder,
        steps=config.STEPS_PER_EPOCH,
        first_epoch=start.epoch,
        first_position=start.position,
        **_loaders(config),
    )


def _validation_sequence(dataset, config):
    """The steps of validation: every image once, in order."""
    builder = batch_builder(dataset, config, role="val_dataset", shuffle=False, use_negative_images=True)
    steps = steps_to_cover(len(builder.stream), builder.batch_size)
    if config.is_overridden("VALIDATION_STEPS"):
        steps = min(steps, config.VALIDATION_STEPS)
    return BatchSequence(builder, steps=steps, repeat=False, **_loaders(config))


def _loaders(config):
    return {"workers": config.WORKERS, "processes": config.USE_MULTIPROCESSING}


def batch_builder(dataset, config, *, role="dataset", shuffle=True, seed=None, **options):
    """A `data.batches.BatchBuilder` with the settings of a configuration. role: what messages call the data set."""
    _check_dataset(dataset, role)
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
        skip_bad_images=config.SKIP_BAD_IMAGES,
        cache_annotations=config.CACHE_ANNOTATIONS,
        seed=config.SEED if seed is None else seed,
        shuffle=shuffle,
        **options,
    )


def _as_list(callbacks):
    return [callbacks] if isinstance(callbacks, keras.callbacks.Callback) else list(callbacks or ())


def _check_dataset(dataset, role):
    if not hasattr(dataset, "image_info"):
        raise DatasetError(f"{role}: expected a prepared Dataset, received: {role}={_short(dataset)}.")


def _short(value):
    """The type of a value, or the class itself where a class was given."""
    return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"
