"""Which library a name in a program stands for: `np.int` is `numpy.int` after `import numpy as np`."""

from __future__ import annotations

import ast

# Packages that programs reach by more than one name.
_SAME = {
    "tensorflow.keras": "keras",
    "tensorflow.compat.v1.keras": "keras",
    "keras.backend.tensorflow_backend": "keras.backend",
}


class Names:
    """The imports of a program: `{name in the program: dotted name that it stands for}`."""

    def __init__(self, tree):
        self.imported: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    top = alias.name.partition(".")[0]
                    self.imported[alias.asname or top] = alias.name if alias.asname else top
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    self.imported[alias.asname or alias.name] = f"{node.module}.{alias.name}"

    def dotted(self, node) -> str | None:
        """`numpy.int` for the node of `np.int`; None for what is no imported name."""
        parts = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name) or node.id not in self.imported:
            return None
        return plain(".".join([self.imported[node.id], *reversed(parts)]))

    def name_of(self, module: str) -> str | None:
        """The name under which a program has a module, or None."""
        return next((name for name, dotted in self.imported.items() if dotted == module), None)


def plain(dotted: str) -> str:
    """The dotted name with one name for each package."""
    for other, name in _SAME.items():
        if dotted == other or dotted.startswith(other + "."):
            return name + dotted[len(other) :]
    return dotted


def text_name(node) -> str | None:
    """`self.graph` for such a node, whatever it stands for; None for anything but dotted names."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else None
