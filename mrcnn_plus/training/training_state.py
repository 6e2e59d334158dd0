"""What a checkpoint needs beside the weights so that training can go on as if it had not been interrupted.

The weights stand in Matterport's layout, which has no place for anything else. The rest stands beside them:

    mask_rcnn_nucleus_0007.h5      weights after epoch 7
    state_nucleus_0007.npz         optimizer, stage, random state, settings, data, findings of the linter

The state file is a NumPy archive: arrays `optimizer/0000`, ..., `model/<name of the variable>/0000`, ... and `facts`, a
text in JSON.
"""

import dataclasses
import json
import os
import random
import re
import zipfile

import keras
import numpy as np
from keras import ops

from mrcnn_plus.atomic_files import replacing
from mrcnn_plus.errors import WeightsError
from mrcnn_plus.training.loss_balancing import LOG_VARIANCES

_FORMAT = 2
_EXTRA_NAMES = ("seed_generator_state", LOG_VARIANCES)
_CHECKPOINT = re.compile(r"mask_rcnn_(?P<name>.+)_(?P<epoch>\d{4,})\.h5")


@dataclasses.dataclass
class StageProgress:
    """Where in which stage a run stands. Epochs count from the beginning of all training.

    number, count: which stage of how many; 1 of 1 for a call of `train`. first_epoch: epochs before the stage;
    last_epoch: the one after which it ends as planned. ended: it has ended, be it earlier.
    """

    layers: str
    learning_rate: str
    first_epoch: int
    last_epoch: int
    number: int = 1
    count: int = 1
    ended: bool = False

    def continues(self, stage):
        """Whether `stage`, another `StageProgress`, is this one going on, perhaps to a later end, and not a new one."""
        return self.is_like(stage) and (not self.ended or stage.last_epoch > self.last_epoch)

    def is_over(self, stage):
        """Whether `stage` is this one, and this one has ended."""
        return self.is_like(stage) and self.ended and stage.last_epoch == self.last_epoch

    def is_like(self, stage):
        """Whether layers, rate and place among the stages are the same."""
        return (self.layers, self.learning_rate, self.number) == (stage.layers, stage.learning_rate, stage.number)


@dataclasses.dataclass
class TrainingState:
    """The content of a state file.

    epoch: epochs finished. stage: `StageProgress`. optimizer: arrays of the optimizer's variables; optimizer_layout:
    what they belong to (`layout_of`). model: arrays of what no weights file holds, lists by name (`extra_variables`).
    best_values: so far, by what follows them ("best", "early_stopping"). random: states of `random` and `numpy.random`.
    seed: of the stream of images; position: where in it the next epoch begins. settings: by
    `config_record.plain_settings`. data: by `resuming.data_facts`. findings: of the linter, as texts.
    """

    epoch: int
    stage: StageProgress
    optimizer: list
    optimizer_layout: str
    model: dict
    best_values: dict
    random: dict
    seed: int
    position: int
    settings: dict
    data: dict
    findings: list

    def save(self, path):
        """Write the state file; an older one stays until the new one is complete. Raises OSError."""
        arrays = {f"optimizer/{row:04d}": value for row, value in enumerate(self.optimizer)}
        for name, values in self.model.items():
            arrays |= {f"model/{name}/{row:04d}": value for row, value in enumerate(values)}
        with replacing(path) as temporary, open(temporary, "wb") as file:
            np.savez(file, facts=np.array(self.facts()), **arrays)

    def facts(self):
        """Everything but the arrays, as a text in JSON."""
        values = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in ("optimizer", "model", "stage")
        }
        values |= {"format": _FORMAT, "stage": dataclasses.asdict(self.stage)}
        return json.dumps(values, default=_plain)

    @classmethod
    def load(cls, path):
        """Read a state file. Raises WeightsError if it is none, or damaged."""
        try:
            with np.load(path, allow_pickle=False) as archive:
                facts = json.loads(str(archive["facts"]))
                if facts.pop("format") != _FORMAT:
                    raise ValueError("written by another version")
                optimizer, model = [], {}
                for name in sorted(archive.files):
                    owner, *variable, _ = name.split("/") if "/" in name else (None, None)
                    if owner == "optimizer":
                        optimizer.append(archive[name])
                    elif owner == "model":
                        model.setdefault("/".join(variable), []).append(archive[name])
            facts["stage"] = StageProgress(**facts["stage"])
            return cls(**facts, optimizer=optimizer, model=model)
        except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile) as error:
            raise WeightsError(
                f"resume: expected a state file of mrcnn_plus, received: {path!r}, which cannot be read ({error}). "
                "Remove it to go on from the weights alone, or give another checkpoint to load_weights."
            ) from error


def _plain(value):
    """NumPy's numbers and arrays as Python's own, for JSON."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{value!r} cannot be kept in a state file")


def state_path(checkpoint_path):
    """Path of the state file that belongs to a checkpoint; None if the path is not that of a checkpoint of a run."""
    folder, file = os.path.split(os.fspath(checkpoint_path))
    match = _CHECKPOINT.fullmatch(file)
    return os.path.join(folder, f"state_{match['name']}_{match['epoch']}.npz") if match else None


def extra_variables(model):
    """The variables of a `TrainingModel` that no weights file holds: random generators, learnt weights of losses."""
    return [variable for variable in model.variables if _own_name(variable) in _EXTRA_NAMES]


def _own_name(variable):
    return variable.path.split("/")[-1]


def _by_name(variables):
    """`{name: variables of that name}`: the paths differ from one process to the next, for Keras numbers layers."""
    found = {}
    for variable in variables:
        found.setdefault(_own_name(variable), []).append(variable)
    return found


def arrays_of(variables):
    """Copies of the values of variables."""
    return [np.array(ops.convert_to_numpy(variable)) for variable in variables]


def arrays_of_model(model):
    """Copies of `extra_variables`, lists by name."""
    return {name: arrays_of(variables) for name, variables in _by_name(extra_variables(model)).items()}


def layout_of(optimizer):
    """Kind of an optimizer, names and shapes of its variables: a text that is equal where values can be exchanged."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    shapes = [(variable.path.split("/", 1)[-1], list(variable.shape)) for variable in optimizer.variables]
    return json.dumps([type(inner).__name__, shapes])


def random_states():
    """The states of `random` and of `numpy.random`, which augmentation functions draw from."""
    version, python, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state()
    return {
        "python": [version, list(python), gauss],
        "numpy": [name, keys.tolist(), int(position), int(has_gauss), float(cached)],
    }


def set_random_states(states):
    """Restore what `random_states` gave."""
    version, python, gauss = states["python"]
    random.setstate((version, tuple(python), gauss))
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, np.array(keys, np.uint32), *rest))


def restore_optimizer(optimizer, state):
    """Give an optimizer the variables of a state; False, and nothing is changed, if they are of another kind."""
    if layout_of(optimizer) != state.optimizer_layout:
        return False
    for variable, value in zip(optimizer.variables, state.optimizer, strict=True):
        variable.assign(value)
    return True


def restore_model(model, state):
    """Give a `TrainingModel` what weights files do not hold. False if it has other random generators, which are left as
    they are then; learnt weights of losses may be new, or no longer there."""
    complete = True
    for name, variables in _by_name(extra_variables(model)).items():
        values = state.model.get(name, [])
        if [tuple(variable.shape) for variable in variables] == [value.shape for value in values]:
            for variable, value in zip(variables, values, strict=True):
                variable.assign(keras.ops.cast(value, variable.dtype))
        elif name != LOG_VARIANCES:
            complete = False
    return complete
