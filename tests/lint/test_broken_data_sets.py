"""Data sets as users have them, broken in one way each: the rule that names it is found, and no other warning."""

import copy
import json

import numpy as np
import pytest
from PIL import Image

from mrcnn_plus import lint
from mrcnn_plus.config import Config
from mrcnn_plus.data import open_dataset
from mrcnn_plus.lint.measuring import worker_pool
from tests.support import user_data_sets as user
from tests.support.lint_data import HEIGHT, WIDTH, coco_content, noise, write_coco

BY_PROGRAM = [
    (user.Photos, set()),
    (user.Transposed, {"DAT008"}),
    (user.SwappedAxes, {"DAT047"}),
    (user.BottomFirst, {"DAT049"}),
    (user.InstancesFirst, {"DAT008"}),
    (user.ListOfMasks, {"DAT008"}),
    (user.OnlyMasks, {"DAT008"}),
    (user.NoReturn, {"DAT008"}),
    (user.FlatMask, {"DAT008"}),
    (user.NoIds, {"DAT009"}),
    (user.NamesAsIds, {"DAT010"}),
    (user.IdsFromZero, {"DAT011"}),
    (user.AllOnes, {"DAT022"}),
    (user.SoftMasks, {"DAT012"}),
    (user.IdImage, {"DAT012"}),
    (user.OneForEachClass, {"DAT026"}),
    (user.Inverted, {"DAT054"}),
    (user.Ones, {"DAT054"}),
    (user.EmptyMasks, {"DAT013"}),
    (user.AlwaysTheFirst, {"DAT022", "DAT056"}),
    (user.TheNext, {"DAT057"}),
    (user.Jittered, {"DAT052"}),
    (user.AugmentedImages, {"DAT052"}),
    (user.KeyIsMissing, {"DAT040"}),
    (user.CrashesOnOne, {"DAT040"}),
    (user.ExitsOnOne, {"DAT040"}),
    (user.UnitImages, {"DAT030"}),
    (user.Unsigned16, {"DAT030"}),
    (user.Centered, {"DAT030"}),
    (user.NanImages, {"DAT030"}),
    (user.SameImage, {"DAT051"}),
    (user.OnlyCrowds, {"DAT018", "DAT043"}),
    (user.EveryObjectTwice, {"DAT027"}),
    (user.Noise, {"DAT053"}),
    (user.Turned, {"DAT016"}),
]


def warned(report):
    return {finding.code for finding in report.at_least("warning")}


@pytest.mark.parametrize(("kind", "codes"), BY_PROGRAM, ids=[kind.__name__ for kind, _ in BY_PROGRAM])
def test_a_broken_program_is_named(tmp_path, monkeypatch, kind, codes):
    if kind is user.CrashesOnOne:
        monkeypatch.setattr(worker_pool, "can_fork", lambda: True)
    report = lint.check(None, kind(tmp_path))
    assert warned(report) == codes, str(report)
    assert all(finding.where and finding.fix and finding.message for finding in report)


def test_single_images_that_training_will_skip_are_a_warning(tmp_path):
    class Skipping(Config):
        NAME, NUM_CLASSES, SKIP_BAD_IMAGES = "skipping", 2, True

    class FirstIsMissing(user.Photos):
        def load_mask(self, image_id):
            if image_id < self.missing:
                raise KeyError("regions")
            return super().load_mask(image_id)

    def severities(config, missing):
        dataset = FirstIsMissing(tmp_path)
        dataset.missing = missing
        return {f.severity for f in lint.check(config, dataset, select=["DAT040"], depth="pixels", workers=0)}

    assert severities(Skipping(), 1) == {"warning"}
    assert severities(Skipping(), 6) == severities(Config(), 1) == {"error"}


def normalized_coordinates(content):
    for item in content["annotations"]:
        points = np.reshape(item["segmentation"][0], (-1, 2)) / (WIDTH, HEIGHT)
        item.update(segmentation=[points.ravel().tolist()], bbox=[0.1, 0.1, 0.2, 0.2], area=0.04)


def boxes_as_corners(content):
    for item in content["annotations"]:
        x, y, width, height = item["bbox"]
        item["bbox"] = [x, y, x + width, y + height]


def annotated_at_twice_the_size(content):
    for item in content["annotations"]:
        item["segmentation"] = [(2 * np.array(item["segmentation"][0])).tolist()]
        item.update(bbox=[2 * value for value in item["bbox"]], area=4 * item["area"])
    for image in content["images"]:
        image.update(width=2 * WIDTH, height=2 * HEIGHT)


def texts_as_ids(content):
    for item in content["annotations"]:
        item["image_id"] = str(item["image_id"])


def class_with_line_feed(content):
    content["categories"][1]["name"] = "dog\n"


def broken_letters(content):
    content["categories"][1]["name"] = "fen\u00c3\u00aatre"


def all_are_crowds(content):
    for item in content["annotations"]:
        item["iscrowd"] = 1


def huge_coordinate(content):
    content["annotations"][3]["segmentation"][0][2] = 1e12


def infinite_coordinate(content):
    content["annotations"][3]["segmentation"][0][2] = float("inf")


def odd_number_of_coordinates(content):
    content["annotations"][3]["segmentation"][0].pop()


def damaged_rle(content):
    content["annotations"][3]["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": "not an rle at all"}


def outside_the_image(content):
    item = content["annotations"][3]
    item["segmentation"] = [(np.array(item["segmentation"][0]) + 1000).tolist()]
    item["bbox"] = [value + 1000 for value in item["bbox"][:2]] + item["bbox"][2:]


def one_class_is_rare(content):
    for item in content["annotations"]:
        item["category_id"] = 1 + item["category_id"] % 2
    content["annotations"][0]["category_id"] = 3


def stray_click(content):
    content["annotations"].append(copy.deepcopy(content["annotations"][0]))
    corners = [50, 50, 51, 50, 51, 51, 50, 51]
    content["annotations"][-1].update(id=999, segmentation=[corners], bbox=[50, 50, 1, 1], area=1)


BY_FILE = [
    (lambda content: None, 6, set()),
    (normalized_coordinates, 6, {"DAT013", "DAT018", "DAT044"}),
    (boxes_as_corners, 6, {"DAT041"}),
    (annotated_at_twice_the_size, 6, {"DAT013", "DAT015", "DAT016"}),
    (texts_as_ids, 6, {"DAT018", "DAT025"}),
    (class_with_line_feed, 6, {"DAT036"}),
    (broken_letters, 6, {"DAT036"}),
    (all_are_crowds, 6, {"DAT018", "DAT043"}),
    (huge_coordinate, 6, {"DAT034"}),
    (infinite_coordinate, 6, {"DAT034"}),
    (odd_number_of_coordinates, 6, {"DAT033"}),
    (damaged_rle, 6, {"DAT035"}),
    (outside_the_image, 6, {"DAT013", "DAT015"}),
    (one_class_is_rare, 30, {"DAT022"}),
    (stray_click, 6, {"DAT044"}),
]


@pytest.mark.parametrize(("damage", "images", "codes"), BY_FILE, ids=[item[0].__name__ for item in BY_FILE])
def test_a_broken_coco_file_is_named(tmp_path, damage, images, codes):
    content = coco_content(images=images)
    clean = copy.deepcopy(content)
    damage(content)
    report = lint.check(None, open_dataset(write_coco(tmp_path, content, draw_from=clean)))
    assert warned(report) == codes, str(report)


def write_bytes(content):
    return lambda path: path.write_bytes(content)


def dark_16_bit(path):
    for file in path.parent.glob("*.png"):
        Image.fromarray(np.asarray(Image.open(file).convert("L")).astype(np.uint16) * 4).save(file)


BY_IMAGE = [
    (lambda path: None, set()),
    (write_bytes(b""), {"DAT017"}),
    (write_bytes(b"<!DOCTYPE html><html>not found</html>"), {"DAT017"}),
    (write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"), {"DAT017"}),
    (write_bytes(b"GIF89a"), {"DAT017"}),
    (lambda path: Image.open(path).convert("RGB").save(path, format="JPEG"), {"DAT048"}),
    (lambda path: Image.open(path).resize((100, 80)).save(path), {"DAT013", "DAT015", "DAT016"}),
    (lambda path: Image.open(path).convert("P").save(path), set()),
    (lambda path: Image.open(path).convert("L").save(path), set()),
    (lambda path: Image.open(path).convert("RGBA").save(path), set()),
    (lambda path: Image.new("RGB", (WIDTH, HEIGHT)).save(path), {"DAT050"}),
    (dark_16_bit, {"DAT030"}),
]


@pytest.mark.parametrize(("damage", "codes"), BY_IMAGE)
def test_a_broken_image_is_named(tmp_path, damage, codes):
    path = write_coco(tmp_path, coco_content())
    damage(tmp_path / "003.png")
    report = lint.check(None, open_dataset(path))
    assert warned(report) == codes, str(report)


@pytest.mark.parametrize("path", [None, "none", "shapes://3"])
def test_images_without_files_are_no_error(path):
    report = lint.check(None, user.Generated(path=path))
    assert not warned(report), str(report)


def test_files_that_only_the_program_understands_are_no_error(tmp_path):
    report = lint.check(None, user.OwnFormat(tmp_path))
    assert not warned(report), str(report)


def test_a_missing_file_among_many_is_found_for_an_own_load_image_too(tmp_path):
    dataset = user.OwnReading(tmp_path, coco_content(images=60))
    (tmp_path / "033.png").unlink()  # not among the images that are read at this depth
    report = lint.check(None, dataset, sample=4)
    assert warned(report) == {"DAT017"}
    assert "033.png" in report.errors[0].where


def test_gaps_in_ids_zero_as_id_and_objects_at_the_border_are_no_finding(tmp_path):
    content = coco_content()
    for image in content["images"]:
        image["id"] -= 1
    for category in content["categories"]:
        category["id"] = 10 * category["id"] + 7
    for item in content["annotations"]:
        item["image_id"] -= 1
        item["category_id"] = 10 * item["category_id"] + 7
    x, y = WIDTH, HEIGHT
    item = content["annotations"][0]
    item.update(segmentation=[[x - 40, y - 30, x, y - 30, x, y, x - 40, y]], bbox=[x - 40, y - 30, 40, 30], area=1200)
    report = lint.check(None, open_dataset(write_coco(tmp_path, content)))
    assert not warned(report), str(report)


def test_crowds_as_rle_are_told_and_not_warned_of(tmp_path):
    content = coco_content()
    clean = copy.deepcopy(content)
    crowd = dict(content["annotations"][3], id=500, iscrowd=1, bbox=[0, 0, 10, 160], area=1600)
    crowd["segmentation"] = {"size": [HEIGHT, WIDTH], "counts": [0, 1600, 160 * 190]}
    content["annotations"].append(crowd)
    report = lint.check(None, open_dataset(write_coco(tmp_path, content, draw_from=clean)))
    assert not warned(report), str(report)
    assert "DAT028" in {finding.code for finding in report.infos}


def test_each_object_outside_its_image_is_listed_once(tmp_path):
    """VIA names regions by their number in the image, so the same words occur in every image."""
    entries = {}
    for number in range(40):
        name = f"{number:03}.png"
        Image.fromarray(noise((60, 80), number)).save(tmp_path / name)
        inside = {"name": "rect", "x": 20, "y": 20, "width": 15, "height": 12}
        outside = {"name": "rect", "x": 300, "y": 20, "width": 15, "height": 12}
        regions = [{"shape_attributes": shape, "region_attributes": {"class": "seed"}} for shape in (outside, inside)]
        entries[name] = {"filename": name, "size": -1, "regions": regions, "file_attributes": {}}
    (tmp_path / "via.json").write_text(json.dumps(entries))
    report = lint.check(None, open_dataset(tmp_path / "via.json"), select="DAT013", sample=5)
    places = [place for finding in report for place in finding.places]
    assert len(places) == len(set(places)) == 40


def test_a_few_shared_images_are_listed_by_both_names(tmp_path):
    train = write_coco(tmp_path / "train", coco_content())
    val = write_coco(tmp_path / "val", coco_content(seed=1), seed=50)
    (tmp_path / "val" / "002.png").write_bytes((tmp_path / "train" / "004.png").read_bytes())
    report = lint.check(None, open_dataset(train), open_dataset(val), select="DAT021")
    (finding,) = report.findings
    assert finding.places == ("val: 002.png = train: 004.png",)


def test_images_without_entry_are_no_finding_if_the_other_part_has_them(tmp_path):
    content = coco_content(images=12)
    write_coco(tmp_path, content)
    parts = {}
    for name, ids in (("train", range(1, 9)), ("val", range(9, 13))):
        part = {
            **content,
            "images": [image for image in content["images"] if image["id"] in ids],
            "annotations": [item for item in content["annotations"] if item["image_id"] in ids],
        }
        (tmp_path / f"{name}.json").write_text(json.dumps(part))
        parts[name] = open_dataset(tmp_path / f"{name}.json")
    assert "DAT037" not in warned(lint.check(None, parts["train"], parts["val"]))
    assert "DAT037" in warned(lint.check(None, parts["train"]))
