"""Going on where a run stopped: finds its checkpoint, and says what has changed since."""

import logging
import os

from mrcnn_plus.config_record import changed_settings
from mrcnn_plus.data.fingerprint import fingerprint
from mrcnn_plus.errors import DatasetError
from mrcnn_plus.training.training_state import TrainingState, state_path
from mrcnn_plus.weights import checkpoints

logger = logging.getLogger(__name__)

_MOST_TOLD = 12


def checkpoint_to_resume(model_dir, name):
    """Path of the newest checkpoint of the newest run of this name; None, with a line in the log, without any."""
    try:
        return checkpoints.find_last(model_dir, name)
    except FileNotFoundError as error:
        logger.info("resume=True, but there is nothing to resume: %s Training starts at its beginning.", error.strerror)
        return None


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
    return {"train": fingerprint(train_dataset), "validation": val_dataset and fingerprint(val_dataset)}


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
