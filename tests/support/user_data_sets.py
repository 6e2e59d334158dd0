"""Data sets as users program them: files with polygons, right ones and ones that are broken in one way each."""

import os
import signal

import numpy as np
from PIL import Image, ImageDraw

from mrcnn_plus.data.dataset import Dataset
from tests.support.lint_data import COLORS, HEIGHT, NAMES, WIDTH, coco_content, noise, octagon, write_coco

SIZE = (HEIGHT, WIDTH)


class Photos(Dataset):
    """A data set as the samples have it: files for images, polygons in `image_info`, drawn by `load_mask`."""

    def __init__(self, folder, content=None, ending=".png"):
        super().__init__()
        content = content or coco_content(images=8)
        if not (folder / "annotations.json").exists():
            write_coco(folder, content)
        for number, name in enumerate(NAMES, 1):
            self.add_class("pets", number, name)
        for image in content["images"]:
            objects = [item for item in content["annotations"] if item["image_id"] == image["id"]]
            path = str(folder / image["file_name"].replace(".png", ending))
            self.add_image("pets", image["id"], path, objects=objects)
        self.prepare()

    def load_mask(self, image_id):
        objects = self.image_info[image_id]["objects"]
        masks = np.stack([self.draw(np.reshape(item["segmentation"][0], (-1, 2))) for item in objects], axis=-1)
        return masks, np.array([item["category_id"] for item in objects], np.int32)

    def draw(self, points):
        picture = Image.new("1", SIZE[::-1])
        ImageDraw.Draw(picture).polygon(list(map(tuple, points)), fill=1)
        return np.array(picture)


class Transposed(Photos):
    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return masks.transpose(1, 0, 2), ids


class SwappedAxes(Photos):
    """The call that draws has x and y exchanged; the size is right."""

    def draw(self, points):
        return super().draw(points[:, ::-1])


class BottomFirst(Photos):
    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return masks[::-1], ids


class InstancesFirst(Photos):
    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return np.moveaxis(masks, -1, 0), ids


class ListOfMasks(Photos):
    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return list(np.moveaxis(masks, -1, 0)), ids


class OnlyMasks(Photos):
    def load_mask(self, image_id):
        return super().load_mask(image_id)[0]


class NoReturn(Photos):
    def load_mask(self, image_id):
        super().load_mask(image_id)


class FlatMask(Photos):
    def load_mask(self, image_id):
        masks, _ = super().load_mask(image_id)
        return masks.any(axis=2), np.array([1], np.int32)


class NoIds(Photos):
    def load_mask(self, image_id):
        return super().load_mask(image_id)[0], np.array([], np.int32)


class NamesAsIds(Photos):
    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return masks, [NAMES[number - 1] for number in ids]


class IdsFromZero(Photos):
    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return masks, ids - 1


class AllOnes(Photos):
    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return masks, np.ones_like(ids)


class SoftMasks(Photos):
    def load_mask(self, image_id):
        import cv2

        masks, ids = super().load_mask(image_id)
        return cv2.blur(masks.astype(np.float32), (9, 9)), ids


class IdImage(Photos):
    """One plane that holds the number of each instance."""

    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return (masks * np.arange(1, 1 + len(ids), dtype=np.uint8)).max(axis=2, keepdims=True), ids[:1]


class OneForEachClass(Photos):
    def __init__(self, folder):
        content = coco_content(images=8, objects_per_image=3)
        for item in content["annotations"]:
            item["category_id"] = 1 + item["image_id"] % 3
        super().__init__(folder, content)

    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return masks.any(axis=2, keepdims=True), ids[:1]


class Inverted(Photos):
    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return ~masks, ids


class Ones(Photos):
    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return np.ones_like(masks), ids


class EmptyMasks(Photos):
    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return masks & (image_id != 2), ids


class AlwaysTheFirst(Photos):
    def load_mask(self, image_id):
        return super().load_mask(0)


class TheNext(Photos):
    """Lists of images and masks that were sorted in different ways."""

    def __init__(self, folder):
        super().__init__(folder, coco_content(images=24))

    def load_mask(self, image_id):
        return super().load_mask((image_id + 1) % self.num_images)


class Jittered(Photos):
    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return np.roll(masks, np.random.randint(1, 20), axis=1), ids


class AugmentedImages(Photos):
    def load_image(self, image_id):
        image = super().load_image(image_id)
        return np.clip(image * np.random.uniform(0.7, 1.3), 0, 255).astype(np.uint8)


class KeyIsMissing(Photos):
    def load_mask(self, image_id):
        return self.image_info[image_id]["polygons"], None


class CrashesOnOne(Photos):
    def load_mask(self, image_id):
        if image_id == 3:
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().load_mask(image_id)


class ExitsOnOne(Photos):
    def load_mask(self, image_id):
        if image_id == 3:
            raise SystemExit("no mask")
        return super().load_mask(image_id)


class UnitImages(Photos):
    def load_image(self, image_id):
        return super().load_image(image_id) / 255.0


class Unsigned16(Photos):
    def load_image(self, image_id):
        return super().load_image(image_id).astype(np.uint16) * 160


class Centered(Photos):
    def load_image(self, image_id):
        return super().load_image(image_id).astype(np.float32) / 127.5 - 1


class NanImages(Photos):
    def load_image(self, image_id):
        image = super().load_image(image_id).astype(np.float32)
        image[0, 0] = np.nan
        return image


class SameImage(Photos):
    def load_image(self, image_id):
        return super().load_image(0)


class OnlyCrowds(Photos):
    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return masks, -ids


class EveryObjectTwice(Photos):
    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return np.repeat(masks, 2, axis=2), np.repeat(ids, 2)


class Noise(Photos):
    """Masks from a threshold on a picture of noise."""

    def load_mask(self, image_id):
        masks, ids = super().load_mask(image_id)
        return masks & (noise(SIZE, image_id)[..., :1] > 200), ids


class Turned(Photos):
    """Photos that were stored with the EXIF orientation 6."""

    def __init__(self, folder):
        write_coco(folder, coco_content(images=8))
        exif = Image.Exif()
        exif[274] = 6
        for path in sorted(folder.glob("*.png")):
            Image.open(path).save(path.with_suffix(".jpg"), exif=exif, quality=95)
        super().__init__(folder, ending=".jpg")


class OwnReading(Photos):
    """`load_image` is overridden, and still reads the files."""

    def load_image(self, image_id):
        return np.asarray(Image.open(self.image_info[image_id]["path"]).convert("RGB"))


class Generated(Dataset):
    """Pictures that are made when they are asked for, as in the sample of shapes: there are no files."""

    def __init__(self, count=12, path=None):
        super().__init__()
        for number, name in enumerate(NAMES, 1):
            self.add_class("shapes", number, name)
        for number in range(count):
            self.add_image("shapes", number, path, width=WIDTH, height=HEIGHT)
        self.prepare()

    def objects(self, image_id):
        rng = np.random.default_rng(int(image_id))
        return [(1 + n, octagon((40 + 60 * n, rng.integers(40, 120)), rng.integers(15, 28))) for n in range(3)]

    def load_image(self, image_id):
        picture = Image.fromarray((noise(SIZE, image_id) // 6 + 90).astype(np.uint8))
        for class_id, points in self.objects(image_id):
            ImageDraw.Draw(picture).polygon(list(map(tuple, points)), fill=COLORS[NAMES[class_id - 1]])
        return np.array(picture)

    def load_mask(self, image_id):
        objects = self.objects(image_id)
        masks = np.stack([Photos.draw(self, points) for _, points in objects], axis=-1)
        return masks, np.array([class_id for class_id, _ in objects], np.int32)


class OwnFormat(Generated):
    """Files that only the program can read."""

    def __init__(self, folder):
        super().__init__()
        for number, info in enumerate(self.image_info):
            info["path"] = str(folder / f"{number}.npy")
            np.save(info["path"], super().load_image(number))

    def load_image(self, image_id):
        return np.load(self.image_info[image_id]["path"])
