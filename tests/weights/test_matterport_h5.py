import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from mrcnn_plus.errors import WeightsError
from mrcnn_plus.weights import matterport_h5
from mrcnn_plus.weights.loading import load_weights
from mrcnn_plus.weights.matterport_h5 import file_tree, read_layout, read_tensors, write_tensors, write_weights


def test_written_file_has_the_recorded_layout(build_model, thin_layout, tmp_path):
    write_weights(build_model(thin_layout), tmp_path / "weights.h5")
    with h5py.File(tmp_path / "weights.h5") as file:
        names = [name.decode() for name in file.attrs["layer_names"]]
        layers = [
            [name, [[weight.decode(), list(file[name][weight].shape)] for weight in file[name].attrs["weight_names"]]]
            for name in names
        ]
        assert file.attrs["layer_names"].dtype.kind == file.attrs["backend"].dtype.kind == "S"
        assert bytes(file.attrs["backend"]) == b"tensorflow"
        assert bytes(file.attrs["keras_version"]).startswith(b"2.")
        assert "top_level_model_weights" not in file
        dtypes = {file[name][weight].dtype for name, weights in layers for weight, _ in weights}
    # The stand-in's inputs are layers of their own; the recorded network has other ones.
    weighted = [
        entry for entry in layers if not entry[0].startswith("keras_tensor") and not entry[0].startswith("input_layer")
    ]
    assert sorted(weighted) == sorted(thin_layout)
    assert dict(weighted) == dict(thin_layout)
    assert dtypes == {np.dtype("float32")}


def test_layer_order_is_that_of_the_model(build_model, small_layout, tmp_path):
    model = build_model(small_layout())
    write_weights(model, tmp_path / "weights.h5")
    assert [layer.name for layer in read_layout(tmp_path / "weights.h5").layers] == [
        layer.name for layer in model.layers
    ]


def test_layer_that_has_a_weight_only_in_the_forks_is_left_out(build_model, small_layout, tmp_path):
    write_weights(build_model([*small_layout(), ["anchors", []]]), tmp_path / "weights.h5")
    with h5py.File(tmp_path / "weights.h5") as file:
        assert "anchors" not in file and b"anchors" not in file.attrs["layer_names"]
        assert "activation" in file and b"activation" in file.attrs["layer_names"]


def test_rpn_model_is_written_in_the_order_matterport_reads_it_in(build_model, small_layout, tmp_path):
    write_weights(build_model(small_layout()), tmp_path / "weights.h5")
    (rpn,) = (layer for layer in read_layout(tmp_path / "weights.h5").layers if layer.name == "rpn_model")
    parts = ("rpn_conv_shared", "rpn_class_raw", "rpn_bbox_pred")
    assert [name for name, _ in rpn.weights] == [f"{part}/{kind}:0" for part in parts for kind in ("kernel", "bias")]


def test_batch_norm_is_written_in_the_order_matterport_reads_it_in_also_when_frozen(
    build_model, small_layout, tmp_path
):
    model = build_model(small_layout())
    model.get_layer("bn_conv1").trainable = False
    write_weights(model, tmp_path / "weights.h5")
    (norm,) = (layer for layer in read_layout(tmp_path / "weights.h5").layers if layer.name == "bn_conv1")
    assert [name.split("/")[1] for name, _ in norm.weights] == [
        "gamma:0",
        "beta:0",
        "moving_mean:0",
        "moving_variance:0",
    ]


def test_known_kinds_have_their_order_whatever_the_layer_added_first(tmp_path):
    import keras

    class Backwards(keras.layers.Layer):
        def build(self, shape):
            for name in ("bias", "kernel"):
                self.add_weight(name=name, shape=(2,))

        def call(self, x):
            return x

    inputs = keras.Input((2,))
    write_weights(keras.Model(inputs, Backwards(name="own")(inputs)), tmp_path / "weights.h5")
    names = [name for layer in read_layout(tmp_path / "weights.h5").layers for name, _ in layer.weights]
    assert names == ["own/kernel:0", "own/bias:0"]


@pytest.mark.backend
def test_low_precision_variables_are_written_as_float32(tmp_path):
    import keras

    inputs = keras.Input((4,))
    x = keras.layers.Dense(3, dtype="bfloat16", bias_initializer="ones", name="low")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2, dtype="float16", name="half")(x))
    write_weights(model, tmp_path / "weights.h5")
    with h5py.File(tmp_path / "weights.h5") as file:
        assert file["low/low/bias:0"].dtype == file["half/half/kernel:0"].dtype == np.float32
        np.testing.assert_array_equal(file["low/low/bias:0"][()], 1.0)
        np.testing.assert_array_equal(file["half/half/kernel:0"][()], np.asarray(model.layers[-1].kernel).astype("f"))


def test_random_states_and_metrics_are_not_weights(tmp_path):
    import keras

    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3, name="head")(keras.layers.Dropout(0.5, name="drop")(inputs)))
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(np.zeros((2, 4)), np.zeros((2, 3)), verbose=0)
    write_weights(model, tmp_path / "weights.h5")
    layout = read_layout(tmp_path / "weights.h5")
    assert {layer.name: len(layer.weights) for layer in layout.layers if layer.weights} == {"head": 2}


def test_attributes_beyond_the_limit_of_hdf5_are_split_as_keras_splits_them(tmp_path):
    layers = [(f"layer_{number:04d}_{'x' * 60}", [("w/kernel:0", np.full(2, number, "f"))]) for number in range(1500)]
    write_tensors(tmp_path / "many.h5", layers)
    with h5py.File(tmp_path / "many.h5") as file:
        assert "layer_names" not in file.attrs
        assert file.attrs["layer_names0"].nbytes <= 64512
    layout = read_layout(tmp_path / "many.h5")
    assert [layer.name for layer in layout.layers] == [name for name, _ in layers]
    tensor = layout.layers[1400].weights[0][1]
    np.testing.assert_array_equal(read_tensors(tmp_path / "many.h5", [tensor])[tensor.address], 1400)


def test_keras_itself_reads_a_written_file_by_name(build_model, small_layout, values, tmp_path):
    layout = [
        entry for entry in small_layout() if not entry[0].startswith("rpn")
    ]  # Keras 3 reads nested models otherwise
    model, other = build_model(layout), build_model(layout)
    write_weights(model, tmp_path / "weights.h5")
    other.load_weights(tmp_path / "weights.h5", by_name=True)
    for name, value in values(model).items():
        np.testing.assert_array_equal(values(other)[name], value, err_msg=name)


def test_whole_model_saved_by_keras_3_as_h5_is_read(build_model, small_layout, values, tmp_path):
    import keras

    layout = [entry for entry in small_layout() if not entry[0].startswith("mrcnn")]
    model, other = build_model(layout), build_model(layout)
    keras.saving.save_model(model, tmp_path / "model.h5")
    assert load_weights(other, tmp_path / "model.h5").complete
    for name, value in values(model).items():
        np.testing.assert_array_equal(values(other)[name], value, err_msg=name)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_interrupted_writing_leaves_the_old_file_and_nothing_else(error, tmp_path, monkeypatch):
    path = tmp_path / "weights.h5"
    write_tensors(path, [("a", [("a/kernel:0", np.zeros(3, "f"))])])
    before = path.read_bytes()
    monkeypatch.setattr(matterport_h5, "numpy_value", raising(error, after=1))
    with pytest.raises(error):
        write_tensors(path, [("a", [("a/kernel:0", np.ones(3, "f")), ("a/bias:0", np.ones(3, "f"))])])
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["weights.h5"]


def raising(error, after):
    calls = []

    def value(array):
        calls.append(1)
        if len(calls) > after:
            raise error
        return array

    return value


FULL_DISK = """
import resource, signal, sys
import numpy as np
from mrcnn_plus.weights.matterport_h5 import write_tensors
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    write_tensors(sys.argv[1], [("a", [(f"a/{n}:0", np.ones(20_000, "f")) for n in range(20)])])
except OSError as error:
    print("OSError:", error)
"""


def test_full_disk_is_an_error_that_leaves_the_old_file(tmp_path):
    path = tmp_path / "weights.h5"
    write_tensors(path, [("a", [("a/kernel:0", np.zeros(3, "f"))])])
    before = path.read_bytes()
    result = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, timeout=120)
    assert "OSError:" in result.stdout and "a file that was there is unchanged" in result.stdout, result.stderr
    assert result.returncode == 0
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["weights.h5"]


def test_folder_that_does_not_exist_is_an_error_with_the_path(tmp_path):
    with pytest.raises(OSError, match="missing"):
        write_tensors(tmp_path / "missing" / "weights.h5", [])


def test_link_stays_a_link(tmp_path):
    write_tensors(tmp_path / "real.h5", [])
    (tmp_path / "link.h5").symlink_to(tmp_path / "real.h5")
    write_tensors(tmp_path / "link.h5", [("a", [])])
    assert (tmp_path / "link.h5").is_symlink()
    assert [layer.name for layer in read_layout(tmp_path / "real.h5").layers] == ["a"]


def test_written_file_has_the_usual_permissions(tmp_path):
    write_tensors(tmp_path / "weights.h5", [])
    (tmp_path / "other").touch()
    assert (tmp_path / "weights.h5").stat().st_mode == (tmp_path / "other").stat().st_mode


def test_layer_named_in_the_file_but_absent_is_damage(write_file):
    path = write_file({"conv1": {"conv1/kernel:0": np.ones(2)}})
    with h5py.File(path, "r+") as file:
        file.attrs["layer_names"] = np.array([b"conv1", b"conv2"])
    with pytest.raises(WeightsError, match="damaged"):
        read_layout(path)


def test_application_names_are_translated_in_the_tree(write_file):
    names = (
        "conv1_conv",
        "conv1_bn",
        "conv2_block1_0_conv",
        "conv2_block1_3_conv",
        "conv2_block1_3_bn",
        "conv4_block23_2_bn",
        "predictions",
    )
    root = file_tree(read_layout(write_file({name: {f"{name}/kernel:0": np.ones(1)} for name in names})))
    assert list(root.children) == [
        "conv1",
        "bn_conv1",
        "res2a_branch1",
        "res2a_branch2c",
        "bn2a_branch2c",
        "bn4w_branch2b",
        "predictions",
    ]


def test_resnet101_layout_of_coco_is_read(golden_dir, write_file):
    layout = json.loads((golden_dir / "layout_resnet101_81classes.json").read_text())
    path = write_file(
        {layer: {name: np.zeros([1] * len(shape), "f") for name, shape in weights} for layer, weights in layout}
    )
    root = file_tree(read_layout(path))
    assert sum(1 for _ in root.leaves()) == 690
    assert (
        root.children["rpn_model"].children["rpn_class_raw"].tensors["kernel"].address
        == "/rpn_model/rpn_class_raw/kernel:0"
    )


def test_weights_modules_import_no_keras():
    modules = sorted(path.stem for path in Path(matterport_h5.__file__).parent.glob("*.py"))
    assert "loading" in modules
    code = "import sys\n" + "".join(f"import mrcnn_plus.weights.{name}\n" for name in modules if name != "__init__")
    code += "print([name for name in ('keras', 'tensorflow', 'jax', 'torch') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
