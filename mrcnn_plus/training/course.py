"""The course of training: calls of `train` and `train_stages`, the linter before them, resuming."""

import json
import logging
import numbers
from typing import Any, NamedTuple

import keras

from mrcnn_plus.errors import ConfigError
from mrcnn_plus.lint import Run
from mrcnn_plus.training import fitting, resuming
from mrcnn_plus.training.callbacks.run_file import RunFile
from mrcnn_plus.training.config_checks import check_config
from mrcnn_plus.training.failed_step import NonFiniteError
from mrcnn_plus.training.lint_before_training import check_before_training
from mrcnn_plus.training.schedules import learning_rate_of_stage
from mrcnn_plus.training.stages import as_stages, settings_of
from mrcnn_plus.training.training_state import StageProgress
from mrcnn_plus.verbose import log
from mrcnn_plus.weights.checkpoints import parse_checkpoint_path

logger = logging.getLogger(__name__)


class Inputs(NamedTuple):
    """What a call of `train` or `train_stages` was given, beside the stages."""

    train_dataset: Any
    val_dataset: Any
    augmentation: Any = None
    custom_callbacks: Any = ()
    no_augmentation_sources: Any = ()
    lint: str | None = None


class Course:
    """The training of one `MaskRCNN`, `owner`, over all calls; it calls the `set_trainable` and `compile` of the owner,
    which programs override.

    state: the `TrainingState` to go on from, until a stage has taken it. checkpoint: path of the checkpoint of a run
    that was loaded. is_current: whether the model is where its run stands, and not in the middle of an epoch.
    checked: which data the linter has seen. findings: what it found. loads: `LoadReport`s of the weights loaded.
    make_watcher: function `(config, log_dir) -> callback` that judges the run after each epoch and has a method
    `training_failed(error)`; None for no watcher. write_report: function `log_dir -> path or None` that is called at
    the end of a stage; None for no report. Both come from further out than `training`.
    """

    def __init__(self, owner, make_watcher=None, write_report=None):
        self.owner = owner
        self.make_watcher = make_watcher
        self.write_report = write_report
        self.state = self.checkpoint = self.checked = None
        self.is_current = False
        self.findings, self.loads = [], []

    def weights_loaded(self, path, report=None):
        """Other weights are in the model. path: their file. report: the `LoadReport`, None for Keras' own formats."""
        self.state, self.is_current = None, False
        self.loads += [] if report is None else [report]
        self.checkpoint = path if parse_checkpoint_path(path) else None

    def train(self, stage, inputs, *, resume):
        """One stage: `MaskRCNN.train`."""
        check_can_train(self.owner)
        if isinstance(stage.epochs, bool) or not isinstance(stage.epochs, numbers.Integral):
            raise ConfigError(f"train: expected epochs to be a whole number, received: epochs={stage.epochs!r}.")
        if resume:
            self._load_checkpoint()
        if stage.epochs <= self.owner.epoch:
            logger.warning(
                "Nothing to train: epochs=%d is the epoch to stop after, and %d are trained already. Give epochs=%d "
                "for one more.",
                *(stage.epochs, self.owner.epoch, self.owner.epoch + 1),
            )
            return
        progress = StageProgress(stage.layers, rate_text(stage.learning_rate), self.owner.epoch, int(stage.epochs))
        before = self.state.stage if self.state is not None else None
        if before is not None and before.is_over(progress):
            logger.warning("Nothing to train: early stopping has ended this stage after epoch %d.", self.owner.epoch)
            return
        if before is not None and before.continues(progress):
            progress.first_epoch = before.first_epoch
        self._lint(stage, inputs)
        self._run_stage(stage, progress, inputs)

    def train_stages(self, values, inputs, *, resume):
        """Several stages: `MaskRCNN.train_stages`.

        A stage that early stopping ends leaves the others as long as they were planned, so that all ends earlier.
        """
        check_can_train(self.owner)
        stages = as_stages(self.owner.config.TRAIN_STAGES if values is None else values)
        if resume:
            self._load_checkpoint()
        for stage in stages:  # all of them now: nobody wants to hear of the last one after three days
            if stage.epochs > self.owner.epoch:
                with settings_of(stage, self.owner.config):
                    self._lint(stage, inputs)
        shift = self._shift(stages)
        trained = False
        for number, stage in enumerate(stages, 1):
            first = (stages[number - 2].epochs if number > 1 else 0) + shift
            last = stage.epochs + shift
            if last <= self.owner.epoch:
                continue
            rate = rate_text(self._rate(stage))
            self._run_stage(stage, StageProgress(stage.layers, rate, first, last, number, len(stages)), inputs)
            shift, trained = shift + self.owner.epoch - last, True
        if not trained:
            logger.warning(
                "Nothing to train: all stages end at epoch %d, where training stands already.", self.owner.epoch
            )

    def _shift(self, stages):
        """By how many epochs the stages come earlier than planned, because early stopping has ended some."""
        progress = self.state.stage if self.state is not None else None
        if progress is None or progress.number > len(stages) or progress.of != len(stages):
            return 0
        if progress.ended:
            return self.owner.epoch - stages[progress.number - 1].epochs
        return progress.first_epoch - (stages[progress.number - 2].epochs if progress.number > 1 else 0)

    def _run_stage(self, stage, progress, inputs):
        """Train one stage of a `MaskRCNN` up to its end, from where the run stands."""
        state, self.state = self.state, None
        # Until the end: what an interruption leaves is no checkpoint, and the newest one is no longer that of before.
        self.is_current, self.checkpoint = False, None
        with settings_of(stage, self.owner.config) as config:
            self.owner.set_trainable(stage.layers)
            steps = (progress.last_epoch - progress.first_epoch) * config.STEPS_PER_EPOCH
            if steps < config.GRADIENT_ACCUMULATION_STEPS:  # Keras would make no update, and say nothing
                raise ConfigError(
                    f"GRADIENT_ACCUMULATION_STEPS: expected at most the {steps} steps of the stage, received: "
                    f"GRADIENT_ACCUMULATION_STEPS={config.GRADIENT_ACCUMULATION_STEPS}. Nothing would be trained."
                )
            self.owner.compile(learning_rate_of_stage(config, self._rate(stage), steps), config.LEARNING_MOMENTUM)
            observers = self._observers(config, progress, inputs)
            try:
                fitting.fit(
                    self.owner.keras_model,
                    config,
                    inputs.train_dataset,
                    inputs.val_dataset,
                    first_epoch=self.owner.epoch,
                    progress=progress,
                    state=state,
                    checkpoint_path=self.owner.checkpoint_path,
                    log_dir=self.owner.log_dir,
                    augmentation=inputs.augmentation,
                    custom_callbacks=[*_as_list(inputs.custom_callbacks), *observers],
                    no_augmentation_sources=inputs.no_augmentation_sources or (),
                    findings=[str(finding) for finding in self.findings],
                    epoch_ended=lambda epoch: setattr(self.owner, "epoch", epoch),
                    detector=self.owner,
                )
            except KeyboardInterrupt:
                logger.warning(
                    "Interrupted in epoch %d. Checkpoints are in %s; train(..., resume=True) goes on after the last.",
                    *(self.owner.epoch + 1, self.owner.log_dir),
                )
                raise
            except NonFiniteError as error:
                for observer, tell in zip(observers, ("note_failure", "training_failed"), strict=False):
                    getattr(observer, tell)(error)
                raise
            finally:
                if observers and self.write_report is not None:
                    path = self.write_report(self.owner.log_dir)
                    if path is not None and config.VERBOSE:
                        log(f"Report: {path}")
        self.is_current = True

    def _observers(self, config, progress, inputs):
        """The callbacks that record and judge the run, where this host writes its files: `RunFile`, the watcher."""
        if getattr(getattr(self.owner.keras_model, "devices", None), "host", 0) != 0:
            return []
        run_file = RunFile(
            *(self.owner.log_dir, progress, config),
            datasets={"train": inputs.train_dataset, "val": inputs.val_dataset},
            loads=self.loads,
            pretrained=self.owner._has_pretrained_weights(),
            findings=[finding.to_dict() for finding in self.findings],
        )
        watcher = self.make_watcher and self.make_watcher(config, self.owner.log_dir)
        return [run_file, watcher] if watcher is not None else [run_file]

    def _load_checkpoint(self):
        """Give a `MaskRCNN` the newest checkpoint and its state, unless it has them: it trained in this process, or
        `load_weights` was given a checkpoint of a run."""
        if self.is_current:
            return
        path = self.checkpoint
        if path is None:
            path = resuming.checkpoint_to_resume(self.owner.model_dir, self.owner.config.NAME)
            if path is None:
                return
            self.owner.keras_model.load_weights(path)
            self.owner.set_log_dir(path)
        self.state = resuming.state_of(path)
        self.is_current = True
        logger.info("Resuming after epoch %d from %s", self.owner.epoch, path)

    def _lint(self, stage, inputs):
        """Check what a stage was given; the same data are not looked at again by the next one."""
        run = Run(
            learning_rate=self._rate(stage),
            epochs=int(stage.epochs),
            layers=stage.layers,
            augmentation=inputs.augmentation,
            no_augmentation_sources=inputs.no_augmentation_sources,
            mode=self.owner.mode,
            model=self.owner,
            start_epoch=self.owner.epoch,
            model_dir=str(self.owner.model_dir),
        )
        run.pretrained = self.owner._has_pretrained_weights()
        checked = (id(inputs.train_dataset), id(inputs.val_dataset), self.owner.keras_model)
        report = check_before_training(
            *(self.owner.config, inputs.train_dataset, inputs.val_dataset),
            run=run,
            action=inputs.lint,
            call_alone=checked == self.checked,
        )
        self.checked = checked
        if report is not None:
            self.findings += report.findings

    def _rate(self, stage):
        return self.owner.config.LEARNING_RATE if stage.learning_rate is None else stage.learning_rate


def _as_list(callbacks):
    return [callbacks] if isinstance(callbacks, keras.callbacks.Callback) else list(callbacks or ())


def check_can_train(owner):
    """Raise ConfigError if a `MaskRCNN` cannot train."""
    if owner.mode != "training":
        raise ConfigError("train: the model was made with mode='inference'. Make one with mode='training' to train.")
    if not owner.config.USE_RPN_ROIS:
        raise ConfigError(
            "USE_RPN_ROIS: expected True, because train() has no ROIs of its own to feed, received: "
            "USE_RPN_ROIS=False. Set it to True, or call keras_model.fit with batches that hold 'input_roi'."
        )
    check_config(owner.config)


def rate_text(learning_rate):
    """A learning rate or schedule as a text that is equal for equal ones."""
    if isinstance(learning_rate, keras.optimizers.schedules.LearningRateSchedule):
        return json.dumps([type(learning_rate).__name__, learning_rate.get_config()], default=str, sort_keys=True)
    return repr(learning_rate)
