"""`skimage.draw.polygon` in `load_mask`: with the shape of the mask, so that points on its border stay inside."""

from __future__ import annotations

import ast

from mrcnn_plus.migration.source import Edit


def apply(changes) -> None:
    """Add `shape=` where the statements after it show which mask is filled; list the other places."""
    for node in ast.walk(changes.source.tree):
        for part in ("body", "orelse", "finalbody"):
            block = getattr(node, part, None)
            if isinstance(block, list):
                for position, statement in enumerate(block):
                    _change(changes, statement, block[position + 1 :])


def _change(changes, statement, following):
    call = statement.value if isinstance(statement, ast.Assign) else None
    dotted = changes.names.dotted(call.func) if isinstance(call, ast.Call) else None
    if dotted not in ("skimage.draw.polygon", "skimage.draw.circle") or not call.args:
        return
    is_circle = dotted.endswith("circle")
    if any(keyword.arg == "shape" for keyword in call.keywords) or len(call.args) > 2 + is_circle:
        return
    mask = _filled_mask(changes, statement, following)
    if mask is None or _ends_in_parentheses(changes, call):
        changes.leave_to_person(statement, f"{dotted}: give it shape=mask.shape[:2], so that it stays in the image")
        return
    shape = f"shape={mask}.shape[:2]"
    if is_circle and len(call.args) == 3:
        row, col, radius = (changes.source.text_of(argument) for argument in call.args)
        owner = changes.source.text_of(call.func).removesuffix("circle")
        changes.replace(call, f"{owner}disk(({row}, {col}), {radius}, {shape})")
        for part in ast.walk(call):
            changes.handled.add(id(part))
    elif not is_circle:
        last = max([*call.args, *call.keywords], key=lambda argument: (argument.end_lineno, argument.end_col_offset))
        place = last.end_lineno, last.end_col_offset
        changes.edits.append(Edit(place, place, f", {shape}"))


def _ends_in_parentheses(changes, call):
    """Whether the last argument stands in parentheses of its own, after which nothing can be added by its place."""
    last = max([*call.args, *call.keywords], key=lambda argument: (argument.end_lineno, argument.end_col_offset))
    text = changes.source.text_of(call)
    return text[text.rindex(changes.source.text_of(last)) + len(changes.source.text_of(last)) :].count(")") > 1


def _filled_mask(changes, statement, following):
    """`mask` for `rr, cc = polygon(...)` and then `mask[rr, cc, i] = 1`."""
    target = statement.targets[0]
    if not isinstance(target, ast.Tuple) or not all(isinstance(item, ast.Name) for item in target.elts):
        return None
    rows_cols = [item.id for item in target.elts]
    for later in following:
        for node in ast.walk(later):
            if not isinstance(node, ast.Subscript) or not isinstance(node.slice, ast.Tuple):
                continue
            if [getattr(item, "id", None) for item in node.slice.elts[:2]] == rows_cols:
                return changes.source.text_of(node.value)
    return None
