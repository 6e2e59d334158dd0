"""Matplotlib and OpenCV as they were in 2018: few names, because programs use little else that has changed."""

from __future__ import annotations

import dis
import sys

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


def results_asked_for(frame) -> int | None:
    """How many names the answer of the call that a frame is at will be unpacked into; None if it is not unpacked."""
    following = [step for step in dis.get_instructions(frame.f_code) if step.offset > frame.f_lasti]
    for step in following:
        if step.opname not in ("CACHE", "PRECALL", "EXTENDED_ARG"):
            return step.argval if step.opname == "UNPACK_SEQUENCE" else None
    return None


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


PATCHES = (
    ModulePatch(
        "matplotlib.cm",
        missing={"get_cmap": Shim("matplotlib.cm.get_cmap", "write matplotlib.pyplot.get_cmap", _get_cmap)},
    ),
    ModulePatch("matplotlib.backends.backend_agg", finish=_finish_agg),
    ModulePatch("cv2", finish=_finish_opencv),
)
