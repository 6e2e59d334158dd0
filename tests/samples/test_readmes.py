"""The programs in the samples' READMEs: what they import exists, and what they call takes those arguments."""

import ast
import importlib
import inspect
import re

import pytest

from tests.support.samples import SAMPLES, load_sample

READMES = sorted(SAMPLES.glob("*/README.md"))


def programs(path):
    return re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.parent.name)
def test_a_program_comes_first(path):
    text = path.read_text(encoding="utf-8")
    assert 0 < text.index("```") < text.index("|---") if "|---" in text else 0 < text.index("```") < 300


@pytest.mark.parametrize("path", READMES, ids=lambda path: path.parent.name)
def test_imports_exist_and_keywords_are_taken(path):
    for source in programs(path):
        tree = ast.parse(source)
        names = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                own = (SAMPLES / path.parent.name / f"{node.module}.py").exists()
                module = load_sample(path.parent.name, node.module) if own else importlib.import_module(node.module)
                for alias in node.names:
                    found = getattr(module, alias.name, None) or importlib.import_module(f"{node.module}.{alias.name}")
                    names[alias.asname or alias.name] = found
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            function = names.get(ast.unparse(call.func).split(".")[0])
            for part in ast.unparse(call.func).split(".")[1:]:
                function = getattr(function, part, None)
            if callable(function):
                inspect.signature(function).bind(*call.args, **{item.arg: None for item in call.keywords})
