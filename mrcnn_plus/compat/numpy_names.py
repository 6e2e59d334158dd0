"""Names that NumPy had until 1.23 or until 2.0, and what programs that use them should write today."""

from __future__ import annotations

import builtins

from mrcnn_plus.compat.shims import ModulePatch, Shim

# Aliases of Python's own types, removed in 1.24. `np.bool` is back since 2.0 and means a NumPy type.
_BUILTINS = ("bool", "int", "float", "complex", "object", "str")

# Other names: what to write in their place. All are attributes of NumPy but for the last ones.
_RENAMED = {
    "float_": "np.float64",
    "complex_": "np.complex128",
    "unicode_": "np.str_",
    "string_": "np.bytes_",
    "bool8": "np.bool_",
    "int0": "np.intp",
    "uint0": "np.uintp",
    "Inf": "np.inf",
    "Infinity": "np.inf",
    "infty": "np.inf",
    "PINF": "np.inf",
    "NaN": "np.nan",
    "NAN": "np.nan",
    "product": "np.prod",
    "cumproduct": "np.cumprod",
    "sometrue": "np.any",
    "alltrue": "np.all",
    "in1d": "np.isin",
    "row_stack": "np.vstack",
    "round_": "np.round",
    "trapz": "np.trapezoid",
    "ComplexWarning": "np.exceptions.ComplexWarning",
    "VisibleDeprecationWarning": "np.exceptions.VisibleDeprecationWarning",
    "RankWarning": "np.exceptions.RankWarning",
    "AxisError": "np.exceptions.AxisError",
}


def _builtin(name):
    return Shim(f"np.{name}", f"write {name}", lambda: getattr(builtins, name), rewrite=name)


def _renamed(name, today):
    def make():
        import numpy as np

        value = np
        for part in today.split(".")[1:]:
            value = getattr(value, part)
        return value

    return Shim(f"np.{name}", f"write {today}", make, rewrite=today)


def _ninf():
    return -float("inf")


def _asscalar():
    return lambda array: array.item()


def make_sctypes() -> dict[str, list]:
    """The number types by kind, as `np.sctypes` listed them."""
    import numpy as np

    return {
        "int": [np.int8, np.int16, np.int32, np.int64],
        "uint": [np.uint8, np.uint16, np.uint32, np.uint64],
        "float": [np.float16, np.float32, np.float64],
        "complex": [np.complex64, np.complex128],
        "others": [bool, object, bytes, str, np.void],
    }


NAMES = {
    **{name: _builtin(name) for name in _BUILTINS},
    **{name: _renamed(name, today) for name, today in _RENAMED.items()},
    "long": Shim("np.long", "write int", lambda: int, rewrite="int"),
    "NINF": Shim("np.NINF", "write -np.inf", _ninf, rewrite="-np.inf"),
    "asscalar": Shim("np.asscalar", "write array.item()", _asscalar),
    "sctypes": Shim(
        "np.sctypes",
        "imgaug reads it: from mrcnn_plus.data.augmentation import import_imgaug; imgaug = import_imgaug()",
        make_sctypes,
    ),
}


def _fromstring(original, note):
    def fromstring(string, dtype=float, count=-1, *, sep="", **kwargs):
        if sep != "":
            return original(string, dtype=dtype, count=count, sep=sep, **kwargs)
        import numpy as np

        note()
        return np.frombuffer(string, dtype=dtype, count=count).copy()

    return fromstring


PATCHES = (
    ModulePatch(
        "numpy",
        missing=NAMES,
        replaced={"fromstring": Shim("np.fromstring", "write np.frombuffer(data, dtype) for bytes", _fromstring)},
        also=("imgaug",),
    ),
)
