"""Runs `fit`: compiles the step, makes the batches, writes logs and checkpoints."""

import dataclasses
import functools
import logging

import keras

from mrcnn_plus.config_record import plain_settings
from mrcnn_plus.config_values import mini_mask_shape, resize_settings
from mrcnn_plus.data.batches import BatchBuilder
from mrcnn_plus.data.class_counts import class_ids_by_image, count_instances
from mrcnn_plus.data.sampling import make_stream
from mrcnn_plus.errors import DatasetError
from mrcnn_plus.training import class_weights, resuming
from mrcnn_plus.training.callbacks.checkpoint import Best, RunCheckpoint
from mrcnn_plus.training.callbacks.console import Console
from mrcnn_plus.training.callbacks.data_flow import DataFlow
from mrcnn_plus.training.callbacks.early_stopping import EarlyStopping
from mrcnn_plus.training.callbacks.epoch_figures import EpochFigures
from mrcnn_plus.training.callbacks.evaluation import evaluations_of_run, is_occasional
from mrcnn_plus.training.callbacks.logs import log_callbacks
from mrcnn_plus.training.callbacks.stage_log import StageLog
from mrcnn_plus.training.callbacks.statistics_log import StatisticsLog
from mrcnn_plus.training.callbacks.step_guard import StepGuard
from mrcnn_plus.training.input_pipeline import BatchSequence, feeding, input_of, steps_to_cover
from mrcnn_plus.training.loss_balancing import BalanceLog
from mrcnn_plus.training.loss_options import LossOptions
from mrcnn_plus.training.optimizers import decays_weights, guard, optimizer_of_stage
from mrcnn_plus.training.training_state import (
    TrainingState,
    arrays_of,
    extra_variables,
    kind_of,
    random_states,
    restore_model,
    restore_optimizer,
    set_random_states,
)

logger = logging.getLogger(__name__)


def compile_model(model, config, learning_rate, momentum):
    """Compile a `TrainingModel` with a new optimizer: its state starts anew at every stage, as in Matterport."""
    with model.devices.building():
        optimizer = optimizer_of_stage(config, learning_rate, momentum, model.trainable_variables)
    model.loss_weights = dict(config.LOSS_WEIGHTS)
    model.weight_decay = 0.0 if decays_weights(optimizer) else config.WEIGHT_DECAY
    model.loss_options = LossOptions.from_config(config)
    model.loss_balancing = config.LOSS_BALANCING
    # "auto" is Keras' own choice: XLA on accelerators and on JAX, plain graphs on a CPU with TensorFlow, where
    # compiling ResNet-101 at 1024 x 1024 takes half a minute and gains a tenth.
    model.compile(optimizer=optimizer, jit_compile="auto" if config.JIT_COMPILE is None else config.JIT_COMPILE)


def fit(
    model,
    config,
    train_dataset,
    val_dataset,
    *,
    first_epoch,
    progress,
    checkpoint_path,
    log_dir,
    state=None,
    augmentation=None,
    custom_callbacks=(),
    no_augmentation_sources=(),
    findings=(),
    epoch_ended=None,
    detector=None,
):
    """Train a compiled `TrainingModel` in the stage `progress` (a `StageProgress`), from `first_epoch` to its end.

    An epoch is `STEPS_PER_EPOCH` batches of a stream that shows every image once before any image twice, or images with
    rare classes more often (`SAMPLER`). Validation walks the whole of `val_dataset` in order, or the first
    `VALIDATION_STEPS` batches if the configuration sets that.

    state: a `TrainingState` to go on from: its optimizer if it is of the same stage, its random numbers, its best
    values. findings: of the linter, to be kept with the checkpoints. epoch_ended: called with the number of epochs
    finished. detector: the `MaskRCNN`, for evaluations in between.
    """
    # A subclass of MaskRCNN may have compiled the model with an optimizer of its own.
    model.optimizer = guard(model.optimizer, config, model.trainable_variables)
    sequence = _training_sequence(
        *(train_dataset, config, first_epoch, state),
        augmentation=augmentation,
        no_augmentation_sources=no_augmentation_sources,
    )
    validation = None if val_dataset is None else _validation_sequence(val_dataset, config)
    for steps in filter(None, (sequence, validation)):
        steps.devices = model.devices
    data = resuming.data_facts(train_dataset, val_dataset)
    if state is not None:
        resuming.tell_changes(state, config, data)
    model.loss_options = model.loss_options.with_weights(_class_weights(train_dataset, config, log_dir))
    alone = isinstance(custom_callbacks, keras.callbacks.Callback)
    custom_callbacks = evaluations_of_run(
        *([custom_callbacks] if alone else custom_callbacks, config),
        dataset=val_dataset,
        model=detector,
        log_dir=log_dir,
        writes=model.devices.host == 0,
    )
    console = Console(
        config.VERBOSE if model.devices.host == 0 else 0,
        epochs=progress.last_epoch,
        steps=len(sequence),
        batch_size=config.BATCH_SIZE,
        validation_steps=0 if validation is None else len(validation),
        log_dir=log_dir,
    )
    callbacks = _callbacks(
        *(model, config, sequence, progress),
        state=state,
        checkpoint_path=checkpoint_path,
        log_dir=log_dir,
        data=data,
        findings=findings,
        validation=validation,
        adding=[callback for callback in custom_callbacks if getattr(callback, "adds_to_logs", False)],
    )
    callbacks.append(console)
    if epoch_ended is not None:
        callbacks.append(keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: epoch_ended(epoch + 1)))
    callbacks += [callback for callback in custom_callbacks if callback not in callbacks]
    if state is not None:
        _restore(model, state, progress)
    with feeding(sequence, validation), model.devices.fitting(), console:
        model.fit(
            input_of(sequence, model),
            initial_epoch=first_epoch,
            epochs=progress.last_epoch,
            validation_data=input_of(validation, model),
            callbacks=callbacks,
            shuffle=False,  # the image stream has its own order
            verbose=0,  # the console is told by `Console`
        )


def _callbacks(
    model, config, sequence, progress, *, state, checkpoint_path, log_dir, data, findings, validation, adding
):
    """The callbacks of a stage: those that add to the logs of an epoch come before those that write them.

    adding: those of the user's callbacks that say `adds_to_logs = True`.
    """
    watched = state.watched if state is not None else {}
    metric = config.BEST_METRIC or ("loss" if validation is None else "val_loss")
    occasional = is_occasional(metric, adding)
    best = Best(config.BEST_METRIC, occasional=occasional) if config.BEST_METRIC else None
    if best is not None and watched.get("best") and watched["best"]["name"] == best.name:
        best = Best(**watched["best"], occasional=occasional)
    stopping = []
    if config.EARLY_STOPPING_PATIENCE is not None:
        of_this_stage = state is not None and state.stage.continues(progress)
        so_far = watched.get("early_stopping") if of_this_stage else None
        stopping = [EarlyStopping(metric, config.EARLY_STOPPING_PATIENCE, so_far, occasional=occasional)]
    average = keras.callbacks.SwapEMAWeights() if config.EMA_MOMENTUM is not None else None

    def make_state(epoch, ended):
        return TrainingState(
            epoch=epoch,
            stage=dataclasses.replace(progress, ended=bool(ended)),
            optimizer=arrays_of(model.optimizer.variables),
            optimizer_kind=kind_of(model.optimizer),
            model=arrays_of(extra_variables(model)),
            watched={"best": best and best.to_dict(), "early_stopping": stopping[0].to_dict() if stopping else None},
            random=random_states(),
            seed=sequence.builder.stream.seed,
            settings=plain_settings(config),
            data=data,
            findings=list(findings),
        )

    files = [
        RunCheckpoint(checkpoint_path, make_state, keep_last=config.KEEP_LAST, best=best, average=average),
        *log_callbacks(log_dir, progress.layers),
    ]
    return [
        DataFlow(sequence, validation),
        StageLog(progress, config),
        StepGuard(sequence, config, log_dir),
        StatisticsLog(),
        *([average] if average is not None else []),
        *([BalanceLog()] if model.loss_balancing == "uncertainty" else []),
        *adding,
        EpochFigures(config.BATCH_SIZE, config.LR_MULTIPLIERS),
        *stopping,
        *(files if model.devices.host == 0 else ()),  # of several hosts that train together, the first one writes
    ]


def _restore(model, state, progress):
    """Give model, optimizer and random generators what a state holds of them."""
    if not restore_model(model, state):
        logger.warning("resume: the random generators of the model start anew; the settings of the model differ.")
    set_random_states(state.random)
    if not state.stage.continues(progress):
        return  # a new stage: its optimizer is new
    if not restore_optimizer(model.optimizer, state):
        logger.warning(
            "resume: the optimizer starts anew, for the checkpoint has the state of another, or for other layers."
        )
    elif getattr(model.optimizer.inner_optimizer, "use_ema", False):
        swap = keras.callbacks.SwapEMAWeights()  # the checkpoint has the averages, the optimizer the weights
        swap.set_model(model)
        swap.on_test_begin()


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


def _training_sequence(dataset, config, first_epoch, state, **augmentation):
    """The steps of training: `STEPS_PER_EPOCH` of them in an epoch, from where the stream of images stands."""
    builder = batch_builder(
        *(dataset, config),
        role="train_dataset",
        seed=config.SEED if state is None else state.seed,
        use_negative_images=config.USE_NEGATIVE_IMAGES,
        **augmentation,
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
    return BatchSequence(builder, steps=config.STEPS_PER_EPOCH, first_epoch=first_epoch, **_loaders(config))


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
        skip_bad_images=config.SKIP_BAD_IMAGES,
        seed=config.SEED if seed is None else seed,
        shuffle=shuffle,
        **options,
    )


def _short(value):
    """The type of a value, or the class itself where a class was given."""
    return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"
