"""How settings behave: values derived from others, defaults that are never shared, printing.

`config.py` lists the settings; this file holds the machinery under them, so that the list stays readable.
"""

from __future__ import annotations

import inspect
import logging
from types import FunctionType
from typing import Any

import numpy as np

from mrcnn_plus.constants import META_SIZE_WITHOUT_CLASSES
from mrcnn_plus.errors import ConfigError

logger = logging.getLogger(__name__)

# Assigning one of these drops a rectangular IMAGE_SHAPE that was set by hand.
_SIZE_SETTINGS = frozenset({"IMAGE_MIN_DIM", "IMAGE_MAX_DIM", "IMAGE_RESIZE_MODE"})

# What to change instead, for values that are computed.
_DERIVED_FROM = {
    "BATCH_SIZE": "IMAGES_PER_GPU and GPU_COUNT",
    "IMAGE_SHAPE": "IMAGE_MIN_DIM, IMAGE_MAX_DIM, IMAGE_RESIZE_MODE and IMAGE_CHANNEL_COUNT",
    "IMAGE_META_SIZE": "NUM_CLASSES",
}


class ConfigBase:
    """Behaviour of `Config`: see there for the settings.

    `BATCH_SIZE`, `IMAGE_SHAPE` and `IMAGE_META_SIZE` are computed whenever they are read, so they follow every change
    of the settings they depend on. Assigning them on an instance changes those settings. In the body of a subclass
    they are ignored (compat: Config.__init__ computes over them), and a warning says so where that makes a difference.
    """

    # Values given to derived settings in a class body and not used: {name: value}.
    _ignored_in_body: dict[str, Any] = {}
    # (height, width) of a rectangular IMAGE_SHAPE that was assigned, until a size setting is assigned after it.
    _rectangle: tuple[int, int] | None = None

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        _unbind_functions(cls)
        _ignore_derived_values(cls)

    def __new__(cls, *args, **kwargs):
        # Here rather than in __init__, which subclasses may override without calling super().
        self = super().__new__(cls)
        for name in dir(cls):
            if not name.startswith("_") and _is_container(value := getattr(cls, name)):
                vars(self)[name] = copy_containers(value)
        return self

    def __init__(self):
        """Takes nothing and does nothing; programs call `super().__init__()`."""

    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if name in _SIZE_SETTINGS:
            vars(self).pop("_rectangle", None)

    @property
    def BATCH_SIZE(self) -> int:
        """Images per training step or detection: `IMAGES_PER_GPU * GPU_COUNT`.

        Assigning n sets `IMAGES_PER_GPU` to n / `GPU_COUNT`. Where that is no whole number, `GPU_COUNT` becomes 1 and
        `IMAGES_PER_GPU` n, with a warning: the batch size is what the program asked for.
        """
        return self.IMAGES_PER_GPU * self.GPU_COUNT

    @BATCH_SIZE.setter
    def BATCH_SIZE(self, value):
        batch_size = _whole_number("BATCH_SIZE", value)
        if self.GPU_COUNT < 1 or batch_size % self.GPU_COUNT:
            logger.warning(
                "Config.BATCH_SIZE=%d cannot be shared by GPU_COUNT=%d: GPU_COUNT is now 1 and IMAGES_PER_GPU %d.",
                batch_size,
                self.GPU_COUNT,
                batch_size,
            )
            self.GPU_COUNT = 1
        self.IMAGES_PER_GPU = batch_size // self.GPU_COUNT

    @property
    def IMAGE_SHAPE(self) -> np.ndarray:
        """`[height, width, channels]` in pixels of the image as the network sees it; a read-only array.

        Square, with a side of `IMAGE_MIN_DIM` in `crop` mode and of `IMAGE_MAX_DIM` in the others. Assigning a square
        shape sets that side (the other dimension moves along only to keep `IMAGE_MIN_DIM <= IMAGE_MAX_DIM`) and
        `IMAGE_CHANNEL_COUNT`. A rectangular one, for modes `none` and `pad64`, holds until `IMAGE_MIN_DIM`,
        `IMAGE_MAX_DIM` or `IMAGE_RESIZE_MODE` is assigned after it. `[height, width]` leaves the channels as they are.
        """
        side = self.IMAGE_MIN_DIM if self.IMAGE_RESIZE_MODE == "crop" else self.IMAGE_MAX_DIM
        shape = np.array([*(self._rectangle or (side, side)), self.IMAGE_CHANNEL_COUNT])
        # Writing into the result could not reach the settings; an error is better than nothing happening.
        shape.flags.writeable = False
        return shape

    @IMAGE_SHAPE.setter
    def IMAGE_SHAPE(self, value):
        if np.shape(value) == (2,):  # compat: programs assign it before Config.__init__, which computed over it
            value = [*value, self.IMAGE_CHANNEL_COUNT]
        if np.shape(value) != (3,):
            raise ConfigError(
                f"Config.IMAGE_SHAPE: expected [height, width, channels], received IMAGE_SHAPE={value!r}. "
                "Better leave it alone and set IMAGE_MIN_DIM, IMAGE_MAX_DIM and IMAGE_CHANNEL_COUNT."
            )
        height, width, channels = (_whole_number("IMAGE_SHAPE", number) for number in value)
        self.IMAGE_CHANNEL_COUNT = channels
        if height != width:
            self._rectangle = (height, width)
        elif self.IMAGE_RESIZE_MODE == "crop":
            self.IMAGE_MIN_DIM = height
            self.IMAGE_MAX_DIM = max(height, self.IMAGE_MAX_DIM or 0)
        else:
            self.IMAGE_MAX_DIM = height
            self.IMAGE_MIN_DIM = min(height, self.IMAGE_MIN_DIM) if self.IMAGE_MIN_DIM else self.IMAGE_MIN_DIM

    @property
    def IMAGE_META_SIZE(self) -> int:
        """Length of the vector that travels with each image: 12 numbers and one flag per class.

        It cannot differ from `12 + NUM_CLASSES`; assigning anything else is an error.
        """
        return META_SIZE_WITHOUT_CLASSES + self.NUM_CLASSES

    @IMAGE_META_SIZE.setter
    def IMAGE_META_SIZE(self, value):
        if value != self.IMAGE_META_SIZE:
            raise ConfigError(
                f"Config.IMAGE_META_SIZE: expected {self.IMAGE_META_SIZE} ({META_SIZE_WITHOUT_CLASSES} + NUM_CLASSES), "
                f"received IMAGE_META_SIZE={value!r} with NUM_CLASSES={self.NUM_CLASSES!r}. It is computed. Set "
                "NUM_CLASSES to 1 (background) + the number of classes of the data set."
            )

    def is_overridden(self, name: str) -> bool:
        """True if a subclass or this instance gave the setting a value, be it equal to the default.

        Lists, dictionaries and arrays of an instance count if they differ from the default.
        """
        definer = next((cls for cls in type(self).__mro__ if name in vars(cls)), None)
        if definer not in (None, ConfigBase) and ConfigBase not in definer.__bases__:
            return True
        if name not in vars(self):
            return False
        value = vars(self)[name]
        return not (definer and _is_container(value) and equal_values(value, getattr(definer, name)))

    def to_dict(self) -> dict[str, Any]:
        """All settings (every upper-case name, the program's own and the derived ones too), sorted by name.

        Lists, dictionaries and arrays are copies: changing them changes no setting.
        """
        return {name: copy_containers(value) for name, value in self._public_values().items() if name.isupper()}

    def validate(self):
        """Run the rules of the linter that need no data; returns a `lint.Report`, raises nothing."""
        from mrcnn_plus.lint import check  # the linter builds on the configuration, not the other way round

        return check(self)

    def display(self):
        """Print every setting, one per line, sorted by name.  compat: Config.display"""
        print("\nConfigurations:")
        for name, value in self._public_values().items():
            print(f"{name:30} {_printable(value)}")
        print("\n")

    def __repr__(self):
        """The settings that differ from the defaults."""
        overridden = (
            f"{name}={_printable(value)!r}" for name, value in self.to_dict().items() if self.is_overridden(name)
        )
        return f"{type(self).__name__}({', '.join(overridden)})"

    def _public_values(self) -> dict[str, Any]:
        """Settings and other public attributes, without methods and nested classes."""
        values = {name: self._value_or_none(name) for name in sorted(dir(self)) if not name.startswith("_")}
        return {
            name: value
            for name, value in values.items()
            if not callable(value) or (name.isupper() and not inspect.ismethod(value))
        }

    def _value_or_none(self, name):
        """The value; None for a derived one whose settings are not set yet (NUM_CLASSES = None)."""
        try:
            return getattr(self, name)
        except TypeError:
            if name in _DERIVED_FROM:
                return None
            raise


def _unbind_functions(cls):
    """Keep `BACKBONE = my_function` in a class body a function: Python would turn it into a method."""
    for name, value in list(vars(cls).items()):
        if not name.isupper() or not isinstance(value, FunctionType):
            continue
        inherited = [vars(base)[name] for base in cls.__mro__[1:] if name in vars(base)]
        if inherited and not isinstance(inherited[0], FunctionType):
            setattr(cls, name, staticmethod(value))


def _ignore_derived_values(cls):
    """Take values of derived settings out of a class body, and keep those of a mixin from hiding the computed ones."""
    ignored = {}
    for name in _DERIVED_FROM:
        value = getattr(cls, name)
        if isinstance(value, property):
            continue
        ignored[name] = value
        if name in vars(cls):
            delattr(cls, name)
        if not isinstance(getattr(cls, name), property):
            setattr(cls, name, vars(ConfigBase)[name])
        _warn_if_different(cls, name, value)
    cls._ignored_in_body = {**cls._ignored_in_body, **ignored}


def _warn_if_different(cls, name, value):
    try:
        computed = vars(ConfigBase)[name].fget(cls)
    except TypeError:
        computed = "unknown until __init__ has run"
    if not equal_values(value, computed):
        logger.warning(
            "%s: %s=%s in the class body is ignored, because it is computed (%s). Set %s instead.",
            cls.__qualname__,
            name,
            value,
            computed,
            _DERIVED_FROM[name],
        )


def _whole_number(name, value) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = 0
    if number < 1 or number != value:
        raise ConfigError(f"Config.{name}: expected whole numbers of at least 1, received {name}={value!r}.")
    return number


def _is_container(value) -> bool:
    return isinstance(value, (list, dict, set, np.ndarray))


def copy_containers(value):
    """Copy lists, dictionaries, sets and arrays at any depth; other objects, such as optimizers, stay the same."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if type(value) in (list, tuple, set):
        return type(value)(copy_containers(item) for item in value)
    if type(value) is dict:
        return {key: copy_containers(item) for key, item in value.items()}
    return value


def equal_values(first, second) -> bool:
    """Whether two values of a setting mean the same; a list and a tuple or array of equal numbers do."""
    return bool(first is second or np.array_equal(first, second))


def _printable(value):
    """Functions and classes by name; anything else as it is."""
    return value.__qualname__ if callable(value) and hasattr(value, "__qualname__") else value
