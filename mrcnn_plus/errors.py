"""The errors that a user's input can cause; each says where, what was expected, what was received and what to do.

All are subclasses of `ValueError`, so programs that catch `ValueError` keep working.
"""


class ConfigError(ValueError):
    """A setting, or an argument that acts as one, cannot work."""


class DatasetError(ValueError):
    """An image, an annotation or a `Dataset` subclass is not what training or detection needs.

    rule: code of the lint rule that finds the same before training, or None.
    """

    rule: str | None = None


class WeightsError(ValueError):
    """A weights file cannot be read, or does not fit the network."""
