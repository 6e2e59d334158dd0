"""The course of training: calls of `train` and `train_stages`, the linter before them, resuming.

What a call begins with. "Trained here": the newest epoch of the run was trained by this object, to its end.

| where the model stands | resume=False | resume=True |
|---|---|---|
| nothing trained or loaded | begins | newest checkpoint of the newest run of this name, else begins |
| `load_weights` of a checkpoint of a run | goes on at its epoch: weights alone | with its state |
| the same, without state file | goes on at its epoch: weights alone | the same, with a warning |
| trained here | goes on after the last epoch | the same |
| interrupted here (Ctrl-C, an error) | goes on from the weights as they are | loads the newest checkpoint of this run |

With the state of a checkpoint come the random numbers, the stream of images and the best values; optimizer, place in
the schedule and patience too if the stage is the same (`StageProgress.continues`). In one process a stage knows of
those before: best values, stream of images, and stages that have ended early, which are not trained again. Of a program
that calls `train` twice with the same layers and rate, the second call is another stage, be it in one process or in
two: it is told from a stage that was made longer by the first call, which the program repeats.
"""

import contextlib
import json
import logging
import numbers
import os

import keras

from mrcnn_plus.errors import ConfigError
from mrcnn_plus.lint import Run
from mrcnn_plus.training import fitting, resuming
from mrcnn_plus.training.callbacks.run_file import RunFile
from mrcnn_plus.training.config_checks import check_config
from mrcnn_plus.training.failed_step import NonFiniteError
from mrcnn_plus.training.lint_before_training import check_before_training
from mrcnn_plus.training.parts import check_multipliers
from mrcnn_plus.training.resuming import StartingPoint
from mrcnn_plus.training.schedules import learning_rate_of_stage
from mrcnn_plus.training.stages import as_stages, settings_of
from mrcnn_plus.training.training_state import StageProgress
from mrcnn_plus.verbose import log
from mrcnn_plus.weights.checkpoints import newest_checkpoint, parse_checkpoint_path

logger = logging.getLogger(__name__)


class Course:
    """The training of one `MaskRCNN`, `owner`, over all calls; it calls the `set_trainable` and `compile` of the owner,
    which programs override.

    state: the `TrainingState` after the newest epoch, without its arrays unless it was read from a file; None where it
    is not known. is_from_file: the model has still to be given it. stage_is_closed: the program has called that stage
    in this process, so that what comes is another one.
    checkpoint: path of the newest checkpoint of this run; before its first, of the one it goes on from. loaded: path of
    the checkpoint whose weights are in the model.
    is_current: whether the model is where its run stands, and not in the middle of an epoch.
    checked: which data the linter has seen. findings: what it found. loads: `LoadReport`s of the weights loaded.
    make_watcher: function `(config, log_dir) -> callback` that judges the run after each epoch and has a method
    `training_failed(error)`; None for no watcher. write_report: function `log_dir -> path or None` that is called at
    the end of a stage; None for no report. Both come from further out than `training`.
    """

    def __init__(self, owner, make_watcher=None, write_report=None):
        self.owner = owner
        self.make_watcher = make_watcher
        self.write_report = write_report
        self.state = self.checkpoint = self.loaded = self.checked = None
        self.is_from_file = self.stage_is_closed = self.is_current = False
        self.findings, self.loads = [], []

    def weights_loaded(self, path, report=None):
        """Other weights are in the model. path: their file. report: the `LoadReport`, None for Keras' own formats."""
        self.state = None
        self.is_from_file = self.stage_is_closed = self.is_current = False
        self.loads += [] if report is None else [report]
        self.checkpoint = self.loaded = path if parse_checkpoint_path(path) else None

    def train(self, stage, inputs, *, resume):
        """One stage: `MaskRCNN.train`."""
        check_can_train(self.owner)
        if isinstance(stage.epochs, bool) or not isinstance(stage.epochs, numbers.Integral):
            raise ConfigError(f"train: expected epochs to be a whole number, received: epochs={stage.epochs!r}.")
        if resume:
            self._load_checkpoint()
        progress = StageProgress(stage.layers, rate_text(stage.learning_rate), self.owner.epoch, int(stage.epochs))
        before = self.state.stage if self.state is not None else None
        if before is not None and before.is_over(progress):
            self.stage_is_closed = True
        if progress.last_epoch <= self.owner.epoch:
            logger.warning(
                "Nothing to train: epochs=%d is the epoch to stop after, and %d are trained already. Give epochs=%d "
                "for one more.",
                *(stage.epochs, self.owner.epoch, self.owner.epoch + 1),
            )
            return
        if before is not None and before.is_over(progress):
            logger.warning(
                "Nothing to train: this stage has ended early, after epoch %d. Change its epochs, layers or learning "
                "rate to train more.",
                self.owner.epoch,
            )
            return
        if self._goes_on(progress):
            progress.first_epoch = before.first_epoch
        self._check_stage(stage, inputs)
        self._run_stage(stage, progress, inputs)

    def train_stages(self, values, inputs, *, resume):
        """Several stages: `MaskRCNN.train_stages`.

        A stage that early stopping ends leaves the others as long as they were planned, so that all ends earlier.
        """
        check_can_train(self.owner)
        stages = as_stages(self.owner.config.TRAIN_STAGES if values is None else values)
        if resume:
            self._load_checkpoint()
        shift = self._shift(stages)
        for stage in stages:  # all of them now: nobody wants to hear of the last one after three days
            if stage.epochs + shift > self.owner.epoch:
                with settings_of(stage, self.owner.config):
                    self._check_stage(stage, inputs)
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
            self.stage_is_closed = True
            logger.warning(
                "Nothing to train: all stages end at epoch %d, where training stands already.", self.owner.epoch
            )

    def _shift(self, stages):
        """By how many epochs the stages come earlier than planned, because early stopping has ended some."""
        progress = self.state.stage if self.state is not None else None
        if progress is None or progress.count != len(stages) or stages[progress.number - 1].layers != progress.layers:
            return 0
        shift = progress.first_epoch - (stages[progress.number - 2].epochs if progress.number > 1 else 0)
        planned = stages[progress.number - 1].epochs
        if progress.ended and planned + shift <= progress.last_epoch:
            return self.owner.epoch - planned
        return shift

    def _goes_on(self, progress):
        """Whether the stage is the one in which the checkpoint was written that is being resumed from."""
        return self.is_from_file and not self.stage_is_closed and self.state.stage.continues(progress)

    def _run_stage(self, stage, progress, inputs):
        """Train one stage of a `MaskRCNN` up to its end, from where the run stands."""
        start = StartingPoint(self.owner.epoch, self.state, self.is_from_file, self._goes_on(progress))
        # Until the end: what an interruption leaves is no checkpoint.
        self.is_current = self.is_from_file = self.stage_is_closed = False
        self.loaded = None
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
            with self._recording(observers, config):
                fitting.fit(
                    *(self.owner.keras_model, config, inputs),
                    progress=progress,
                    start=start,
                    checkpoint_path=self.owner.checkpoint_path,
                    log_dir=self.owner.log_dir,
                    findings=[str(finding) for finding in self.findings],
                    observers=observers,
                    tell=self._epoch_ended,
                    detector=self.owner,
                )
        self.is_current = self.stage_is_closed = True

    def _epoch_ended(self, state):
        self.owner.epoch = state.epoch
        self.state = state
        path = self.owner.checkpoint_path.format(epoch=state.epoch)
        if os.path.exists(path):
            self.checkpoint = path

    @contextlib.contextmanager
    def _recording(self, observers, config):
        """Around `fit`: tells the observers of a failure, the user of an interruption, and writes the report."""
        try:
            yield
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
        """Give a `MaskRCNN` the checkpoint to resume from and its state, unless it stands there: see the head of this
        file."""
        if self.is_current:
            return
        path = self.checkpoint or newest_checkpoint(self.owner.log_dir)
        path = path or resuming.checkpoint_to_resume(self.owner.model_dir, self.owner.config.NAME)
        if path is None:
            return
        if path != self.loaded:
            self.owner.keras_model.load_weights(path)
            self.owner.set_log_dir(path)
        self.state = resuming.state_of(path)
        self.checkpoint = self.loaded = path
        self.is_current, self.is_from_file, self.stage_is_closed = True, self.state is not None, False
        logger.info("Resuming after epoch %d from %s", self.owner.epoch, path)

    def _check_stage(self, stage, inputs):
        """Check what a stage was given; the same data are not looked at again by the next one."""
        check_multipliers(self.owner.config.LR_MULTIPLIERS, self.owner.keras_model.variables)
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
