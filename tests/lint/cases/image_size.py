"""Examples for `lint/rules/image_size.py` and `image_size_and_data.py`."""

from mrcnn_plus.lint import Run
from tests.support.lint_boxes import settings, similar_objects
from tests.support.lint_cases import Case


def sized(side, **values):
    return settings(IMAGE_MIN_DIM=side, IMAGE_MAX_DIM=side, **values)


def data(config, **objects):
    return {"config": config, "train": similar_objects(**objects)}


def only_settings(**values):
    return lambda _: {"config": settings(**values)}


def of_many_sizes(images):
    sizes = [(256 + 64 * number, 320) for number in range(images)]
    return similar_objects(images, height=50, width=50, size=(256, 256)), sizes


def pad64(images):
    dataset, sizes = of_many_sizes(images)
    for info, (height, width) in zip(dataset.image_info, sizes, strict=True):
        info["height"], info["width"] = height, width
    return {"config": settings(IMAGE_RESIZE_MODE="pad64", IMAGE_MIN_DIM=256), "train": dataset}


CASES = {
    "CFG001": Case(only_settings(IMAGE_RESIZE_MODE="pad"), only_settings(IMAGE_RESIZE_MODE="pad64")),
    "CFG002": Case(only_settings(IMAGE_MAX_DIM=1000), only_settings(IMAGE_MAX_DIM=960)),
    "CFG003": Case(
        only_settings(IMAGE_RESIZE_MODE="crop", IMAGE_MIN_DIM=500),
        only_settings(IMAGE_RESIZE_MODE="crop", IMAGE_MIN_DIM=512, IMAGE_MAX_DIM=1000),
    ),
    "CFG004": Case(
        only_settings(IMAGE_RESIZE_MODE="pad64", IMAGE_MIN_DIM=600),
        only_settings(IMAGE_RESIZE_MODE="pad64", IMAGE_MIN_DIM=0),
    ),
    "CFG005": Case(
        lambda _: data(settings(IMAGE_RESIZE_MODE="none"), size=(450, 600)),
        lambda _: data(settings(IMAGE_RESIZE_MODE="none"), size=(448, 640)),
    ),
    "CFG006": Case(
        lambda _: {"config": settings(IMAGE_RESIZE_MODE="crop"), "run": Run(mode="inference")},
        lambda _: {"config": settings(IMAGE_RESIZE_MODE="crop"), "run": Run(mode="training")},
    ),
    "CFG007": Case(only_settings(IMAGE_MAX_DIM=512), only_settings(IMAGE_MIN_DIM=512, IMAGE_MAX_DIM=512)),
    "CFG008": Case(lambda _: data(sized(512, IMAGE_MIN_SCALE=2)), lambda _: data(sized(1024, IMAGE_MIN_SCALE=2))),
    "CFG009": Case(lambda _: data(sized(640)), lambda _: data(sized(512)), severity="warning"),
    "CFG022": Case(
        lambda _: data(settings(IMAGE_MIN_DIM=0), size=(512, 512)), lambda _: data(sized(512)), severity="warning"
    ),
    "CFG023": Case(
        lambda _: data(settings(IMAGE_RESIZE_MODE="crop", IMAGE_MIN_DIM=256), height=400, width=100),
        lambda _: data(settings(IMAGE_RESIZE_MODE="crop", IMAGE_MIN_DIM=256), height=200, width=100),
    ),
    "CFG024": Case(lambda _: pad64(30), lambda _: pad64(5)),
    "CFG025": Case(
        lambda _: data(sized(512), height=20, width=20, size=(2048, 2048)),
        lambda _: data(sized(512), height=60, width=60, size=(2048, 2048)),
    ),
    "DAT014": Case(
        lambda _: data(sized(512), height=5, width=50, size=(2048, 2048)),
        lambda _: data(sized(512), height=50, width=50, size=(2048, 2048)),
    ),
}
