"""Matplotlib, OpenCV and PyYAML as they were in 2018, and Flask, which starts the program anew in debug mode.

Few names, because programs use little else that has changed.
"""

from __future__ import annotations

import sys

from mrcnn_plus.compat.patching import results_asked_for
from mrcnn_plus.compat.shims import ModulePatch, Shim, is_users_frame

_CONTOURS = Shim("cv2.findContours with three results", "write contours, hierarchy = cv2.findContours(...)", None)


def _get_cmap():
    import matplotlib.pyplot

    return matplotlib.pyplot.get_cmap


def _tostring_rgb(self):
    """The canvas as bytes, three to a pixel."""
    import numpy as np

    return np.asarray(self.buffer_rgba())[..., :3].tobytes()


def _finish_agg(module, patcher):
    if hasattr(module.FigureCanvasAgg, "tostring_rgb"):
        return
    shim = Shim("canvas.tostring_rgb", "write np.asarray(canvas.buffer_rgba())[..., :3]", None)

    def tostring_rgb(self):
        patcher.note(shim, sys._getframe(1))
        return _tostring_rgb(self)

    patcher.set(module.FigureCanvasAgg, "tostring_rgb", tostring_rgb)


def _finish_opencv(module, patcher):
    """OpenCV 3 returned (image, contours, hierarchy), 2 and 4 return two of them: by how many the caller unpacks."""
    original = module.findContours

    def findContours(image, *args, **kwargs):
        found = original(image, *args, **kwargs)
        frame = sys._getframe(1)
        if len(found) == 2 and is_users_frame(frame) and results_asked_for(frame) == 3:
            patcher.note(_CONTOURS, frame)
            return (image, *found)
        return found

    patcher.set(module, "findContours", findContours)


def _yaml_load(original, note):
    def load(stream, Loader=None):
        if Loader is None:
            import yaml

            note()
            Loader = yaml.FullLoader
        return original(stream, Loader)

    return load


def _finish_reloader(module, patcher):
    """`app.run(debug=True)` starts the program a second time: by `mrcnn-plus run` again."""

    def arguments():
        return [sys.executable, "-m", "mrcnn_plus", "run", "--quiet", *sys.argv]

    patcher.set(module, "_get_args_for_reloading", arguments)


PATCHES = (
    ModulePatch(
        "matplotlib.cm",
        missing={"get_cmap": Shim("matplotlib.cm.get_cmap", "write matplotlib.pyplot.get_cmap", _get_cmap)},
    ),
    ModulePatch("matplotlib.backends.backend_agg", finish=_finish_agg),
    ModulePatch("cv2", finish=_finish_opencv),
    ModulePatch("werkzeug._reloader", finish=_finish_reloader),
    ModulePatch("yaml", replaced={"load": Shim("yaml.load without a Loader", "write yaml.safe_load", _yaml_load)}),
)
