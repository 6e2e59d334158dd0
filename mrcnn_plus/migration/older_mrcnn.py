"""Calls of Matterport's package as they were before its last commit; see `compat/older_mrcnn.py`."""

from __future__ import annotations

import ast

from mrcnn_plus.compat import older_mrcnn

_SETTINGS = {"BACKBONE_SHAPES": older_mrcnn.BACKBONE_SHAPES, "IMAGE_PADDING": older_mrcnn.IMAGE_PADDING}
_BY_MASKS = ("compute_ap", "compute_ap_range", "compute_matches")


def apply(changes) -> None:
    """Write `model.find_last()` for `model.find_last()[1]`, and list the others."""
    for node in ast.walk(changes.source.tree):
        if isinstance(node, ast.Subscript) and _called(node.value) == "find_last":
            if isinstance(node.slice, ast.Constant) and node.slice.value == 1:
                changes.replace(node, changes.source.text_of(node.value))
            else:
                _leave(changes, node, older_mrcnn.FIND_LAST)
        elif isinstance(node, ast.Attribute) and node.attr in _SETTINGS and isinstance(node.ctx, ast.Load):
            _leave(changes, node, _SETTINGS[node.attr])
        elif isinstance(node, ast.Assign) and _called(node.value) in ("find_last", "resize_image"):
            _check_results(changes, node)
        elif _called(node) in _BY_MASKS and len(node.args) in (5, 6) and not _names_masks(node):
            _leave(changes, node, older_mrcnn.AP_OF_BOXES)
        elif _called(node) == "resize_image" and any(keyword.arg == "padding" for keyword in node.keywords):
            _leave(changes, node, older_mrcnn.PADDING)


def _check_results(changes, node):
    """`folder, path = model.find_last()` and `image, window, scale, padding = utils.resize_image(...)`."""
    shim, most = {"find_last": (older_mrcnn.FIND_LAST, 1), "resize_image": (older_mrcnn.PADDING, 5)}[
        _called(node.value)
    ]
    names = getattr(node.targets[0], "elts", None)  # of a tuple or list
    if names and len(names) not in (1, most) and not any(isinstance(name, ast.Starred) for name in names):
        _leave(changes, node.value, shim)


def _names_masks(call):
    return any(keyword.arg in ("gt_masks", "pred_masks", None) for keyword in call.keywords)


def _called(node):
    """The last name of what is called; None if the node is no call."""
    if not isinstance(node, ast.Call):
        return None
    return getattr(node.func, "attr", getattr(node.func, "id", None))


def _leave(changes, node, shim):
    changes.leave_to_person(node, f"{shim.name}: {shim.today}")
