"""What a data set holds: format, images, sizes, objects of each class; and what training would leave out."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

_MOST_HEADERS = 1000  # image files that are opened for their size where the annotations do not declare it
_LEAVE_OUT = ("DAT013", "DAT014")  # rules about objects that training drops
_FORMAT_NAMES = {
    "coco": "COCO json",
    "via": "VIA (VGG Image Annotator)",
    "labelme": "labelme",
    "pascal_voc": "Pascal VOC",
    "mask_folders": "folders of masks",
    "rle_csv": "table of run lengths (csv)",
}


@dataclass(frozen=True)
class DataOverview:
    """role: "data", "train" or "val". classes: `(name, objects, images with it)`, most objects first.

    sizes: `(width, height, images)` of the most frequent sizes; sized: images whose size is known.
    objects_per_image: smallest, median and largest number. crowds: regions that stand for several objects.
    """

    role: str
    path: str
    format: str
    images: int
    objects: int
    crowds: int
    classes: tuple[tuple[str, int, int], ...]
    sizes: tuple[tuple[int, int, int], ...]
    sized: int
    smallest_size: tuple[int, int] | None
    largest_size: tuple[int, int] | None
    objects_per_image: tuple[int, float, int]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """Some lines for people."""
        low, middle, high = self.objects_per_image
        crowds = f", {self.crowds} crowd regions" if self.crowds else ""
        lines = [
            f"{self.role}: {self.path}",
            f"format    {_FORMAT_NAMES.get(self.format, self.format)}",
            f"images    {self.images}",
            f"objects   {self.objects}{crowds}; per image {low} to {high}, median {middle:g}",
        ]
        if self.sizes:
            most = ", ".join(f"{width} x {height} ({count})" for width, height, count in self.sizes)
            lines.append(f"sizes     {most}")
        if self.smallest_size and self.smallest_size != self.largest_size:
            small, large = ("{} x {}".format(*size) for size in (self.smallest_size, self.largest_size))
            lines.append(f"          smallest {small}, largest {large}")
        return lines

    def class_table(self, width: int) -> list[str]:
        """A line with a bar for each class."""
        if not self.classes:
            return []
        name_width = min(28, max(len(name) for name, _, _ in self.classes))
        most = max(objects for _, objects, _ in self.classes) or 1
        room = max(10, min(40, width - name_width - 24))
        lines = [f"{'class':{name_width}} {'objects':>8} {'images':>8}"]
        for name, objects, images in self.classes:
            bar = "#" * max(round(room * objects / most), 1 if objects else 0)
            lines.append(f"{name[:name_width]:{name_width}} {objects:8} {images:8}  {bar}".rstrip())
        return lines


@dataclass(frozen=True)
class LeftOut:
    """An annotation or image that training would not see; rule: the code that says why."""

    role: str
    rule: str
    where: str
    reason: str

    def __str__(self):
        return f"{self.rule} {self.role}: {self.where}: {self.reason}"


def describe_data(role: str, dataset: Any) -> DataOverview:
    """The overview of a data set that keeps its annotations (`mrcnn_plus.data.open_dataset`)."""
    per_image = [info.get("annotations") or [] for info in dataset.image_info]
    numbers = [sum(not one.crowd for one in annotations) for annotations in per_image]
    objects = Counter(one.class_id for annotations in per_image for one in annotations if not one.crowd)
    in_images = Counter(
        class_id for annotations in per_image for class_id in {one.class_id for one in annotations if not one.crowd}
    )
    names = list(enumerate(dataset.class_names))[1:]
    classes = [(name, objects[class_id], in_images[class_id]) for class_id, name in names]
    sizes = _sizes(dataset)
    by_area = sorted(sizes, key=lambda size: size[0] * size[1])
    return DataOverview(
        role=role,
        path=dataset.source_path,
        format=dataset.format,
        images=len(per_image),
        objects=sum(numbers),
        crowds=sum(len(annotations) for annotations in per_image) - sum(numbers),
        classes=tuple(sorted(classes, key=lambda item: -item[1])),
        sizes=tuple((*size, count) for size, count in Counter(sizes).most_common(3)),
        sized=len(sizes),
        smallest_size=by_area[0] if by_area else None,
        largest_size=by_area[-1] if by_area else None,
        objects_per_image=(min(numbers, default=0), float(np.median(numbers or [0])), max(numbers, default=0)),
    )


def left_out(datasets: dict[str, Any], report: Any) -> list[LeftOut]:
    """What will not be trained on: what the readers skipped, and instances without a pixel that were found in a check.

    datasets: {role: data set}; report: `lint.Report` of them.
    """
    listed = [
        LeftOut(role, problem.code, problem.where, problem.message)
        for role, dataset in datasets.items()
        for problem in getattr(dataset, "problems", ())
        if problem.skipped
    ]
    known = {item.where for item in listed}
    for finding in report:
        for place in finding.places if finding.code in _LEAVE_OUT else ():
            role, _, where = place.partition(": ")
            if where not in known:
                listed.append(LeftOut(role, finding.code, where, finding.message))
    return listed


def _sizes(dataset) -> list[tuple[int, int]]:
    """`(width, height)` of the images: as declared, else from the headers of some of the files."""
    from mrcnn_plus.lint.measuring.file_headers import read_file_header

    sizes, opened = [], 0
    for info in dataset.image_info:
        width, height = info.get("width"), info.get("height")
        if not (width and height) and info.get("path") and opened < _MOST_HEADERS:
            opened += 1
            header = read_file_header(info["path"])
            width, height = header.width, header.height
        if width and height:
            sizes.append((int(width), int(height)))
    return sizes
