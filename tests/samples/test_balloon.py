"""`samples/balloon`: its commands on a few drawn pictures, with a network of the least size."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.support.samples import load_sample, pack, picture, serving, tiny_version, write_balloons, write_image

balloon = load_sample("balloon")
TinyBalloon = tiny_version(balloon.BalloonConfig)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder in which `train` was run for an epoch: data in `data`, logs in `logs`."""
    folder = tmp_path_factory.mktemp("balloon")
    write_balloons(folder / "data")
    arguments = ["train", f"--dataset={folder / 'data'}", "--weights=random", f"--logs={folder / 'logs'}"]
    balloon.main([*arguments, "--epochs=1"], TinyBalloon)
    return folder


def run(command, folder, *arguments):
    balloon.main([command, "--weights=last", f"--logs={folder / 'logs'}", *arguments], TinyBalloon)


def test_outlines_become_masks_of_balloons(tmp_path):
    data = balloon.load_data(write_balloons(tmp_path), "val")
    assert data.class_names == ["BG", "balloon"] and data.num_images == 2 and not data.problems
    masks, class_ids = data.load_mask(0)
    x, y, radius = picture(100)[1][0]
    assert class_ids.tolist() == [1, 1]
    assert masks[y, x, 0] and abs(masks[..., 0].sum() / (np.pi * radius**2) - 1) < 0.1


def test_color_splash_keeps_objects_and_greys_out_the_rest():
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    masks = np.zeros((20, 30, 2), bool)
    masks[:5, :, 0] = masks[15:, :, 1] = True
    picture_ = balloon.color_splash(image, masks)
    assert np.array_equal(picture_[:5], image[:5]) and np.array_equal(picture_[15:], image[15:])
    assert np.ptp(picture_[5:15], axis=2).max() == 0 and picture_.dtype == np.uint8
    assert np.ptp(balloon.color_splash(image, masks[..., :0]), axis=2).max() == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--weights=coco"], "train needs --dataset"),
        (["train", "--dataset=x"], "train needs --weights"),
        (["splash", "--weights=last"], "splash needs --image or --video"),
        (["detect", "--weights=last"], "detect needs --image"),
        (["dance", "--weights=last"], "invalid choice: 'dance'"),
    ],
)
def test_a_command_line_with_something_missing_is_told_what(arguments, words, capsys):
    with pytest.raises(SystemExit):
        balloon.main(arguments)
    assert words in capsys.readouterr().err


@pytest.mark.slow
def test_training_goes_on_from_the_last_checkpoint(trained):
    run("train", trained, f"--dataset={trained / 'data'}", "--epochs=1")
    names = sorted(path.name for path in (trained / "logs").rglob("*.h5"))
    assert names[-1] == "mask_rcnn_balloon_0002.h5"


@pytest.mark.slow
def test_an_image_is_splashed_and_drawn(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = write_image(tmp_path / "photo.png", picture(100)[0])
    run("splash", trained, f"--image={path}")
    run("detect", trained, f"--image={path.as_uri()}")
    assert "Saved to splash_" in capsys.readouterr().out
    for kind in ("splash", "outlines"):
        (output,) = tmp_path.glob(f"{kind}_*.png")
        assert Image.open(output).size == (96, 96)


@pytest.mark.slow
def test_a_video_is_splashed_frame_by_frame(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    film = cv2.VideoWriter("film.avi", cv2.VideoWriter_fourcc(*"MJPG"), 10, (96, 64))
    for number in range(3):
        film.write(np.full((64, 96, 3), (200, 60, 40 + 20 * number), np.uint8))  # blue, green, red
    film.release()
    monkeypatch.setattr(balloon, "color_splash", lambda image, masks: image)
    run("splash", trained, "--video=film.avi")
    assert "3 frames" in capsys.readouterr().out
    (output,) = Path().glob("splash_*.avi")
    result = cv2.VideoCapture(str(output))
    assert result.get(cv2.CAP_PROP_FPS) == 10
    frames = [result.read()[1] for _ in range(3)]
    assert [frame.shape for frame in frames] == [(64, 96, 3)] * 3
    assert abs(frames[0].mean(axis=(0, 1)) - [200, 60, 40]).max() < 6, "colors in the order of the file"


@pytest.mark.slow
def test_what_is_no_video_is_refused(trained, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(SystemExit, match="cannot read it as a video"):
        run("splash", trained, f"--video={tmp_path / 'text.mp4'}")


@pytest.mark.slow
def test_evaluation_prints_both_scores(trained, capsys):
    run("evaluate", trained, f"--dataset={trained / 'data'}")
    assert "box AP" in capsys.readouterr().out


def test_data_are_downloaded_once_and_unpacked(tmp_path, monkeypatch):
    write_balloons(tmp_path / "original" / "balloon", train=1, val=1)
    pack(tmp_path / "original", tmp_path / "server" / "balloon_dataset.zip")
    with serving(tmp_path / "server") as address:
        monkeypatch.setattr(balloon, "DATA_URL", f"{address}/balloon_dataset.zip")
        balloon.main(["download", f"--dataset={tmp_path / 'mine'}"])
    assert balloon.load_data(tmp_path / "mine", "train").num_images == 1
    assert not list(tmp_path.glob("*.zip"))
    balloon.main(["download", f"--dataset={tmp_path / 'mine'}"])  # is there: nothing is fetched
