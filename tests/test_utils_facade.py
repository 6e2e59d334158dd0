"""`mrcnn_plus.utils` stands where `mrcnn.utils` stood: the same names and signatures, without Keras on import."""

import inspect
import json
import subprocess
import sys

import numpy as np
import pytest

from mrcnn_plus import utils


@pytest.fixture(scope="module")
def api(golden_dir):
    """Matterport's public names of `utils`, with signatures as text."""
    return json.loads((golden_dir / "api.json").read_text())["utils"]


def test_every_public_name_is_there_and_exported(api):
    assert sorted(utils.__all__) == sorted(api)
    for name in api:
        assert hasattr(utils, name), name


def test_every_function_has_matterports_signature(api):
    for name, signature in api.items():
        if name not in ("COCO_MODEL_URL", "Dataset"):
            assert str(inspect.signature(getattr(utils, name))) == signature, name


def test_dataset_has_matterports_methods(api):
    for name, signature in api["Dataset"]["methods"].items():
        method = inspect.getattr_static(utils.Dataset, name)
        function = method.fget if isinstance(method, property) else method
        assert str(inspect.signature(function)) == signature, name


def test_the_address_of_the_coco_weights_is_matterports(api):
    assert api["COCO_MODEL_URL"].strip("'") == utils.COCO_MODEL_URL


def test_importing_the_facade_imports_no_keras():
    program = (
        "import sys, mrcnn_plus.utils\n"
        "print([name for name in ('keras', 'tensorflow', 'jax', 'torch') if name in sys.modules])"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("case", "settings"), [("minscale", (64, 512, 2, "square")), ("pad64", (128, None, None, "pad64"))]
)
def test_resize_image_passes_every_argument_on(golden, case, settings):
    image, window, scale, padding, crop = utils.resize_image(golden["resize/in"], *settings)
    assert image.shape == golden[f"resize/{case}/image"].shape
    assert scale == golden[f"resize/{case}/scale"] and crop is None
    np.testing.assert_array_equal(window, golden[f"resize/{case}/window"])
    np.testing.assert_array_equal(padding, golden[f"resize/{case}/padding"])


def test_download_passes_path_and_verbosity_on(monkeypatch, tmp_path):
    calls = []
    monkeypatch.setattr("mrcnn_plus.weights.pretrained.download_trained_weights", lambda *given: calls.append(given))
    utils.download_trained_weights(tmp_path / "coco.h5", 0)
    assert calls == [(tmp_path / "coco.h5", 0)]


@pytest.mark.parametrize(("use_mini_mask", "shape"), [(True, (14, 28, 5)), (False, (80, 120, 5))])
def test_mold_mask_follows_the_mini_mask_settings(golden, use_mini_mask, shape):
    class Settings:
        USE_MINI_MASK = use_mini_mask
        MINI_MASK_SHAPE = (14, 28)

    masks = golden["masks/in"][..., :5]
    molded = utils.mold_mask(masks, Settings())
    assert molded.dtype == bool and molded.shape == shape
    if not use_mini_mask:
        np.testing.assert_array_equal(molded, masks)


@pytest.mark.backend
def test_box_refinement_of_tensors_agrees_with_that_of_arrays(golden):
    from keras import ops

    boxes, targets = golden["iou/boxes1"], golden["refine/gt"]
    for dtype in ("float32", "int32"):
        start, goal = boxes.astype(dtype), targets.astype(dtype)
        answer = utils.box_refinement_graph(ops.convert_to_tensor(start), ops.convert_to_tensor(goal))
        np.testing.assert_allclose(
            ops.convert_to_numpy(answer), utils.box_refinement(start, goal), rtol=1e-4, atol=1e-5
        )


@pytest.mark.backend
def test_batch_slice_calls_the_function_once_for_each_image_and_stacks():
    from keras import ops

    first = ops.convert_to_tensor(np.arange(12, dtype=np.float32).reshape(3, 4))
    second = ops.convert_to_tensor(np.array([1.0, 10.0, 100.0], np.float32))
    calls = []

    def scaled(row, factor):
        calls.append(tuple(row.shape))
        return row * factor

    answer = ops.convert_to_numpy(utils.batch_slice([first, second], scaled, 3))
    assert calls == [(4,)] * 3
    np.testing.assert_array_equal(answer, np.arange(12).reshape(3, 4) * np.array([[1], [10], [100]]))


@pytest.mark.backend
def test_batch_slice_returns_a_list_for_several_answers_and_takes_a_single_tensor():
    from keras import ops

    batch = ops.convert_to_tensor(np.arange(6, dtype=np.float32).reshape(2, 3))
    doubled, summed = utils.batch_slice(batch, lambda row: (row * 2, ops.sum(row)), 2, names=["doubled", "summed"])
    np.testing.assert_array_equal(ops.convert_to_numpy(doubled), [[0, 2, 4], [6, 8, 10]])
    np.testing.assert_array_equal(ops.convert_to_numpy(summed), [3, 12])
