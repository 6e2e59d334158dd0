"""Imports point one way, and what needs no network loads neither Keras nor a backend."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import mrcnn_plus

PACKAGE = Path(mrcnn_plus.__file__).parent

# From the inside out: a part may import parts of earlier rows only, and modules of its own.
ORDER = [
    {"errors", "constants", "verbose", "memory", "as_mrcnn", "atomic_files"},
    {"compat"},
    {"migration"},
    {"config_base"},
    {"config", "config_record"},
    {"geometry"},
    {"config_values", "execution"},
    {"data", "network", "weights", "evaluation", "drawing"},
    {"inference", "lint"},
    {"config_adapter"},
    {"training"},
    {"diagnosis", "export"},
    {"mask_rcnn"},
    {"model", "utils", "visualize", "parallel_model"},
    {"cli"},
    {"__main__"},
]
RANK = {part: rank for rank, parts in enumerate(ORDER) for part in parts}
FACADES = {"model", "utils", "visualize", "parallel_model"}

# Modules that may read Config; everything further in takes plain values.
READS_CONFIG = FACADES | {
    *("network.assembly", "config_adapter", "mask_rcnn", "cli", "training", "lint", "diagnosis", "export"),
}

# (importing module, imported module): why it is allowed against the order.
EXCEPTIONS = {
    ("config_base", "lint"): "Config.validate() runs the rules, and loads them when it is called",
    ("data.dataset", "lint"): "Dataset.check() runs the rules, and loads them when it is called",
    ("drawing.instances", "evaluation.matching"): "display_differences draws how detections match the ground truth",
}

BACKENDS = {"keras", "tensorflow", "jax", "torch"}


def module_name(path: Path) -> str:
    """`network/backbones/resnet.py` -> `network.backbones.resnet`; the package itself is the empty string."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def imported_modules(path: Path, modules: set[str]) -> set[str]:
    """Modules of the package that a file imports, anywhere in it."""
    inside = ["mrcnn_plus", *module_name(path).split(".")]
    package = inside if path.name == "__init__.py" else inside[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            base = ".".join(filter(None, [base, node.module]))
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.split(".")[0] == "mrcnn_plus":
                found.add(longest_module(name.partition(".")[2], modules))
    return found


def longest_module(name: str, modules: set[str]) -> str:
    """`geometry.boxes.norm_boxes` -> `geometry.boxes`: the module in which an imported name lives."""
    while name and name not in modules:
        name = name.rpartition(".")[0]
    return name


def import_graph() -> dict[str, set[str]]:
    """`{module: modules of the package that it imports}`."""
    paths = {module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
    return {name: imported_modules(path, set(paths)) - {name} for name, path in paths.items()}


def part_of(module: str) -> str:
    return module.split(".")[0]


GRAPH = import_graph()
EDGES = [(module, target) for module, targets in GRAPH.items() for target in sorted(targets) if target]


def test_the_walk_finds_the_imports():
    assert "config_base" in GRAPH["config"]
    assert "errors" in GRAPH["config_base"]
    assert len(GRAPH) > 10


def test_every_part_has_a_place_in_the_order():
    assert {part_of(module) for module in GRAPH} - set(RANK) == {""}


def test_imports_point_one_way():
    against = [
        f"{module} imports {target}"
        for module, target in EDGES
        if module
        and part_of(module) != part_of(target)
        and RANK[part_of(target)] >= RANK[part_of(module)]
        and (module, target) not in EXCEPTIONS
        and not {part_of(module), part_of(target)} <= FACADES
    ]
    assert against == []


def test_exceptions_from_the_order_are_still_needed():
    assert set(EXCEPTIONS) <= set(EDGES)


def test_nothing_but_a_facade_imports_a_facade():
    wrong = [f"{module} imports {target}" for module, target in EDGES if target in FACADES and module not in FACADES]
    assert wrong == []


def test_config_is_read_in_the_outer_ring_only():
    readers = {module for module, target in EDGES if target in {"config", "config_base"}} - {"config", "config_record"}
    assert {module for module in readers if not {module, part_of(module)} & READS_CONFIG} == set()


def test_there_are_no_circles():
    done: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]):
        assert module not in trail, " -> ".join([*trail[trail.index(module) :], module])
        if module not in done:
            for target in sorted(GRAPH[module]):
                if (module, target) not in EXCEPTIONS:
                    visit(target, (*trail, module))
            done.add(module)

    for module in GRAPH:
        visit(module, ())


def loaded_after(statement: str) -> set[str]:
    """Top-level modules in a fresh interpreter after the statement."""
    code = f"import sys\n{statement}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    return set(told.splitlines()[-1].split())


@pytest.mark.parametrize(
    "statement",
    [
        "import mrcnn_plus",
        "import mrcnn_plus; mrcnn_plus.Config; mrcnn_plus.config; mrcnn_plus.WeightsError",
        "import mrcnn_plus; mrcnn_plus.Dataset",
        "from mrcnn_plus.config import Config; Config().display()",
        "import mrcnn_plus.geometry.boxes",
        "import mrcnn_plus.geometry.molding",
        "import mrcnn_plus.data.dataset",
        "import mrcnn_plus.data.batches",
        "import mrcnn_plus.evaluation.matching",
        "import mrcnn_plus.drawing.instances",
    ],
)
def test_what_needs_no_network_loads_neither_keras_nor_a_backend(statement):
    loaded = loaded_after(statement)
    assert "mrcnn_plus" in loaded
    assert loaded & BACKENDS == set()


def test_config_needs_only_numpy():
    heavy = {"cv2", "skimage", "scipy", "matplotlib", "h5py", "PIL", "imgaug", "pycocotools", "rich"}
    assert loaded_after("from mrcnn_plus.config import Config") & heavy == set()


def test_the_package_alone_does_not_even_load_numpy():
    assert "numpy" not in loaded_after("import mrcnn_plus")


def test_an_unknown_name_of_the_package_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_name"):
        mrcnn_plus.no_such_name  # noqa: B018


def test_the_package_lists_what_it_exports():
    assert {"Config", "Dataset", "MaskRCNN", "DatasetError", "utils", "__version__"} <= set(dir(mrcnn_plus))
    assert mrcnn_plus.Config.__module__ == "mrcnn_plus.config"
    assert not hasattr(mrcnn_plus, "no_such_name")
