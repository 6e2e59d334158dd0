"""Going on where a run stopped: finds its checkpoint, gives the model what it holds, says what has changed since.

`course.py` decides which of it is done at which call.
"""

import dataclasses
import hashlib
import json
import logging
import os

from mrcnn_plus.config_record import changed_settings
from mrcnn_plus.errors import DatasetError
from mrcnn_plus.training.optimizers import averages_weights, inside, schedule_of, swap_averages
from mrcnn_plus.training.training_state import (
    TrainingState,
    restore_model,
    restore_optimizer,
    set_random_states,
    state_path,
)
from mrcnn_plus.weights import checkpoints

logger = logging.getLogger(__name__)

_MOST_TOLD = 12


@dataclasses.dataclass(frozen=True)
class StartingPoint:
    """Where a stage begins to train.

    epoch: epochs finished. state: the `TrainingState` of then, or None. from_file: it was read beside a checkpoint, and
    the model has still to be given it. same_stage: it was written within the stage that goes on now.
    """

    epoch: int = 0
    state: TrainingState | None = None
    from_file: bool = False
    same_stage: bool = False

    @property
    def position(self):
        """Where in the stream of images to go on; None where that is not known."""
        return None if self.state is None else self.state.position

    def seed_of_stream(self, seed):
        """The seed of the stream of images. seed: the setting."""
        if self.state is None or (seed is not None and not self.from_file):
            return seed
        return self.state.seed


def checkpoint_to_resume(model_dir, name):
    """Path of the newest checkpoint of the newest run of this name; None, with a line in the log, without any."""
    try:
        return checkpoints.find_last(model_dir, name)
    except FileNotFoundError as error:
        older = checkpoints.runs_with_checkpoints(model_dir, name)
        logger.log(
            logging.WARNING if older else logging.INFO,
            "resume=True, but there is nothing to resume: %s Training starts at its beginning.",
            error.strerror,
        )
        return None


def restore(model, start, progress, config):
    """Give model, optimizer and random generators what the state of a `StartingPoint` holds of them.

    progress: the `StageProgress` that begins. An optimizer that is new in the middle of a stage takes up its schedule
    there.
    """
    optimizer_goes_on = False
    if start.from_file:
        if not restore_model(model, start.state):
            logger.warning("resume: the random generators of the model start anew; the settings of the model differ.")
        set_random_states(start.state.random)
        if start.same_stage:
            optimizer_goes_on = _restore_optimizer(model, start.state)
        else:
            _tell_new_stage(start.state.stage, progress)
    steps = (start.epoch - progress.first_epoch) * config.STEPS_PER_EPOCH
    if steps > 0 and not optimizer_goes_on and schedule_of(model.optimizer) is not None:
        inside(model.optimizer)._iterations.assign(steps)
        logger.info("The learning rate goes on at step %d of the schedule of this stage.", steps)


def _restore_optimizer(model, state):
    if not restore_optimizer(model.optimizer, state):
        logger.warning(
            "resume: the optimizer starts anew, for the checkpoint has the state of another, or for other layers."
        )
        return False
    if averages_weights(model.optimizer):
        swap_averages(model)  # the checkpoint has the averages, its state the weights
    return True


def _tell_new_stage(before, now):
    """Say that a stage which had not ended is not gone on with."""
    if not before.ended and before.number == now.number:
        logger.warning(
            "resume: the run was interrupted in a stage of layers=%r with learning rate %s. This is another one, "
            "layers=%r with %s: optimizer, momentum and schedule start anew.",
            *(before.layers, before.learning_rate, now.layers, now.learning_rate),
        )


def state_of(checkpoint):
    """The `TrainingState` beside a checkpoint; None, with a warning, where there is none.

    Raises WeightsError if it is damaged.
    """
    path = state_path(checkpoint)
    if path is not None and os.path.exists(path):
        return TrainingState.load(path)
    logger.warning(
        "resume: there is no state file beside %s, as with checkpoints of Matterport's code. Training goes on at its "
        "epoch with its weights; optimizer, schedule and random numbers start anew.",
        checkpoint,
    )
    return None


def data_facts(train_dataset, val_dataset):
    """What is kept of the data of a run, to notice changes."""
    return {"train": _fingerprint(train_dataset), "validation": val_dataset and _fingerprint(val_dataset)}


def _fingerprint(dataset):
    """By which a change of a prepared `Dataset` is noticed: `{"images": number, "classes": [names], "digest": text}`.

    The digest changes with the order, source, id, path and file size of the images, and with whatever plain values and
    numbers of annotations `image_info` holds. No image is read: 100,000 of them take about a second.
    """
    digest = hashlib.sha256()
    for info in dataset.image_info:
        digest.update(json.dumps(_plain(info), sort_keys=True).encode())
    return {
        "images": len(dataset.image_info),
        "classes": [str(name) for name in dataset.class_names],
        "digest": digest.hexdigest(),
    }


def _plain(info):
    """What can be told of an entry of `image_info` without looking into it: plain values, lengths, the file's size."""
    facts = {}
    for name, value in info.items():
        if value is None or isinstance(value, bool | int | float | str):
            facts[str(name)] = value
        elif hasattr(value, "__len__"):
            facts[str(name)] = len(value)
        else:
            facts[str(name)] = type(value).__name__
    path = info.get("path")
    try:
        facts["file size"] = os.stat(path).st_size if isinstance(path, str | os.PathLike) else None
    except (OSError, ValueError):  # generated images have paths that are none
        facts["file size"] = None
    return facts


def tell_changes(state, config, data):
    """Log what is different from the run of a state: settings and data. data: `data_facts` of now.

    Raises DatasetError if the classes are others: class 2 of the weights would not be class 2 of the data.
    """
    then, now = state.data["train"]["classes"], data["train"]["classes"]
    if then != now:
        raise DatasetError(
            f"resume: expected the classes of the run that goes on, {then}, in this order, received: {now}. Give the "
            "data set these classes; or start a new run with load_weights(path, by_name=True, exclude=[the heads])."
        )
    lines = [f"{name}: {old!r} -> {new!r}" for name, old, new in changed_settings(state.settings, config)]
    for role, facts in data.items():
        before = state.data[role]
        if (before and before["digest"]) != (facts and facts["digest"]):
            count = [f"{entry['images']} images" if entry else "none" for entry in (before, facts)]
            told = f"{count[0]} -> {count[1]}" if count[0] != count[1] else f"{count[0]}, with other files or entries"
            lines.append(f"{role} data: {told}")
    if lines:
        more = [f"and {len(lines) - _MOST_TOLD} more"] if len(lines) > _MOST_TOLD else []
        logger.warning(
            "resume: since epoch %d this has changed:\n%s",
            *(state.epoch, "\n".join(f"  {line}" for line in [*lines[:_MOST_TOLD], *more])),
        )
