"""A picture of training images as they enter the network: resized, augmented, with masks, boxes and classes.

from mrcnn_plus.lint.preview import preview

preview(dataset_train, config, augmentation=augmenter, output="preview.png")
"""

from __future__ import annotations

import os
import textwrap
from typing import Any, NamedTuple

import numpy as np

from mrcnn_plus.config_values import mini_mask_shape, resize_settings
from mrcnn_plus.data.dataset import check_prepared
from mrcnn_plus.data.ground_truth import load_ground_truth
from mrcnn_plus.errors import ConfigError

_CAPTION = 20  # pixels of the strip above each picture
_GAP = 6
_COLUMNS = 4
_PAPER, _INK = 255, (40, 40, 40)


class Tile(NamedTuple):
    """A picture uint8 `[H, W, 3]` with the words above it."""

    picture: np.ndarray
    caption: str


def preview(
    dataset: Any,
    config: Any,
    *,
    augmentation: Any = None,
    count: int = 6,
    versions: int = 3,
    seed: int = 0,
    tile: int = 320,
    output: str | os.PathLike | None = None,
) -> np.ndarray:
    """Draw training images with what the network is taught about them, through the code that training uses.

    dataset: a prepared `Dataset`; config: a `Config`, of which sizes, resizing and mini masks are taken.
    augmentation: as for `train`; each image then stands in a row, first as it is, then in so many `versions`.
    count: images, chosen by `seed`, which also decides what an imgaug augmenter draws. tile: pixels of the longer side
    of a picture. output: a file to write, .png or .jpg.

    Masks are drawn as they are stored for training, so mini masks show what they lose. An image that cannot be made
    ready shows the reason. Returns the whole picture, uint8 `[H, W, 3]`.
    Raises `DatasetError` for a data set without images, `ConfigError` for a file that cannot be written.
    """
    check_prepared(dataset)
    rng = np.random.default_rng(seed)
    image_ids = np.sort(rng.permutation(dataset.image_ids)[:count])
    passes = [None] if augmentation is None else [None, *[augmentation] * versions]
    tiles = []
    for image_id in image_ids:
        for number, augment in enumerate(passes):
            words = f" {'augmented ' + str(number) if number else 'as it is'}" if len(passes) > 1 else ""
            draw_rng = np.random.default_rng([seed, int(image_id), number])
            tiles.append(_draw(dataset, config, int(image_id), augment, draw_rng, tile=tile, words=words))
    columns = len(passes) if augmentation is not None else min(_COLUMNS, len(tiles))
    picture = _arrange(tiles, columns)
    if output is not None:
        _write(picture, output)
    return picture


def _draw(dataset, config, image_id, augmentation, rng, *, tile, words) -> Tile:
    from mrcnn_plus.drawing.overlay import draw_overlay

    name = _name(dataset, image_id)
    try:
        truth = load_ground_truth(
            *(dataset, image_id),
            resize=resize_settings(config),
            channels=config.IMAGE_CHANNEL_COUNT,
            mini_mask_shape=mini_mask_shape(config),
            augmentation=augmentation,
            rng=rng,
        )
        masks = _full_masks(truth, config)
        image, masks, boxes = _scaled(truth.image, masks, truth.boxes_px, tile)
        names = [str(info["name"]) for info in dataset.class_info]
        picture = draw_overlay(image, boxes, masks, truth.class_ids, names, show_boxes=True)
    except Exception as error:  # shown in its place; the others may be all right
        return Tile(_page_of_text(f"{type(error).__name__}: {error}", tile), f"{name}{words}: failed")
    height, width = truth.image.shape[:2]
    count = len(truth.class_ids)
    return Tile(picture, f"{name}{words}: {count} object{'' if count == 1 else 's'}, {height} x {width}")


def _full_masks(truth, config):
    """Masks of the image's size, those cut to their boxes put back in their places: bool `[H, W, N]`."""
    if mini_mask_shape(config) is None or not len(truth.class_ids):
        return truth.masks if len(truth.class_ids) else np.zeros((*truth.image.shape[:2], 0), bool)
    from mrcnn_plus.geometry.masks import expand_mask

    return expand_mask(truth.boxes_px, truth.masks, truth.image.shape) > 0


def _scaled(image, masks, boxes, tile):
    """Image, masks and boxes with a longer side of `tile` pixels; drawn at that size, lines stay visible."""
    import cv2

    from mrcnn_plus.drawing.canvas import to_rgb_pixels

    height, width = image.shape[:2]
    factor = tile / max(height, width)
    size = (max(round(width * factor), 1), max(round(height * factor), 1))
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST
    image = cv2.resize(to_rgb_pixels(image), size, interpolation=method)
    planes = np.zeros((size[1], size[0], masks.shape[2]), bool)
    for n in range(masks.shape[2]):
        shares = cv2.resize(masks[..., n].astype(np.float32), size, interpolation=method)
        # What is smaller than a pixel here would vanish, and it is what one wants to see.
        planes[..., n] = shares > min(0.5, 0.5 * shares.max())
    return image, planes, np.asarray(boxes, float).reshape(-1, 4) * factor


def _page_of_text(text, tile):
    """A picture with a message, uint8 `[tile, tile, 3]`."""
    page = np.full((tile, tile, 3), 235, np.uint8)
    for number, line in enumerate(textwrap.wrap(text, max(tile // 7, 10))[: tile // 16 - 1]):
        page = _with_text(page, line, 6, 6 + 16 * number)
    return page


def _arrange(tiles, columns) -> np.ndarray:
    """All tiles in rows, each with its caption."""
    width = max(tile.picture.shape[1] for tile in tiles)
    rows = []
    for start in range(0, len(tiles), columns):
        row = tiles[start : start + columns]
        height = max(tile.picture.shape[0] for tile in row) + _CAPTION
        strip = np.full((height + _GAP, columns * (width + _GAP) + _GAP, 3), _PAPER, np.uint8)
        for column, tile in enumerate(row):
            left = _GAP + column * (width + _GAP)
            tall, wide = tile.picture.shape[:2]
            strip[_CAPTION : _CAPTION + tall, left : left + wide] = tile.picture
            strip[:_CAPTION, left : left + width] = _with_text(
                strip[:_CAPTION, left : left + width], _shortened(tile.caption, width // 7), 1, 3
            )
        rows.append(strip)
    return np.concatenate(rows)


def _with_text(picture, text, x, y):
    """A copy with a line of text; Pillow's font holds more than ASCII."""
    import matplotlib
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.truetype(os.path.join(matplotlib.get_data_path(), "fonts", "ttf", "DejaVuSans.ttf"), 12)
    drawn = Image.fromarray(np.ascontiguousarray(picture))
    ImageDraw.Draw(drawn).text((x, y), text, font=font, fill=_INK)
    return np.array(drawn)


def _shortened(text, length):
    return text if len(text) <= length else "..." + text[-(length - 3) :]


def _name(dataset, image_id) -> str:
    info = dataset.image_info[image_id]
    path = info.get("path")
    return os.path.basename(str(path)) if path else f"image {image_id}"


def _write(picture, output):
    from PIL import Image

    try:
        Image.fromarray(picture).save(output)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"preview: the picture cannot be written, received output={str(output)!r}: {error}."
        ) from error
