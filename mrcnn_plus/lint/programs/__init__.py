"""Users' programs: their `Config` and `Dataset` subclasses, how they train, and the data they train on.

    program = read_program("nucleus.py")
    for found in program.configs:
        report = lint.check(found.config, program.train, program.val, run=found.run)

A program is imported without its `__main__`: only its definitions are run (`definitions.py`). What cannot be imported,
or everything with `static=True`, is read from the text (`static.py`).
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from mrcnn_plus.config import Config
from mrcnn_plus.data.dataset import Dataset
from mrcnn_plus.lint.facts import Run
from mrcnn_plus.lint.programs import datasets, stand_ins
from mrcnn_plus.lint.programs.definitions import Definitions, run_definitions
from mrcnn_plus.lint.programs.environment import old_numpy_names, program_environment
from mrcnn_plus.lint.programs.slices import NotComputed, evaluate_in_context
from mrcnn_plus.lint.programs.source import ProgramError, ProgramSource, read_source
from mrcnn_plus.lint.programs.static import StaticNamespace, is_read, read_class, unread_settings
from mrcnn_plus.lint.programs.training import (
    TrainingCalls,
    describe_run,
    find_training_calls,
    mode_of_config,
    value_with_config,
)
from mrcnn_plus.lint.programs.weights import WeightsToLoad, weights_of_program
from mrcnn_plus.lint.settings_source import assigned_lines

__all__ = ["FoundConfig", "Program", "ProgramError", "WeightsToLoad", "open_program"]


@dataclass
class FoundConfig:
    """A configuration of the program: its class's name, an instance, and how the program uses it."""

    name: str
    config: Any
    run: Run
    is_static: bool = False

    @property
    def unread(self) -> dict[str, str]:
        """`{setting: why}` of settings that could not be read from the text."""
        return unread_settings(self.config)


@dataclass
class Program:
    """configs: those to check, for training first. datasets: the `Dataset` subclasses. train, val: built data sets.

    notes: what the user should know about how the program was read. find_weights: gives a list of `WeightsToLoad`; to
    be called as long as the program is open.
    """

    path: str
    configs: list[FoundConfig] = field(default_factory=list)
    datasets: list[type] = field(default_factory=list)
    train: Any = None
    val: Any = None
    notes: list[str] = field(default_factory=list)
    find_weights: Callable[[], list[WeightsToLoad]] = list


@contextlib.contextmanager
def open_program(
    path: str,
    config_name: str | None = None,
    *,
    static: bool = False,
    arguments: Sequence[str] = (),
    train: str | None = None,
    val: str | None = None,
    build_datasets: bool = True,
) -> Iterator[Program]:
    """The program, for the length of a `with`: its classes may import modules that stand beside it when they are used.

    config_name: the class to check, None for all. static: parse only. arguments: the program's own command line.
    train, val: expressions that build data sets. build_datasets: build those that the program trains on.
    Raises `ProgramError` where there is nothing to check.
    """
    source = read_source(path)
    calls = find_training_calls(source.tree)
    if static:
        yield _read_static(source, calls, config_name)
        return
    with program_environment(source, arguments):
        reader = _Reader(source, calls, run_definitions(source))
        program = reader.program(config_name)
        if train or val or build_datasets:
            stand_ins.replace_library_stand_ins(reader.definitions.namespace)
        if train or val:
            scope, known = reader.definitions.namespace, program.datasets
            program.train = datasets.dataset_from_words(train, known, scope) if train else None
            program.val = datasets.dataset_from_words(val, known, scope) if val else None
        elif build_datasets:
            reader.build_datasets(program)
        yield program


class _Reader:
    """Finds in an imported program what is to be checked."""

    def __init__(self, source: ProgramSource, calls: TrainingCalls, definitions: Definitions):
        self.source, self.calls, self.definitions = source, calls, definitions
        self.namespace = definitions.namespace
        self.static = StaticNamespace(source, self.namespace)
        self.notes: list[str] = []

    def program(self, config_name) -> Program:
        classes = self._config_classes(config_name)
        used = self._configs_in_use()
        configs = [self._found(item, used) for item in classes]
        configs.sort(key=lambda found: found.run.mode == "inference")
        found = [item for item in self.namespace.values() if _is_subclass(item, Dataset)]
        if self.definitions.missing:
            names = ", ".join(sorted(self.definitions.missing))
            self.notes.append(f"{self.source.path}: not installed here, and left out: {names}.")
        if old := old_numpy_names(self.source.tree):
            self.notes.append(
                f"{self.source.path}: {', '.join(old)} left NumPy with version 1.24. `mrcnn-plus run` gives them back; "
                "better write int, float, object."
            )
        program = Program(self.source.path, configs, list(dict.fromkeys(found)), notes=self.notes)
        program.find_weights = self._weights
        return program

    def _weights(self) -> list[WeightsToLoad]:
        return weights_of_program(self.source, self.namespace, self.calls)

    def build_datasets(self, program):
        """The data sets that the program trains on, or a note why not."""
        if not self.calls.trains:
            return
        reason = "nothing"
        for call in self.calls.trains:
            try:
                program.train, program.val = datasets.datasets_of_call(self.source, self.namespace, call)
            except NotComputed as error:
                reason = reason if reason != "nothing" else str(error)
                continue
            self._read_augmentation(program, call)
            return
        example = datasets.example_of_expression(program.datasets)
        program.notes.append(
            f"The data were not checked: the data sets that the program trains on could not be built ({reason}). "
            f"Give them with --train '{example}' (and --val), the program's own arguments after --, or --data PATH."
        )

    def _read_augmentation(self, program, call):
        node = call.arguments.get("augmentation")
        for found in program.configs if node is not None else ():
            if found.run.mode == "training":
                with contextlib.suppress(Exception):  # then it is not checked; training will tell
                    value = evaluate_in_context(self.source, self.namespace, node, call.function)
                    found.run.augmentation = stand_ins.resolve(value)

    def _config_classes(self, config_name) -> list[type]:
        """The classes to check; those of the program itself, else those that it imports."""
        own = self._own_classes()
        imported = [item for item in self.namespace.values() if _is_subclass(item, Config)]
        if config_name:
            known = {item.__name__: item for item in (*imported, *own)}
            if config_name not in known:
                names = ", ".join(known) or "none"
                raise ProgramError(f"{self.source.path}: there is no Config class {config_name!r}; there are: {names}.")
            return [known[config_name]]
        classes = own or list(dict.fromkeys(imported))
        if not classes:
            raise ProgramError(f"{self.source.path}: no subclass of Config was found.{self._first_failure()}")
        return classes

    def _own_classes(self) -> list[type]:
        """`Config` subclasses of the program; those that failed, or stand in its main part, as their text says."""
        classes = []
        for name, node in self.static.class_nodes.items():
            item = self.namespace.get(name)
            if not isinstance(item, type):
                item = self.static.names[name]
                if failure := self._failure_at(node):
                    self.notes.append(f"{self._place(node)}: {name} is read from its text, because {failure}.")
            elif "_setting_places" not in vars(item):
                lines = assigned_lines(node)
                item._setting_places = {key: self.source.place(line) for key, line in lines.items()}
            classes.append(item)
        return classes

    def _configs_in_use(self) -> dict[str, tuple[str, Any]]:
        """`{class: (mode, instance or None)}` of the configurations that the program gives to `MaskRCNN`."""
        used = {}
        for call in self.calls.models:
            node, mode = call.arguments.get("config"), call.arguments.get("mode")
            if node is None:
                continue
            try:
                config = evaluate_in_context(self.source, self.namespace, node, call.function)
            except NotComputed:
                continue
            if isinstance(config, Config):
                words = getattr(mode, "value", None)
                used.setdefault(type(config).__name__, (words, config))
        return used

    def _found(self, item, used) -> FoundConfig:
        mode, config = used.get(item.__name__, (None, None))
        is_static = is_read(item)
        if not isinstance(config, item):
            config, is_static = self._instance(item)
        mode = mode if mode in ("training", "inference") else mode_of_config(item.__name__)
        if mode == "inference":
            return FoundConfig(item.__name__, config, Run(mode="inference"), is_static)
        run = describe_run(self.calls, value_with_config(config, self.static.lookup))
        if run.mode == "inference":  # the program trains nothing
            run = Run(mode=None, model_dir=run.model_dir)
        return FoundConfig(item.__name__, config, run, is_static)

    def _instance(self, item) -> tuple[Any, bool]:
        """An instance of a class; one made from its text, if its `__init__` needs arguments or fails."""
        try:
            return item(), is_read(item)
        except Exception as error:
            node = self.static.class_nodes.get(item.__name__)
            if node is None:
                raise ProgramError(
                    f"{item.__module__}.{item.__name__}: an instance cannot be made: {type(error).__name__}: {error}."
                ) from error
            self.notes.append(
                f"{self._place(node)}: {item.__name__} is read from its text, because {item.__name__}() fails: {error}."
            )
            return read_class(node, item.__bases__, self.static)(), True

    def _place(self, node) -> str:
        file, line = self.source.place(node.lineno)
        return f"{file}:{line}"

    def _failure_at(self, node) -> str:
        """What went wrong when the class was defined; nothing if it stands where nothing is run."""
        for line, error in self.definitions.failures:
            if node.lineno <= line <= node.end_lineno:
                return f"importing it failed: {type(error).__name__}: {error}"
        return ""

    def _first_failure(self) -> str:
        if not self.definitions.failures:
            return ""
        line, error = self.definitions.failures[0]
        file, line = self.source.place(line)
        return f" The first failure was at {file}:{line}: {type(error).__name__}: {error}."


def _read_static(source, calls, config_name) -> Program:
    """The program without running any of it."""
    namespace = StaticNamespace(source)
    classes = namespace.configs() or [
        item for item in namespace.names.values() if _is_subclass(item, Config) and item is not Config
    ]
    if config_name:
        classes = [item for item in classes if item.__name__ == config_name]
    if not classes:
        wanted = f"Config class {config_name!r}" if config_name else "subclass of Config"
        raise ProgramError(f"{source.path}: no {wanted} was found in the text.")
    program = Program(source.path)
    for item in dict.fromkeys(classes):
        config = item()
        mode = mode_of_config(item.__name__)
        run = Run(mode="inference")
        if mode == "training":
            run = describe_run(calls, value_with_config(config, namespace.lookup))
        program.configs.append(FoundConfig(item.__name__, config, run, is_static=True))
    program.configs.sort(key=lambda found: found.run.mode == "inference")
    return program


def _is_subclass(item, base) -> bool:
    return inspect.isclass(item) and issubclass(item, base) and not item.__module__.startswith("mrcnn_plus.")
