"""Which settings something was built from, so that a change afterwards is noticed instead of having no effect."""

import inspect
from typing import Any, NamedTuple

import numpy as np

from mrcnn_plus.config_base import copy_containers, equal_values
from mrcnn_plus.errors import ConfigError


class Change(NamedTuple):
    """A setting whose value is another one now."""

    name: str
    then: Any
    now: Any


class SettingsRecord:
    """Stands in for a `Config` while something is built, and remembers every setting that was read, with its value.

    So nobody has to keep a list of the settings that matter: what was read matters, anything else may change.
    """

    def __init__(self, config):
        self._config = config
        self._read = {}

    def __getattr__(self, name):
        value = getattr(self._config, name)
        if name.isupper():
            self._read.setdefault(name, copy_containers(value))
        return value

    @property
    def values(self):
        """`{name: value}` of the settings that were read so far."""
        return dict(self._read)

    def changes(self, config):
        """A list of `Change`: the settings that were read and have another value in `config`."""
        compared = [Change(name, then, getattr(config, name, None)) for name, then in self._read.items()]
        return [change for change in compared if not equal_values(change.then, change.now)]

    def require_unchanged(self, config, place):
        """Raise ConfigError that names the settings with another value in `config`. place: the call that asks."""
        changes = self.changes(config)
        if changes:
            told = "; ".join(f"{name}={then!r} when it was built, {name}={now!r} now" for name, then, now in changes)
            raise ConfigError(
                f"{place}: expected the settings that the network was built from, received: {told}. They shape the "
                "network, so a later change has no effect on it: set them first and build a new MaskRCNN. Weights go "
                "from one to the other by keras_model.save_weights('x.h5') and load_weights('x.h5', by_name=True)."
            )


def plain_settings(config):
    """All settings of a configuration as JSON can hold them: arrays and tuples as lists, objects as text."""
    return {name: _plain(value) for name, value in config.to_dict().items()}


def changed_settings(then, config):
    """A list of `Change` between what `plain_settings` gave and a configuration now, sorted by name."""
    now = plain_settings(config)
    names = sorted(then.keys() | now.keys())
    return [Change(name, then.get(name), now.get(name)) for name in names if then.get(name) != now.get(name)]


def _plain(value):
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if inspect.isroutine(value) or isinstance(value, type):
        return f"<{value.__module__}.{value.__qualname__}>"
    return f"<{type(value).__module__}.{type(value).__qualname__}>"
