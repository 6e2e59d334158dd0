"""Which mask belongs to which image, from folders and names alone."""

import re
from pathlib import Path
from typing import NamedTuple

from mrcnn_plus.data.readers.image_lookup import IMAGE_ENDINGS
from mrcnn_plus.errors import DatasetError

_IMAGE_FOLDERS = ("images", "image", "imgs", "img", "JPEGImages", "photos", "originals", "original", "input", "inputs")
_MASK_FOLDERS = (
    *("masks", "mask", "labels", "label", "annotations", "segmentations", "segmentation", "gt", "ground_truth"),
    *("groundtruth", "targets", "target", "instances", "labelsTr"),
)
_MASK_ENDINGS = (*IMAGE_ENDINGS,)
_SUFFIX = r"(?:masks?|labels?|gt|seg|segmentation|instances?|instance_?ids|ann|annotation)"
# What may follow the name of the image in that of its mask: "_mask", "_12", "_mask_12", "-3".
_WHOLE = re.compile(rf"[ _.\-]?{_SUFFIX}", re.IGNORECASE)
_INSTANCE = re.compile(rf"[ _.\-](?:{_SUFFIX}[ _.\-]?)?(?:obj|object|inst|id|nr)?[ _.\-]?\(?\d+\)?", re.IGNORECASE)


class Mask(NamedTuple):
    """path; class_name from a folder, or None; one_instance: the file holds one instance, or may hold several."""

    path: Path
    class_name: str | None
    one_instance: bool


class Pair(NamedTuple):
    """An image with its masks."""

    name: str
    image: Path
    masks: list


class Layout(NamedTuple):
    """All pairs of a folder, and what has no partner."""

    pairs: list
    images_without_mask: list
    masks_without_image: list


def find_layout(folder, images, subset):
    """The `Layout` of a folder of images and masks, or None. images: folder of the images, if the user gave it."""
    folder = Path(folder)
    if images is not None:
        if not Path(images).is_dir():
            raise DatasetError(
                f"expected the folder of the images, received images={str(images)!r}, which is no folder."
            )
        masks = _subfolder(folder, _MASK_FOLDERS) or folder
        return pair_up(_files(Path(images)), _files(masks), masks)
    image_folder, mask_folder = _subfolder(folder, _IMAGE_FOLDERS), _subfolder(folder, _MASK_FOLDERS)
    if image_folder and mask_folder:
        if subset is not None and (image_folder / subset).is_dir():
            image_folder, mask_folder = image_folder / subset, mask_folder / subset
        layout = pair_up(_files(image_folder), _files(mask_folder), mask_folder)
        if layout.pairs:
            return layout
    by_image = _folders_by_image(folder)
    return _one_folder_each(by_image) if by_image else _side_by_side(folder)


def pair_up(images, masks, mask_root):
    """The `Layout` of images and masks that belong together by their names.

    A mask belongs to the image whose name it has, alone or followed by a number or a word like "mask"; or whose name
    its folder has. Other folders between `mask_root` and the mask are names of classes.
    """
    by_stem = {}
    for image in images:
        by_stem.setdefault(image.stem, image)
    found = {stem: [] for stem in by_stem}
    lonely = []
    for mask in masks:
        match = _owner(mask, mask_root, by_stem)
        if match is None:
            lonely.append(mask)
        else:
            found[match[0]].append(match[1])
    pairs = [Pair(stem, by_stem[stem], masks) for stem, masks in found.items() if masks]
    without = [by_stem[stem] for stem, masks in found.items() if not masks]
    # Images of the same name with two endings: the second one has no masks of its own.
    without += [image for image in images if by_stem[image.stem] != image]
    return Layout(pairs, sorted(without), lonely)


def _owner(mask, mask_root, by_stem):
    """`(stem of the image, Mask)`, or None."""
    folders = list(mask.parent.relative_to(mask_root).parts)
    for position, name in enumerate(folders):
        if name in by_stem:
            others = folders[:position] + folders[position + 1 :]
            return name, Mask(mask, "/".join(others) or None, True)
    class_name = "/".join(folders) or None
    stem = mask.stem
    if stem in by_stem:
        return stem, Mask(mask, class_name, False)
    # The longest name of an image that the mask's begins with: "a_1_2" is the second mask of "a_1", not of "a".
    for length in range(len(stem) - 1, 0, -1):
        if stem[:length] in by_stem:
            rest = stem[length:]
            if _WHOLE.fullmatch(rest):
                return stem[:length], Mask(mask, class_name, False)
            if _INSTANCE.fullmatch(rest):
                return stem[:length], Mask(mask, class_name, True)
    return None


def _folders_by_image(folder):
    """`[(folder of one image, the image, its masks folder or None)]` of Matterport's nucleus layout, or []."""
    places = [folder] if _subfolder(folder, _IMAGE_FOLDERS) else sorted(p for p in folder.iterdir() if p.is_dir())
    found = []
    for place in places:
        image_folder = _subfolder(place, _IMAGE_FOLDERS)
        images = _files(image_folder) if image_folder is not None else []
        if len(images) > 1:
            return []
        if images:
            found.append((place, images[0], _subfolder(place, _MASK_FOLDERS)))
    return found if any(masks for *_, masks in found) else []


def _one_folder_each(by_image):
    pairs, without = [], []
    for place, image, masks in by_image:
        if masks is None:
            without.append(image)
            continue
        found = []
        for path in _files(masks):
            owner = _owner(path, masks, {image.stem: image})
            class_name = "/".join(path.parent.relative_to(masks).parts) or None
            found.append(owner[1] if owner else Mask(path, class_name, True))
        pairs.append(Pair(place.name, image, found))
    return Layout(pairs, without, [])


def _side_by_side(folder):
    """Images and masks in one folder, or in one folder for each class, the masks told by "mask" in their names."""
    files = _files(folder)
    is_mask = re.compile(rf"[ _.\-]{_SUFFIX}(?:[ _.\-]?\(?\d+\)?)?$", re.IGNORECASE)
    masks = [path for path in files if is_mask.search(path.stem)]
    images = [path for path in files if not is_mask.search(path.stem)]
    if not masks or not images:
        return None
    layouts = {}
    for parent in sorted({path.parent for path in images}):
        here = [path for path in masks if path.parent == parent]
        layouts[parent] = pair_up([path for path in images if path.parent == parent], here, parent)
    pairs, without, lonely = [], [], []
    for parent, layout in layouts.items():
        name = "/".join(parent.relative_to(folder).parts)
        for pair in layout.pairs:
            named = [mask._replace(class_name=name or None) for mask in pair.masks]
            pairs.append(Pair(f"{name}/{pair.name}" if name else pair.name, pair.image, named))
        without += layout.images_without_mask
        lonely += layout.masks_without_image
    return Layout(pairs, without, lonely) if pairs else None


def _subfolder(folder, names):
    """The first of the folders that there is, in any case of letters."""
    if not folder.is_dir():
        return None
    by_name = {entry.name.lower(): entry for entry in folder.iterdir() if entry.is_dir()}
    return next((by_name[name.lower()] for name in names if name.lower() in by_name), None)


def _files(folder):
    """All image files below a folder, sorted; without hidden ones."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in _MASK_ENDINGS and not path.name.startswith(".") and path.is_file()
    )
