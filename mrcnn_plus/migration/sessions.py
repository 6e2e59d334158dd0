"""Sessions and graphs of TensorFlow 1 around the package: statements that only hand them on are removed."""

from __future__ import annotations

import ast

from mrcnn_plus.migration.names import text_name
from mrcnn_plus.migration.source import Edit

_PREFIXES = ("tensorflow.", "tensorflow.compat.v1.")
_MADE = ("ConfigProto", "GPUOptions", "Session", "InteractiveSession", "get_default_graph", "get_default_session")
_DOES_NOTHING = (
    *("global_variables_initializer", "local_variables_initializer", "initialize_all_variables"),
    *("disable_eager_execution", "enable_eager_execution", "disable_v2_behavior", "enable_v2_behavior"),
    *("reset_default_graph", "tables_initializer"),
)
_OF_KERAS = ("keras.backend.set_session", "keras.backend.get_session")
_MODEL_METHODS = ("_make_predict_function", "_make_train_function", "_make_test_function")


def apply(changes) -> None:
    """Remove what only serves sessions; leave everything from which a value is taken."""
    holders = _holders(changes)
    growth = False
    for node in ast.walk(changes.source.tree):
        if isinstance(node, ast.Assign | ast.Expr) and _is_inert(changes, node, holders):
            growth |= _asks_for_growth(node)
    first = True
    for node in _inert_statements(changes, holders):
        text = ""
        if first and growth and isinstance(node, ast.Assign):
            name = changes.names.name_of("tensorflow") or changes.names.name_of("tensorflow.compat.v1")
            if name:
                text = (
                    f'for gpu in {name}.config.list_physical_devices("GPU"):\n'
                    f"    {name}.config.experimental.set_memory_growth(gpu, True)"
                )
            first = False
        changes.remove(node, instead=text)
    for node in ast.walk(changes.source.tree):
        if isinstance(node, ast.With):
            _unwrap(changes, node, holders)
        elif isinstance(node, ast.Global) and set(node.names) <= holders:
            changes.remove(node)
    _remove_imports(changes)


def _inert_statements(changes, holders):
    found = [
        node
        for node in ast.walk(changes.source.tree)
        if isinstance(node, ast.Assign | ast.Expr) and _is_inert(changes, node, holders)
    ]
    for statement in found:  # known before the first is removed, so that blocks left empty are noticed
        for node in ast.walk(statement):
            changes.handled.add(id(node))
    return found


def made_by(changes, node) -> str | None:
    """`Session` for a call of `tf.Session(...)` or `tf.compat.v1.Session(...)`, and so on."""
    if not isinstance(node, ast.Call):
        return None
    dotted = changes.names.dotted(node.func) or ""
    for prefix in sorted(_PREFIXES, key=len, reverse=True):
        if dotted.startswith(prefix):
            return dotted[len(prefix) :]
    return dotted if dotted in _OF_KERAS else None


def _holders(changes) -> set[str]:
    """Names, also `self.graph`, that hold nothing but such objects, and of which no value is asked."""
    held, others = set(), set()
    for node in ast.walk(changes.source.tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1:
            name = text_name(node.targets[0])
            if name is None:
                continue
            kind = made_by(changes, node.value)
            (held if kind in _MADE or kind == "keras.backend.get_session" else others).add(name)
        elif isinstance(node, ast.withitem) and node.optional_vars is not None:
            name = text_name(node.optional_vars) or ""
            (held if made_by(changes, node.context_expr) in _MADE else others).add(name)
    return {name for name in held - others if not _value_is_taken(changes, name, held)}


def _value_is_taken(changes, name, held):
    """Whether anything but another session call, or a `with`, uses what a name holds."""
    allowed = set()
    for node in ast.walk(changes.source.tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                allowed.update(id(part) for part in ast.walk(target))
            if made_by(changes, node.value) in _MADE:
                allowed.update(id(part) for part in ast.walk(node.value))
        elif isinstance(node, ast.Expr) and _is_session_call(changes, node.value, held):
            allowed.update(id(part) for part in ast.walk(node.value))
        elif isinstance(node, ast.With):
            for item in node.items:
                if _is_inert_context(changes, item.context_expr, held):
                    allowed.update(id(part) for part in ast.walk(item))
    return any(
        text_name(node) == name and id(node) not in allowed
        for node in ast.walk(changes.source.tree)
        if isinstance(node, ast.Name | ast.Attribute)
    )


def _is_session_call(changes, value, held):
    """`K.set_session(...)`, `sess.run(tf.global_variables_initializer())`, `sess.close()`, `tf.Session()` alone."""
    if not isinstance(value, ast.Call):
        return False
    kind = made_by(changes, value)
    if kind in _MADE or kind in _DOES_NOTHING or kind == "keras.backend.set_session":
        return True
    if isinstance(value.func, ast.Attribute) and value.func.attr in _MODEL_METHODS:
        return True
    if isinstance(value.func, ast.Attribute) and text_name(value.func.value) in held:
        if value.func.attr == "close":
            return True
        return value.func.attr == "run" and bool(value.args) and made_by(changes, value.args[0]) in _DOES_NOTHING
    return False


def _is_inert(changes, node, holders):
    if isinstance(node, ast.Expr):
        return _is_session_call(changes, node.value, holders)
    names = [text_name(target) or "" for target in node.targets]
    if len(names) != 1:
        return False
    if names[0] in holders:
        return True
    return any(names[0].startswith(name + ".") for name in holders)  # config.gpu_options.allow_growth = True


def _asks_for_growth(node):
    text = ast.unparse(node)
    return "allow_growth" in text and "True" in text


def _is_inert_context(changes, expression, holders):
    """`graph.as_default()`, `tf.get_default_graph().as_default()`, `sess.as_default()`, `tf.Session()`, `sess`."""
    if text_name(expression) in holders or made_by(changes, expression) in ("Session", "InteractiveSession"):
        return True
    if not isinstance(expression, ast.Call) or not isinstance(expression.func, ast.Attribute):
        return False
    owner = expression.func.value
    return expression.func.attr == "as_default" and (text_name(owner) in holders or made_by(changes, owner) in _MADE)


def _unwrap(changes, node, holders):
    """Take such contexts out of a `with`; without any other, its block moves to the left."""
    inert = [item for item in node.items if _is_inert_context(changes, item.context_expr, holders)]
    inert = [item for item in inert if item.optional_vars is None or text_name(item.optional_vars) in holders]
    if not inert:
        return
    for item in inert:
        for part in ast.walk(item):
            changes.handled.add(id(part))
    kept = [item for item in node.items if item not in inert]
    body = node.body[0]
    if kept:
        text = f"with {', '.join(_text_of_item(changes, item) for item in kept)}"
        last = node.items[-1].optional_vars or node.items[-1].context_expr
        changes.edits.append(Edit((node.lineno, node.col_offset), (last.end_lineno, last.end_col_offset), text))
        return
    if body.lineno == node.items[-1].context_expr.end_lineno:  # all on one line
        changes.edits.append(Edit((node.lineno, node.col_offset), (body.lineno, body.col_offset), ""))
        return
    changes.edits.append(Edit((node.lineno, 0), (node.items[-1].context_expr.end_lineno + 1, 0), ""))
    inside = _lines_in_strings(node)
    depth = body.col_offset - node.col_offset
    for line in range(node.items[-1].context_expr.end_lineno + 1, node.body[-1].end_lineno + 1):
        text = changes.source.lines[line - 1]
        if line not in inside and text[:depth].strip() == "" and text.strip():
            changes.edits.append(Edit((line, 0), (line, depth), ""))


def _text_of_item(changes, item):
    text = changes.source.text_of(item.context_expr)
    return text if item.optional_vars is None else f"{text} as {changes.source.text_of(item.optional_vars)}"


def _lines_in_strings(node):
    """Lines that begin within a string of several lines, where spaces belong to the text."""
    return {
        line
        for part in ast.walk(node)
        if isinstance(part, ast.Constant | ast.JoinedStr) and part.end_lineno > part.lineno
        for line in range(part.lineno + 1, part.end_lineno + 1)
        if isinstance(part, ast.JoinedStr) or isinstance(part.value, str | bytes)
    }


def _remove_imports(changes):
    """Imports of `set_session` and `get_session` alone, once nothing uses them any more."""
    for node in ast.walk(changes.source.tree):
        if not isinstance(node, ast.ImportFrom) or not node.module or "keras" not in node.module:
            continue
        if {alias.name for alias in node.names} <= {"set_session", "get_session"}:
            names = {alias.asname or alias.name for alias in node.names}
            used = any(
                isinstance(part, ast.Name) and part.id in names and id(part) not in changes.handled
                for part in ast.walk(changes.source.tree)
            )
            if not used:
                changes.remove(node)
