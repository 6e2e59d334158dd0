"""Run only those statements of a program that an expression depends on, e.g. those that build a data set.

`model.train(dataset_train, ...)` needs `dataset_train`; so the statements that bind it or call its methods are run, and
what they depend on in turn; through functions up to the top of the program. Nothing that makes or trains a model is.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import io
import types

from mrcnn_plus.lint.programs.definitions import is_main_guard
from mrcnn_plus.lint.programs.source import ProgramSource
from mrcnn_plus.lint.programs.stand_ins import PackageStandIn, StandIn

# Calls that work with a model; no statement with one of them is run.
_MODEL_CALLS = frozenset(
    ["MaskRCNN", "train", "fit", "fit_generator", "load_weights", "detect", "predict", "compile", "evaluate"]
)
# Names of functions that show or store something.
_SHOWING = ("print", "display", "show", "plot", "draw", "visualize", "save", "write", "log")
_LARGEST_DEPTH = 5


class NotComputed(Exception):
    """Why an expression of the program could not be computed."""


def evaluate_in_context(source: ProgramSource, namespace: dict, expression: ast.expr, function=None) -> object:
    """The value that an expression has where it stands in the program.

    namespace: what the program defines; it is not changed. function: the `def` in which the expression stands, or None.
    Raises `NotComputed`.
    """
    statements = _needed_statements(source.tree, namespace, expression, function)
    scope = dict(namespace)
    output = io.StringIO()
    for statement in statements:
        code = compile(ast.fix_missing_locations(ast.Module([statement], [])), source.path, "exec", dont_inherit=True)
        try:
            with contextlib.redirect_stderr(output):
                exec(code, scope)
        except (Exception, SystemExit) as error:
            raise NotComputed(_reason(source, statement, error, output.getvalue())) from error
    try:
        return eval(compile(ast.Expression(expression), source.path, "eval", dont_inherit=True), scope)
    except Exception as error:
        raise NotComputed(_reason(source, expression, error, "")) from error


def _needed_statements(tree, namespace, expression, function, depth=0) -> list[ast.stmt]:
    """The statements to run before the expression, outermost first."""
    if depth > _LARGEST_DEPTH:
        raise NotComputed("the functions around it call each other")
    needed = _read_names(expression)
    if function is None:
        body = [part for item in tree.body for part in (item.body if is_main_guard(item) else [item])]
        before = [item for item in body if item.lineno <= expression.lineno]
        return _slice(before, needed, namespace)
    before = [item for item in function.body if item.lineno <= expression.lineno]
    statements = _slice(before, needed, namespace)
    needed = needed | {name for item in statements for name in _read_names(item)}
    caller = _caller(tree, function)
    parameters = _parameters(function, caller, needed)
    outer_names = needed - {name for name, _ in parameters} - _bound_names(function.body)
    # One expression that stands for all that the function takes from outside, placed where it is called.
    place = caller[0] if caller else ast.parse("None").body[0].value
    outside = [value for _, value in parameters] + [ast.Name(name, ast.Load()) for name in sorted(outer_names)]
    taken = ast.copy_location(ast.Tuple(outside, ast.Load()), place)
    taken.lineno = place.lineno if caller else _last_line(tree)
    outer = _needed_statements(tree, namespace, taken, caller[1] if caller else None, depth + 1)
    given = [ast.copy_location(ast.Assign([ast.Name(name, ast.Store())], value), value) for name, value in parameters]
    return [*outer, *given, *statements]


def _slice(statements, needed, namespace) -> list[ast.stmt]:
    """Those of the statements that the needed names depend on, compound ones reduced to what is needed."""
    needed = {name for name in needed if not _is_settled(name, namespace)}
    while True:
        chosen = [part for item in statements for part in _chosen(item, needed, namespace)]
        reads = {name for item in chosen for name in _read_names(item) if not _is_settled(name, namespace)}
        if reads <= needed:
            return chosen
        needed = needed | reads


def _chosen(statement, needed, namespace) -> list[ast.stmt]:
    blocks = [name for name in ("body", "orelse", "finalbody") if isinstance(getattr(statement, name, None), list)]
    if not blocks or isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [part for part in _single_assignments(statement) if _matters(part, needed, namespace)]
    reduced = copy.copy(statement)
    for name in blocks:
        parts = [part for item in getattr(statement, name) for part in _chosen(item, needed, namespace)]
        setattr(reduced, name, parts)
    if not any(getattr(reduced, name) for name in blocks) and not (_bound_names([statement]) & needed):
        return []
    reduced.body = reduced.body or [ast.copy_location(ast.Pass(), statement)]
    if isinstance(statement, ast.Try) and not statement.handlers and not reduced.finalbody:
        return reduced.body
    return [reduced]


def _single_assignments(statement) -> list[ast.stmt]:
    """`train, config = Shapes(), model.config` as two statements, of which one may be needed and the other not."""
    targets = getattr(statement, "targets", [])
    if not isinstance(statement, ast.Assign) or len(targets) != 1 or not isinstance(targets[0], ast.Tuple | ast.List):
        return [statement]
    names, values = targets[0].elts, getattr(statement.value, "elts", [])
    depends = _bound_names([statement]) & _read_names(statement.value)  # as in a, b = b, a
    if len(names) != len(values) or depends or any(isinstance(part, ast.Starred) for part in (*names, *values)):
        return [statement]
    pairs = zip(names, values, strict=True)
    return [ast.copy_location(ast.Assign([name], value), statement) for name, value in pairs]


def _matters(statement, needed, namespace) -> bool:
    """Whether a simple statement gives a needed name its value or changes it."""
    if isinstance(statement, ast.Return | ast.Raise | ast.Break | ast.Continue | ast.Global | ast.Pass | ast.Delete):
        return False
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return statement.name in needed
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return bool(needed & {(alias.asname or alias.name).partition(".")[0] for alias in statement.names})
    if _called_names(statement) & _MODEL_CALLS:
        return False
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Call) and _changes(statement.value, needed, namespace)
    return bool(needed & _bound_names([statement]))


def _changes(call, needed, namespace) -> bool:
    """Whether a call that stands alone may change a needed object: its method, or a function of the user's on it."""
    root = call.func
    while isinstance(root, ast.Attribute | ast.Subscript | ast.Call):
        root = root.value if not isinstance(root, ast.Call) else root.func
    name = getattr(call.func, "attr", None) or getattr(call.func, "id", "")
    if name.lower().startswith(_SHOWING):
        return False
    if isinstance(call.func, ast.Name):
        is_users = isinstance(namespace.get(call.func.id), types.FunctionType)
        return is_users and bool(needed & {node.id for node in call.args if isinstance(node, ast.Name)})
    return isinstance(root, ast.Name) and root.id in needed


def _is_settled(name, namespace) -> bool:
    """Modules, classes and functions are as the program defined them; they need no statements."""
    return isinstance(namespace.get(name), types.ModuleType | type | types.FunctionType | StandIn | PackageStandIn)


def _caller(tree, function):
    """`(call, function that it stands in)` of the first call of a function, or None."""

    def walk(node, inside):
        for child in ast.iter_child_nodes(node):
            within = child if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else inside
            if isinstance(child, ast.Call) and getattr(child.func, "id", None) == function.name and inside != function:
                yield child, inside
            yield from walk(child, within)

    return next(walk(tree, None), None)


def _parameters(function, caller, needed) -> list[tuple[str, ast.expr]]:
    """`(name, expression)` of the needed parameters: as the caller gives them, or their defaults."""
    arguments = function.args
    names = [item.arg for item in (*arguments.posonlyargs, *arguments.args)]
    values = dict(zip(names[len(names) - len(arguments.defaults) :], arguments.defaults))
    values.update(
        {item.arg: value for item, value in zip(arguments.kwonlyargs, arguments.kw_defaults) if value is not None}
    )
    if caller:
        values.update(zip(names, caller[0].args))
        values.update({keyword.arg: keyword.value for keyword in caller[0].keywords if keyword.arg})
    wanted = [name for name in (*names, *(item.arg for item in arguments.kwonlyargs)) if name in needed]
    for name in wanted:
        if name not in values:
            raise NotComputed(f"the argument {name} of {function.name}() is not known")
    return [(name, values[name]) for name in wanted]


def _read_names(node) -> set[str]:
    return {item.id for item in ast.walk(node) if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Load)}


def _bound_names(statements) -> set[str]:
    """Names that statements bind, or of which they set an attribute or an item; not those inside functions."""
    names = set()
    for statement in statements:
        targets = [*getattr(statement, "targets", []), getattr(statement, "target", None)]
        targets += [item.optional_vars for item in getattr(statement, "items", [])]
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            names.add(statement.name)
            continue
        for target in filter(None, targets):
            names |= {node.id for node in ast.walk(target) if isinstance(node, ast.Name)}
        for block in ("body", "orelse", "finalbody"):
            inner = getattr(statement, block, None)
            names |= _bound_names(inner) if isinstance(inner, list) else set()
    return names


def _called_names(node) -> set[str]:
    calls = (item.func for item in ast.walk(node) if isinstance(item, ast.Call))
    return {getattr(function, "attr", None) or getattr(function, "id", "") for function in calls}


def _last_line(tree) -> int:
    return max((getattr(node, "end_lineno", 0) or 0 for node in tree.body), default=0)


def _reason(source, node, error, output) -> str:
    """What went wrong, and in which line of the program."""
    file, line = source.place(node.lineno)
    if isinstance(error, SystemExit):
        said = output.strip().splitlines()
        words = said[-1].strip() if said else f"it stopped with exit status {error.code}"
    else:
        words = f"{type(error).__name__}: {error}"
    return f"{file}:{line}: {words}"
