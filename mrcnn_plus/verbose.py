"""What Matterport's code tells on the console, kept because programs and notebooks are read by it."""

import numpy as np


def log(text, array=None):
    """Print a text, and of an array its shape, range and dtype. compat: model.log."""
    if array is not None:
        array = np.asarray(array)
        value_range = (
            f"min: {array.min():10.5f}  max: {array.max():10.5f}" if array.size else f"min: {'':10}  max: {'':10}"
        )
        text = f"{text:25}  shape: {array.shape!s:20}  {value_range}  {array.dtype}"
    print(text)
