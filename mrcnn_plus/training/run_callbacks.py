"""The callbacks of a stage, in their order, and the state that is kept of it.

| what | why there |
|---|---|
| `DataFlow`, `StageLog`, `StepGuard` | look at every step first |
| `StatisticsLog`, `SwapEMAWeights`, `BalanceLog`, `EpochFigures` | add to the logs of the epoch |
| `RunCheckpoint` | weights and state are safe before a callback of the program can fail, and it may look for them |
| callbacks of the program, evaluations | see all values, may add to them, move the rate, end the stage |
| `EarlyStopping`, `EpochSeconds`, `CheckpointUpdate` | follow what those have logged and done |
| `LossesFile`, `TensorBoardFile`, `Console`, observers | tell the whole epoch |
"""

import dataclasses
from typing import Any

import keras

from mrcnn_plus.config_record import plain_settings
from mrcnn_plus.errors import ConfigError
from mrcnn_plus.training.callbacks.checkpoint import Best, CheckpointUpdate, RunCheckpoint
from mrcnn_plus.training.callbacks.console import Console
from mrcnn_plus.training.callbacks.data_flow import DataFlow
from mrcnn_plus.training.callbacks.early_stopping import EarlyStopping
from mrcnn_plus.training.callbacks.epoch_figures import EpochFigures, EpochSeconds, StatisticsLog
from mrcnn_plus.training.callbacks.evaluation import is_occasional
from mrcnn_plus.training.callbacks.logs import log_callbacks
from mrcnn_plus.training.callbacks.stage_log import StageLog
from mrcnn_plus.training.callbacks.step_guard import StepGuard
from mrcnn_plus.training.input_pipeline import BatchSequence
from mrcnn_plus.training.loss_balancing import PLAIN, BalanceLog
from mrcnn_plus.training.optimizers import averages_weights, schedule_of
from mrcnn_plus.training.resuming import StartingPoint
from mrcnn_plus.training.training_state import (
    StageProgress,
    TrainingState,
    arrays_of,
    arrays_of_model,
    layout_of,
    random_states,
)


@dataclasses.dataclass
class Run:
    """What the callbacks of a stage share.

    model: the `TrainingModel`, compiled. progress, start: which stage, and where it begins. sequence, validation: the
    steps, the latter or None. data: `resuming.data_facts`. findings: of the linter, as texts. best: the `Best` of
    `BEST_METRIC`, early_stopping: an `EarlyStopping`, or None.
    """

    model: Any
    config: Any
    progress: StageProgress
    start: StartingPoint
    sequence: BatchSequence
    validation: BatchSequence | None
    checkpoint_path: str
    log_dir: str
    data: dict
    findings: list
    best: Best | None = None
    early_stopping: EarlyStopping | None = None

    def state_after(self, epoch, *, with_arrays=True):
        """The `TrainingState` after so many epochs; without the arrays it is good for what goes on in this process."""
        followers = {"best": self.best, "early_stopping": self.early_stopping}
        ended = bool(self.model.stop_training or epoch >= self.progress.last_epoch)
        return TrainingState(
            epoch=epoch,
            stage=dataclasses.replace(self.progress, ended=ended),
            optimizer=arrays_of(self.model.optimizer.variables) if with_arrays else [],
            optimizer_layout=layout_of(self.model.optimizer),
            model=arrays_of_model(self.model) if with_arrays else {},
            best_values={name: follower and follower.to_dict() for name, follower in followers.items()},
            random=random_states(),
            seed=int(self.sequence.builder.stream.seed),
            position=self.sequence.position_of(epoch),
            settings=plain_settings(self.config),
            data=self.data,
            findings=list(self.findings),
        )


class EpochEnd(keras.callbacks.Callback):
    """Calls `tell` with the state of the run, without its arrays, after every epoch."""

    def __init__(self, run, tell):
        super().__init__()
        self.run = run
        self.tell = tell

    def on_epoch_end(self, epoch, logs=None):
        self.tell(self.run.state_after(epoch + 1, with_arrays=False))


def callbacks_of(run, custom_callbacks, console, observers=(), tell=None):
    """The callbacks of a `Run`, in the order of the table at the head of this file.

    custom_callbacks: those of the program. console: by `console_of`. observers: come last. tell: gets the state after
    every epoch, as soon as the checkpoint is written and again when all is done; or None.
    """
    check_rate_callbacks(custom_callbacks, run.model.optimizer)
    follow(run, custom_callbacks)
    config, model = run.config, run.model
    told = [EpochEnd(run, tell)] if tell is not None else []
    # Of several hosts that train together, the first one writes.
    writes = model.devices.host == 0
    checkpoint = RunCheckpoint(run.checkpoint_path, run.state_after, keep_last=config.KEEP_LAST) if writes else None
    return [
        DataFlow(run.sequence, run.validation),
        StageLog(run.progress, config),
        StepGuard(run.sequence, config, run.log_dir),
        StatisticsLog(),
        *([keras.callbacks.SwapEMAWeights()] if averages_weights(model.optimizer) else []),
        *([BalanceLog()] if model.loss_balancing == "uncertainty" else []),
        EpochFigures(config.BATCH_SIZE),
        *([checkpoint] if writes else []),
        *told,
        *custom_callbacks,
        *([run.early_stopping] if run.early_stopping is not None else []),
        EpochSeconds(),
        *([CheckpointUpdate(checkpoint, run.best), *log_callbacks(run.log_dir, run.progress.layers)] if writes else []),
        console,
        *told,
        *observers,
    ]


def console_of(run):
    """The `Console` of a `Run`; silent on other hosts than the first."""
    return Console(
        run.config.VERBOSE if run.model.devices.host == 0 else 0,
        epochs=run.progress.last_epoch,
        steps=len(run.sequence),
        batch_size=run.config.BATCH_SIZE,
        validation_steps=0 if run.validation is None else len(run.validation),
        log_dir=run.log_dir,
    )


def follow(run, custom_callbacks):
    """Give a `Run` what follows its best values, with those of the state that it goes on from."""
    config, before = run.config, run.start.state.best_values if run.start.state is not None else {}
    name = config.BEST_METRIC or ("loss" if run.validation is None else "val_loss")
    if run.model.loss_balancing == "uncertainty" and name in PLAIN:
        name = PLAIN[name]  # the total has learnt weights: it is not the same measure from one epoch to the next
    occasional = is_occasional(name, custom_callbacks)
    if config.BEST_METRIC:
        known = before.get("best") or {}
        run.best = Best(**(known if known.get("name") == name else {"name": name}), occasional=occasional)
    if config.EARLY_STOPPING_PATIENCE is not None:
        so_far = before.get("early_stopping") if run.start.same_stage else None
        if so_far and run.start.state.stage.ended:  # the program wants more of it: patience begins anew
            so_far = {**so_far, "wait": 0}
        run.early_stopping = EarlyStopping(name, config.EARLY_STOPPING_PATIENCE, so_far, occasional=occasional)


def check_rate_callbacks(callbacks, optimizer):
    """Raise ConfigError where a callback wants to set a rate that follows a schedule; Keras would in the middle."""
    kinds = (keras.callbacks.ReduceLROnPlateau, keras.callbacks.LearningRateScheduler)
    movers = [type(callback).__name__ for callback in callbacks if isinstance(callback, kinds)]
    if movers and schedule_of(optimizer) is not None:
        raise ConfigError(
            f"custom_callbacks: {movers[0]} sets the learning rate, which follows a schedule in this stage, received: "
            f"custom_callbacks=[{', '.join(movers)}]. Take it out; or set LR_SCHEDULE = None and WARMUP_STEPS = 0, and "
            "give train() a number as learning_rate."
        )
