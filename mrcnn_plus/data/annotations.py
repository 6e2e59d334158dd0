"""The form that annotations of every format are brought into, and the data set made of them.

A reader (`mrcnn_plus.data.readers`) turns a file into an `AnnotatedDataset`: each image has a list of `Annotation`, and
what the reader met on the way is a list of `Problem`. Nothing is left out of training without being listed there.
"""

import functools
import logging
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from mrcnn_plus.data.dataset import Dataset, describe_image
from mrcnn_plus.data.notices import warn_once
from mrcnn_plus.data.readers.mask_images import read_mask_file
from mrcnn_plus.data.readers.outlines import (  # noqa: F401  also meant to be imported from here
    outline_area,
    outline_areas,
    outline_box,
    outline_boxes,
    undrawable,
    why_undrawable,
)
from mrcnn_plus.data.readers.photo_frames import (
    Frame,
    apply_orientation,
    decide_frame,
    read_header,
    stored_header,
    stored_pixels,
)
from mrcnn_plus.data.readers.rasterizing import Undrawable, draw_annotation
from mrcnn_plus.errors import DatasetError

logger = logging.getLogger(__name__)

# Lint rules that report what readers meet.
PROBLEM_CODES = {
    "DAT008": "mask of another size than the image",
    "DAT013": "instance without a pixel",
    "DAT016": "photo that viewers turn, or of another size than declared",
    "DAT017": "file missing or unreadable",
    "DAT023": "shape that cannot be drawn as it is, or object without a class",
    "DAT024": "layout of the annotation file or folder",
    "DAT025": "ids and fields that do not belong together",
    "DAT033": "outline with too few points, or an odd number of coordinates",
    "DAT034": "coordinates that are not finite or absurdly large",
    "DAT035": "RLE that is damaged or of another size than the image",
    "DAT036": "class names that differ by case, spaces or encoding",
    "DAT037": "image files without an entry in the annotations",
    "DAT038": "image found under another name than the annotations give",
    "DAT039": "text encoding of the annotation file",
}


@dataclass(slots=True)
class Annotation:
    """One object as the user's file describes it; coordinates in pixels, x to the right and y down.

    class_id: class of the data set, from 1. place: where it stands in the file, e.g. "annotations[17] (id 4711)".
    kind: decides what geometry is:
        "polygon"    list of float64 arrays `[K, (x, y)]`, its parts
        "rle"        {"size": [height, width] or None, "counts": list, array or COCO's text}
        "mask_file"  `MaskFile(path, value, bounds, pixels)`
        "rectangle"  (x, y, width, height)
        "circle"     (x, y, radius)
        "ellipse"    (x, y, radius_x, radius_y, angle), radians from x towards y
        "polyline", "point"  float64 array `[K, (x, y)]`
    box: declared (x, y, width, height), or None; area: declared, or None.
    crowd: several objects under one outline, which training neither rewards nor punishes.
    stroke: width of a polyline or radius of a point; None if nobody stated it.
    """

    class_id: int
    place: str
    kind: str
    geometry: Any
    box: tuple | None = None
    area: float | None = None
    crowd: bool = False
    stroke: float | None = None


@dataclass(slots=True)
class Problem:
    """Something that a reader met; code: id of the lint rule that reports it; skipped: it will not be trained on."""

    code: str
    where: str
    message: str
    value: Any = None
    skipped: bool = False

    def __str__(self):
        received = "" if self.value is None else f" Received: {_short(self.value)}."
        return f"{self.code} {self.where}: {self.message}{received}"


class Instances(NamedTuple):
    """Masks of an image, bool `[H, W, N]`, their N annotations, and what was left out: `(annotation, code, why)`."""

    masks: np.ndarray
    annotations: list
    left_out: list


class AnnotatedDataset(Dataset):
    """A data set whose masks are drawn from annotations that a reader found.

    image_info[i]: beside "id", "source" and "path" it has "width" and "height" (declared by the annotation file, or
        None), "annotations" (a list of `Annotation`, also those that cannot be drawn) and "place" (words for messages).
    problems: list of `Problem`. source_path: the annotation file or folder. format: "coco", "via", ...
    polygon_rule: "coco" (pycocotools' pixels) or "closed" (those of `skimage.draw.polygon`).
    upright_by_custom: the annotation tool shows photos turned by their EXIF orientation.
    """

    def __init__(self, source_path="", format="", *, polygon_rule="closed", upright_by_custom=False):
        super().__init__()
        self.source_path = str(source_path)
        self.format = format
        self.polygon_rule = polygon_rule
        self.upright_by_custom = upright_by_custom
        self.problems = []
        self._listed = set()
        self._frames = {}

    def add_problem(self, code, where, message, value=None, *, skipped=False):
        """List what was met. The same thing is listed once, and what is skipped has one reason."""
        known = where if skipped else (code, where, message)
        if known not in self._listed:
            self._listed.add(known)
            self.problems.append(Problem(code, where, message.rstrip(". ") + ".", value, skipped))

    def image_reference(self, image_id):
        """The path of the image."""
        return str(self.image_info[image_id]["path"])

    def photo_frame(self, image_id, header=None):
        """The `Frame` in which this image and its masks are given.

        header: `Header` or (width, height, orientation); by default it is read from the file. What was decided about a
        photo that viewers turn is listed in `problems`.
        """
        frame = self._frames.get(image_id)
        if frame is None:
            frame = self._decide_frame(image_id, header)
            self._frames[image_id] = frame
        return frame

    def read_header(self, image_id):
        """The `Header` of the stored image: size and EXIF orientation. Raises `DatasetError` that names the image."""
        info = self._info(image_id)
        try:
            return stored_header(info)
        except DatasetError as error:
            raise DatasetError(f"{describe_image(self, image_id)}: {error}") from error

    def load_image(self, image_id):
        """The image as RGB, uint8 `[H, W, 3]`, turned upright where its annotations are (see `photo_frame`)."""
        info = self._info(image_id)
        frame = self.photo_frame(image_id)
        if frame.reason:
            # The same kind as the notice of image_decoding, which says that masks must fit the stored pixels.
            warn_once(
                logger,
                "EXIF orientation",
                "%s has an EXIF orientation; image and masks are given in the frame of its annotations, decided for "
                "each photo: see dataset.problems. Said for the first such file only.",
                self.place_of(image_id),
            )
        try:
            pixels = stored_pixels(info)
        except DatasetError as error:
            raise DatasetError(f"{describe_image(self, image_id)}: {error}") from error
        return pixels if frame.orientation == 1 else apply_orientation(pixels, frame.orientation)

    def load_mask(self, image_id):
        """Masks bool `[H, W, N]` and class ids int32 `[N]`, negative for crowds.

        Instances that have no pixel in the image, or cannot be drawn, are left out; they are listed in `problems`.
        """
        masks, annotations, left_out = self.load_instances(image_id)
        for annotation, code, reason in left_out:
            self._list_left_out(image_id, annotation, code, reason)
        ids = [-annotation.class_id if annotation.crowd else annotation.class_id for annotation in annotations]
        return masks, np.array(ids, np.int32)

    def load_instances(self, image_id):
        """`Instances` of an image: what `load_mask` gives, the annotation of each mask, and those left out."""
        annotations = self._info(image_id)["annotations"]
        frame = self.photo_frame(image_id)
        masks = np.zeros((len(annotations), frame.height, frame.width), bool)
        read_mask = functools.lru_cache(maxsize=1)(read_mask_file)  # an id mask holds many instances
        drawn, left_out = [], []
        for annotation in annotations:
            try:
                mask = draw_annotation(
                    annotation, frame.height, frame.width, polygon_rule=self.polygon_rule, read_mask=read_mask
                )
            except Undrawable as reason:
                left_out.append((annotation, reason.code, str(reason)))
                continue
            if mask.any():
                masks[len(drawn)] = mask
                drawn.append(annotation)
            else:
                left_out.append((annotation, "DAT013", _why_empty(annotation, frame)))
        # Planes lie one behind the other in memory, so that each is quick to write and to resize.
        return Instances(np.moveaxis(masks[: len(drawn)], 0, -1), drawn, left_out)

    def place_of(self, image_id, annotation=None):
        """Words that let a person find the image, or one of its annotations, in the user's files."""
        info = self.image_info[image_id]
        image = info.get("place") or str(info["path"])
        return image if annotation is None else f"{image}, {annotation.place}"

    def _info(self, image_id):
        try:
            return self.image_info[image_id]
        except (IndexError, TypeError):
            raise DatasetError(
                f"{type(self).__name__}: expected an image id from 0 to {len(self.image_info) - 1}, received "
                f"image_id={image_id!r}. Ids are those of image_ids."
            ) from None

    def _decide_frame(self, image_id, header):
        info = self._info(image_id)
        if header is None:
            header = self.read_header(image_id)
        declared = (info["width"], info["height"]) if info.get("width") and info.get("height") else None
        if header[2] == 1:
            frame = Frame(header[1], header[0])
        else:
            annotations = info["annotations"]
            frame = decide_frame(
                header,
                declared=_size_of_masks(annotations) or declared,
                boxes=outline_boxes(annotations),
                upright_by_custom=self.upright_by_custom,
            )
            self._list_turned(image_id, frame)
        if declared is not None and declared != (frame.width, frame.height):
            self.add_problem(
                "DAT016",
                self.place_of(image_id),
                f"the annotations declare {declared[0]} x {declared[1]} pixels (width x height), the file has "
                f"{frame.width} x {frame.height}. Outlines are drawn as they are: annotate the file that is there, or "
                "restore the one that was annotated.",
                declared,
            )
        return frame

    def _list_turned(self, image_id, frame):
        taken = "the upright photo: it is turned when loaded" if frame.orientation != 1 else "the stored pixels"
        advice = "" if frame.certain else " Look at it once (mrcnn-plus preview), or store the photo upright."
        self.add_problem(
            "DAT016",
            self.place_of(image_id),
            f"annotations are taken to belong to {taken}. {frame.reason}.{advice}",
            "upright" if frame.orientation != 1 else "stored",
        )

    def _list_left_out(self, image_id, annotation, code, reason):
        place = self.place_of(image_id, annotation)
        self.add_problem(code, place, f"not trained on: {reason}", skipped=True)
        warn_once(
            logger,
            ("left out", id(self)),
            "%s: %s was left out: %s. Said once; all such instances are listed in dataset.problems.",
            *(self.source_path or type(self).__name__, place, reason),
        )


def _size_of_masks(annotations):
    """(width, height) of the first RLE or mask file, which has the size of the picture it was painted on; or None."""
    for annotation in annotations:
        if annotation.kind == "rle" and annotation.geometry.get("size"):
            height, width = annotation.geometry["size"]
            return width, height
        if annotation.kind == "mask_file":
            try:
                return read_header(annotation.geometry.path)[:2]
            except DatasetError:
                continue
    return None


def _why_empty(annotation, frame):
    box = outline_box(annotation)
    if box is not None and np.isfinite(box).all():
        x1, y1, x2, y2 = box
        around = f"x from {x1:.5g} to {x2:.5g}, y from {y1:.5g} to {y2:.5g}"
        if x2 < 0 or y2 < 0 or x1 > frame.width or y1 > frame.height:
            return f"it lies outside the image of {frame.width} x {frame.height} pixels (width x height): {around}"
        return f"it covers no pixel: {around}"
    return "it covers no pixel"


def _short(value, limit=120):
    text = repr(value)
    return text if len(text) <= limit else text[:limit] + "..."
