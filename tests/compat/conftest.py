"""Runs texts as programs with the shims, in the process of the test."""

import textwrap

import pytest

from mrcnn_plus.compat.libraries import installed


@pytest.fixture
def run_text(tmp_path):
    """A function that runs a text as a user's program with the shims: its namespace and `{shim: first line}`.

    names: what the program has before its first line.
    """

    def run(text, **names):
        path = str(tmp_path / "program.py")
        namespace = {"__name__": "program", **names}
        with installed() as log:
            exec(compile(textwrap.dedent(text).strip(), path, "exec"), namespace)
        uses = {name: places[0] for name, _, places in log.uses()}
        assert all(file == path for file, _ in uses.values())
        return namespace, {name: line for name, (_, line) in uses.items()}

    return run
