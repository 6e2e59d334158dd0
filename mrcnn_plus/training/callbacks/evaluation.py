"""Average precision while training: evaluates every some epochs and puts the scores into the logs."""

import logging
import os

import keras

from mrcnn_plus.data.dataset import check_prepared
from mrcnn_plus.errors import ConfigError, DatasetError
from mrcnn_plus.evaluation import evaluate
from mrcnn_plus.evaluation.coco import IOU_TYPES
from mrcnn_plus.evaluation.evaluator import check_counts
from mrcnn_plus.evaluation.result import METRIC_NAMES
from mrcnn_plus.evaluation.table import summary
from mrcnn_plus.training.evaluation_files import write_epoch
from mrcnn_plus.training.optimizers import averaged_weights
from mrcnn_plus.verbose import log

logger = logging.getLogger(__name__)


class EvaluationCallback(keras.callbacks.Callback):
    """Runs `mrcnn_plus.evaluation.evaluate` after every `every` epochs, with the weights of that moment.

        model.train(..., custom_callbacks=[EvaluationCallback(every=5)])

    dataset: prepared `Dataset`; None for the validation data of the run. every: epochs from one evaluation to the next,
    counted over all training. limit: at most so many images, spread evenly over the data set. images: how many of the
    best and worst images are drawn. prefix: of the names in the logs; another one for a second data set. options: those
    of `evaluate`.

    Logs `val_box_AP`, `val_box_AP50`, `val_box_AP75`, `val_box_AR`, the same with `mask`, `val_precision`,
    `val_recall` and `val_detections_per_image`, so that BEST_METRIC, early stopping and other callbacks can follow
    them. Epochs between have no such values. Files are in `log_dir/evaluation` (`training/evaluation_files.py`); those
    of another prefix than "val_" in `log_dir/evaluation_<prefix>`.

    model: what detects, a `MaskRCNN` or anything else with `detect(images)`, and log_dir: only for `keras_model.fit` by
    hand. In `MaskRCNN.train` they are those of the run.

    result: the newest `EvaluationResult`, or None.
    """

    def __init__(
        self, dataset=None, every=1, *, limit=None, images=8, prefix="val_", model=None, log_dir=None, **options
    ):
        super().__init__()
        check_counts(every=every, limit=limit)
        self.given = {"dataset": dataset, "model": model, "log_dir": log_dir}
        self.dataset, self.detector, self.log_dir = dataset, model, log_dir
        self.every = int(every)
        self.limit = limit
        self.images = images
        self.prefix = prefix
        self.options = options
        self.skip_bad_images = False
        self.writes = self.prints = True
        self.result = None

    @property
    def metric_names(self):
        """Names that it may put into the logs."""
        has_masks = "segm" in self.options.get("iou_types", IOU_TYPES)
        return tuple(self.prefix + name for name in METRIC_NAMES if has_masks or not name.startswith("mask"))

    def join(self, *, dataset, model, log_dir, skip_bad_images=False, writes=True, prints=True):
        """Take what a run has, where the program gave nothing. writes, prints: whether this host writes files, and
        prints the scores.
        """
        of_run = {"dataset": dataset, "model": model, "log_dir": log_dir}
        chosen = {name: of_run[name] if given is None else given for name, given in self.given.items()}
        self.dataset, self.detector, self.log_dir = chosen["dataset"], chosen["model"], chosen["log_dir"]
        self.skip_bad_images, self.writes, self.prints = skip_bad_images, writes, prints
        self._check()

    def on_train_begin(self, logs=None):
        self._check()

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self.every:
            return
        with averaged_weights(self.model):  # `self.model` brings the weights of this moment into the layers, on JAX too
            options = {"limit": self.limit, "skip_bad_images": self.skip_bad_images, **self.options}
            self.result = evaluate(self.detector, self.dataset, **options)
        if logs is not None:
            logs.update(self.result.metrics(self.prefix))
        if self.prints:
            log(f"\nEvaluation after epoch {epoch + 1}, {len(self.result.images)} images:\n{summary(self.result)}")
        if self.writes and self.log_dir is not None:
            self._write(epoch + 1)

    def _write(self, epoch):
        name = "evaluation" if self.prefix == "val_" else f"evaluation_{self.prefix.strip('_')}"
        try:
            path = write_epoch(self.result, self.dataset, os.path.join(self.log_dir, name), epoch, images=self.images)
        except OSError as error:  # a full disk must not end training
            logger.error("Epoch %d: the evaluation could not be written: %s", epoch, error)
        else:
            logger.info("Evaluation of epoch %d: %s", epoch, path)

    def _check(self):
        """Raise before the first step what would fail after the first epochs."""
        if self.dataset is None:
            raise DatasetError(
                "EvaluationCallback: expected a data set to evaluate, received none: the run has no validation data. "
                "Give val_dataset to train(), or EvaluationCallback(dataset, every=...)."
            )
        if not callable(getattr(self.detector, "detect", self.detector)):
            raise ConfigError(
                "EvaluationCallback: expected a model with detect(images), received: "
                f"model={type(self.detector).__name__}. Outside of MaskRCNN.train give "
                "EvaluationCallback(dataset, model=mask_rcnn)."
            )
        check_prepared(self.dataset, "EvaluationCallback")


def evaluations_of_run(custom_callbacks, config, *, dataset, model, log_dir, writes):
    """The callbacks of the program, with an evaluation by `EVALUATE_EVERY` where it has none; each has joined the run.

    Raises ConfigError if BEST_METRIC is a score that no evaluation of this run gives.
    """
    callbacks = list(custom_callbacks)
    evaluations = [callback for callback in callbacks if isinstance(callback, EvaluationCallback)]
    if config.EVALUATE_EVERY and not evaluations:
        evaluations = [EvaluationCallback(every=config.EVALUATE_EVERY)]
        callbacks += evaluations
    for callback in evaluations:
        callback.join(
            dataset=dataset,
            model=model,
            log_dir=log_dir,
            skip_bad_images=config.SKIP_BAD_IMAGES,
            writes=writes,
            prints=writes and config.VERBOSE > 0,
        )
    announced = {name for callback in evaluations for name in callback.metric_names}
    scores = {f"val_{name}" for name in METRIC_NAMES}
    if config.BEST_METRIC in scores - announced:
        raise ConfigError(
            f"BEST_METRIC: {config.BEST_METRIC} comes from an evaluation, and this run makes none, received: "
            f"EVALUATE_EVERY={config.EVALUATE_EVERY!r}. Set EVALUATE_EVERY to a number of epochs, or add "
            "EvaluationCallback(every=...) to custom_callbacks."
        )
    return callbacks


def is_occasional(name, callbacks):
    """Whether a logged value comes from an evaluation, so that not every epoch has it."""
    return any(name in getattr(callback, "metric_names", ()) for callback in callbacks)
