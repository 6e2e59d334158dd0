"""Examples for `lint/rules/environment.py`: machines as they might be."""

import importlib.util

from mrcnn_plus.config import Config
from mrcnn_plus.data.dataset import Dataset
from mrcnn_plus.lint import Run
from mrcnn_plus.lint.measuring.environment_facts import Environment
from tests.support.lint_cases import Case

PROGRAM = """
from mrcnn_plus.config import Config
{import_line}

class PartsConfig(Config):
    NAME = "parts"
"""
BOTH = {"opencv-python": "4.10.0", "opencv-python-headless": "4.11.0"}
NUMPY_2 = {"numpy": "2.1.0", "imgaug": "0.4.0"}


class PartsConfig(Config):
    NAME = "parts"
    NUM_CLASSES = 2


def machine(**known):
    return lambda _: {"run": Run(environment=Environment(**known))}


def program(import_line, packages):
    """The configuration of a program that has this line."""

    def arguments(folder):
        path = folder / "parts.py"
        path.write_text(PROGRAM.format(import_line=f"def train():\n    {import_line}"))
        spec = importlib.util.spec_from_file_location("parts_program", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        module.PartsConfig._setting_places = {"NAME": (str(path), 6)}
        return {"config": module.PartsConfig(), "run": Run(environment=Environment(packages=packages))}

    return arguments


def an_image_checked(forks):
    """One image, of which every pixel is read."""

    def arguments(_):
        dataset = Dataset()
        dataset.add_class("parts", 1, "part")
        dataset.add_image("parts", 1, "parts.png")
        dataset.prepare()
        run = Run(environment=Environment(forks=forks))
        return {"train": dataset, "depth": "pixels", "run": run}

    return arguments


def on_disk(free):
    return lambda folder: {
        "config": PartsConfig(),
        "run": Run(model_dir=str(folder / "logs")),
        "thresholds": {"ENV006": {"bytes_free": free}},
    }


GPU = {"gpus": ("NVIDIA A100",), "packages": {"tensorflow-cpu": "2.20.0"}}

CASES = {
    "ENV001": Case(
        machine(packages={"keras": "3.8.0"}, required={"keras": "3.13"}),
        machine(packages={"keras": "3.13.1"}, required={"keras": "3.13", "rich": "13"}),
    ),
    "ENV002": Case(machine(**GPU, gpu_support=False), machine(**GPU, gpu_support=True)),
    "ENV003": Case(
        program("from imgaug import augmenters as iaa", NUMPY_2),
        program("from imgaug import augmenters as iaa", {**NUMPY_2, "numpy": "1.26.4"}),
    ),
    "ENV004": Case(an_image_checked(forks=False), an_image_checked(forks=True)),
    "ENV005": Case(machine(packages=BOTH), machine(packages={"opencv-python": "4.10.0"})),
    "ENV006": Case(on_disk(20e6), on_disk(20e9)),
}
