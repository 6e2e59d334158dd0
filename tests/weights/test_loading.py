import h5py
import numpy as np
import pytest

from mrcnn_plus.errors import WeightsError
from mrcnn_plus.weights.loading import load_weights
from mrcnn_plus.weights.matterport_h5 import write_tensors, write_weights


def assert_same(actual, wanted):
    assert actual.keys() == wanted.keys()
    for name in wanted:
        np.testing.assert_array_equal(actual[name], wanted[name], err_msg=name)


def assert_unchanged(model, values, before):
    assert_same(values(model), before)


def test_every_tensor_of_the_recorded_layout_arrives(
    build_model, make_weights, thin_layout, values, expected, tmp_path
):
    model, path = build_model(thin_layout), tmp_path / "weights.h5"
    make_weights.write(thin_layout, path, 3)
    report = load_weights(model, path)
    assert_same(values(model), expected(thin_layout, 3))
    assert (report.tensors_loaded, report.tensors_total) == (384, 384)
    assert report.complete
    assert not (report.skipped or report.excluded or report.initial or report.unused or report.missing or report.notes)
    assert report.description == "Mask R-CNN on ResNet-50, 5 classes with background"
    assert report.file_classes == 5
    assert str(report).splitlines()[0] == "weights.h5: 384 of 384 tensors loaded and verified"


@pytest.mark.parametrize("text", [np.bytes_, str])
@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("chunks", [1, 3])
def test_files_of_every_keras_are_read(
    text, nested, chunks, build_model, small_layout, write_file, layers_of, values, expected
):
    layout = small_layout()
    path = write_file(layers_of(layout), text=text, nested=nested, chunks=chunks)
    model = build_model(layout)
    assert load_weights(model, path).complete
    assert_same(values(model), expected(layout))


@pytest.mark.parametrize(
    "rename",
    [
        lambda layer, weight: f"{layer}_1/{weight.split('/')[-1]}" if layer.startswith("mrcnn") else weight,
        lambda layer, weight: f"{layer}/{layer}/{weight.split('/')[-1]}" if layer.startswith("mrcnn") else weight,
        lambda layer, weight: f"time_distributed_4/{weight.split('/')[-1]}" if layer.startswith("mrcnn") else weight,
        lambda layer, weight: f"rpn_model/{weight}" if layer == "rpn_model" else weight,
        lambda layer, weight: weight.removesuffix(":0"),
        lambda layer, weight: weight.split("/")[-1] if layer != "rpn_model" else weight,
    ],
    ids=["numbered wrapper", "nested wrapper", "unnamed wrapper", "rpn in rpn_model", "no :0", "kind alone"],
)
def test_every_naming_of_weights_is_understood(
    rename, build_model, small_layout, write_file, layers_of, values, expected
):
    layout = small_layout()
    layers = {
        layer: {rename(layer, name): array for name, array in weights.items()}
        for layer, weights in layers_of(layout).items()
    }
    model = build_model(layout)
    assert load_weights(model, write_file(layers)).complete
    assert_same(values(model), expected(layout))


def test_weights_are_assigned_by_kind_whatever_their_order(
    build_model, small_layout, write_file, layers_of, values, expected
):
    layout = small_layout()
    layers = {layer: dict(reversed(weights.items())) for layer, weights in layers_of(layout).items()}
    model = build_model(layout)
    assert load_weights(model, write_file(layers)).complete
    assert_same(values(model), expected(layout))


def test_parts_of_rpn_model_may_stand_at_the_top_of_the_file(
    build_model, small_layout, write_file, layers_of, values, expected
):
    layout, layers = small_layout(), layers_of(small_layout())
    for name, array in layers.pop("rpn_model").items():
        layers.setdefault(name.split("/")[0], {})[name] = array
    model = build_model(layout)
    report = load_weights(model, write_file(layers))
    assert report.complete and not report.unused
    assert_same(values(model), expected(layout))


def test_weights_named_by_keras_1_are_read_by_kind(build_model, small_layout, write_file, layers_of, values, expected):
    # The ImageNet file of 2016; its variance is called running_std and stands in another place than in Keras 2.
    old = {
        "kernel": "W",
        "bias": "b",
        "moving_mean": "running_mean",
        "moving_variance": "running_std",
        "gamma": "gamma",
        "beta": "beta",
    }
    layout = [entry for entry in small_layout() if not entry[0].startswith(("rpn", "mrcnn", "fpn"))]
    layers = {}
    for layer, weights in layers_of(layout).items():
        renamed = {f"{layer}_{old[name.split('/')[-1][:-2]]}_1:0": array for name, array in weights.items()}
        layers[layer] = dict(sorted(renamed.items()))
    model = build_model(layout)
    assert load_weights(model, write_file(layers, keras_version="")).complete
    assert_same(values(model), expected(layout))


def test_imagenet_file_with_application_names_fills_the_backbone_only(
    build_model, small_layout, write_file, layers_of, values, expected
):
    def rename(name):
        if name in ("conv1", "bn_conv1"):
            return {"conv1": "conv1_conv", "bn_conv1": "conv1_bn"}[name]
        part = {"branch2a": 1, "branch2c": 3}[name.split("_")[1]]
        block = ord(name.split("_")[0][-1]) - ord("a") + 1
        return f"conv{name.split('_')[0][-2]}_block{block}_{part}_{'conv' if name.startswith('res') else 'bn'}"

    layout = small_layout()
    layers = {}
    for layer, weights in layers_of(layout).items():
        if weights and layer.startswith(("conv1", "bn", "res")):
            layers[rename(layer)] = {f"{rename(layer)}/{name.split('/')[-1]}": array for name, array in weights.items()}
    layers["conv2_block1_3_bn"] = {
        f"conv2_block1_3_bn/{kind}:0": np.ones(4, "f") for kind in ("gamma", "beta", "moving_mean", "moving_variance")
    }
    layers["probs"] = {"probs/kernel:0": np.ones((4, 9), "f")}
    model = build_model(layout)
    before = values(model)
    report = load_weights(model, write_file(layers), on_mismatch="keep")
    after, wanted = values(model), expected(layout)
    for name in after:
        source = wanted if name.startswith(("conv1", "bn", "res")) else before
        np.testing.assert_array_equal(after[name], source[name], err_msg=name)
    assert (
        report.missing == report.initial and "fpn_p2" in report.missing and "rpn_model/rpn_class_raw" in report.missing
    )
    assert report.unused == ["conv2_block1_3_bn", "probs"]
    assert report.description == "ResNet-50 without Mask R-CNN heads"
    report = load_weights(model, write_file(layers), on_mismatch="keep", exclude=["conv1_conv", "bn_conv1"])
    assert report.excluded == ["conv1", "bn_conv1"]


def test_backbone_inside_one_layer_of_the_file_is_found(build_model, small_layout, write_file, layers_of):
    layout = [entry for entry in small_layout() if entry[1] and entry[0].startswith(("conv1", "bn", "res"))]
    inside = {name: array for weights in layers_of(layout).values() for name, array in weights.items()}
    path = write_file({"resnet50": inside, "my_dense": {"my_dense/kernel:0": np.ones((4, 2), "f")}})
    report = load_weights(build_model(small_layout()), path, on_mismatch="keep")
    assert report.tensors_loaded == len(inside)
    assert report.unused == ["my_dense"]


def test_anchors_that_forks_store_are_ignored_and_reported(build_model, small_layout, write_file, layers_of):
    layout, layers = small_layout(), layers_of(small_layout())
    layers["anchors"] = {"Variable:0": np.zeros((2, 99, 4), "f")}
    report = load_weights(build_model(layout), write_file(layers), by_name=False)
    assert report.complete
    assert report.unused == ["anchors"]
    assert any("anchors" in note for note in report.notes)


def test_layer_is_loaded_whole_or_not_at_all(build_model, small_layout, make_weights, values, tmp_path):
    # Other anchor ratios: rpn_conv_shared fits, its neighbours in rpn_model do not.
    layout = small_layout()
    make_weights.write(layout, tmp_path / "five_ratios.h5")
    for entry in layout:
        if entry[0] == "rpn_model":
            entry[1][2:] = [["rpn_class_raw/kernel:0", [1, 1, 6, 10]], ["rpn_class_raw/bias:0", [10]],
                            ["rpn_bbox_pred/kernel:0", [1, 1, 6, 20]], ["rpn_bbox_pred/bias:0", [20]]]  # fmt: skip
    model = build_model(layout)
    report = load_weights(model, tmp_path / "five_ratios.h5", on_mismatch="keep")
    assert report.initial == ["rpn_model/rpn_class_raw", "rpn_model/rpn_bbox_pred"]
    assert "rpn_model/rpn_conv_shared" in report.loaded
    with pytest.raises(WeightsError, match="RPN_ANCHOR_RATIOS"):
        load_weights(build_model(layout), tmp_path / "five_ratios.h5")


@pytest.mark.parametrize(
    "exclude", [["mrcnn_mask", "rpn_model", "mrcnn_bbox"], "mrcnn_mask", ("rpn_model/rpn_class_raw",)]
)
def test_excluded_layers_keep_their_values(
    exclude, build_model, small_layout, make_weights, values, expected, tmp_path
):
    layout = small_layout()
    layout.append(["mrcnn_bbox", []])
    make_weights.write(layout, tmp_path / "weights.h5")
    model = build_model(layout)
    before = values(model)
    report = load_weights(model, tmp_path / "weights.h5", exclude=exclude)
    names = (exclude,) if isinstance(exclude, str) else tuple(exclude)
    after, wanted = values(model), expected(layout)
    for name in after:
        source = before if any(name.startswith(excluded + "/") for excluded in names) else wanted
        np.testing.assert_array_equal(after[name], source[name], err_msg=name)
    assert report.excluded == report.initial != []
    assert not any("exclude" in note for note in report.notes)


def test_excluded_heads_make_another_number_of_classes_loadable(build_model, small_layout, make_weights, tmp_path):
    make_weights.write(small_layout(81), tmp_path / "coco.h5")
    report = load_weights(
        build_model(small_layout(2)),
        tmp_path / "coco.h5",
        exclude=["mrcnn_class_logits", "mrcnn_bbox_fc", "mrcnn_mask"],
    )
    assert report.initial == report.excluded == ["mrcnn_class_logits", "mrcnn_bbox_fc", "mrcnn_mask"]
    assert any("3 layers" in note and "did not come from this file" in note for note in report.notes)


def test_misspelt_exclude_is_an_error_with_the_right_name(build_model, small_layout, make_weights, values, tmp_path):
    make_weights.write(small_layout(), tmp_path / "weights.h5")
    model = build_model(small_layout())
    before = values(model)
    with pytest.raises(WeightsError, match=r"received: 'mrcnn_class_logit', .*Did you mean 'mrcnn_class_logits'"):
        load_weights(model, tmp_path / "weights.h5", exclude=["mrcnn_mask", "mrcnn_class_logit"])
    assert_same(values(model), before)


@pytest.mark.parametrize(
    "names",
    [
        ["mrcnn_class_logits", "mrcnn_bbox_fc", "mrcnn_bbox", "mrcnn_mask"],  # Matterport's samples
        ["mrcnn_class", "mrcnn_detection"],  # layers of detection, without weights
        ["rpn_model/rpn_class_raw", "conv1"],
    ],
)
def test_names_that_programs_exclude_pass(build_model, small_layout, make_weights, tmp_path, names):
    make_weights.write(small_layout(), tmp_path / "weights.h5")
    load_weights(build_model(small_layout()), tmp_path / "weights.h5", exclude=names)


def test_a_layer_of_file_or_network_alone_may_be_excluded(build_model, small_layout, make_weights, tmp_path):
    make_weights.write([*small_layout(), ["more", []]], tmp_path / "weights.h5")
    load_weights(build_model(small_layout()), tmp_path / "weights.h5", exclude=["more"])


@pytest.mark.parametrize("exclude", [[3], [None, "conv1"]])
def test_excluding_what_is_no_name_is_an_error(build_model, small_layout, make_weights, tmp_path, exclude):
    make_weights.write(small_layout(), tmp_path / "weights.h5")
    with pytest.raises(WeightsError, match="expected names of layers in exclude"):
        load_weights(build_model(small_layout()), tmp_path / "weights.h5", exclude=exclude)


@pytest.mark.parametrize("path", [None, "", 3, print])
def test_what_is_no_path_is_an_error(build_model, small_layout, path):
    with pytest.raises(WeightsError, match="expected the path of a weights file, received: filepath="):
        load_weights(build_model(small_layout()), path)


def test_group_norm_weights_round_trip(build_model, small_layout, values, tmp_path):
    model, other = (build_model(small_layout(), normalization="group") for _ in range(2))
    randomize(model)
    write_weights(model, tmp_path / "group.h5")
    assert load_weights(other, tmp_path / "group.h5", by_name=False).complete
    assert_same(values(other), values(model))


def test_strict_loading_refuses_missing_and_extra_layers(build_model, small_layout, make_weights, tmp_path):
    layout = small_layout()
    make_weights.write(layout[:-1], tmp_path / "fewer.h5")
    make_weights.write([*layout, ["extra", [["extra/kernel:0", [1, 1, 2, 2]]]]], tmp_path / "more.h5")
    with pytest.raises(WeightsError, match="in the network only mrcnn_mask; in the file only none"):
        load_weights(build_model(layout), tmp_path / "fewer.h5", by_name=False, on_mismatch="keep")
    with pytest.raises(WeightsError, match="in the network only none; in the file only extra"):
        load_weights(build_model(layout), tmp_path / "more.h5", by_name=False, on_mismatch="keep")
    assert load_weights(build_model(layout), tmp_path / "more.h5").unused == ["extra"]


def test_values_that_are_not_finite_are_refused_before_anything_changes(
    build_model, small_layout, write_file, layers_of, values
):
    layers = layers_of(small_layout())
    layers["fpn_p2"]["fpn_p2/bias:0"][1] = np.nan
    model = build_model(small_layout())
    before = values(model)
    with pytest.raises(WeightsError, match=r"not finite.*'fpn_p2/bias'.*diverged"):
        load_weights(model, write_file(layers))
    assert_unchanged(model, values, before)


def test_assignment_that_does_not_arrive_is_noticed(build_model, small_layout, make_weights, tmp_path, monkeypatch):
    make_weights.write(small_layout(), tmp_path / "weights.h5")
    model = build_model(small_layout())
    kernel = model.get_layer("fpn_p2").kernel
    monkeypatch.setattr(kernel, "assign", lambda value: None)
    with pytest.raises(WeightsError, match=r"1 of \d+ variables differ from the file, 'fpn_p2/kernel'"):
        load_weights(model, tmp_path / "weights.h5")


def test_damaged_tensor_is_noticed_before_anything_changes(build_model, small_layout, make_weights, values, tmp_path):
    path = tmp_path / "weights.h5"
    make_weights.write(small_layout(), path)
    with h5py.File(path, "r+") as file:
        del file["mrcnn_mask/mrcnn_mask/bias:0"]
    model = build_model(small_layout())
    before = values(model)
    with pytest.raises(WeightsError, match="damaged"):
        load_weights(model, path)
    assert_unchanged(model, values, before)


def test_theano_file_is_refused(build_model, small_layout, write_file, layers_of):
    with pytest.raises(WeightsError, match="Theano"):
        load_weights(build_model(small_layout()), write_file(layers_of(small_layout()), backend="theano"))


def test_file_without_weights_is_refused(build_model, small_layout, write_file):
    with pytest.raises(WeightsError, match="no weights"):
        load_weights(build_model(small_layout()), write_file({"conv1": {}, "fpn_p2": {}}))


def test_keras_3_file_is_left_to_keras(build_model, small_layout, tmp_path):
    model = build_model(small_layout())
    model.save_weights(tmp_path / "x.weights.h5")
    with pytest.raises(WeightsError, match="Keras 3's own format"):
        load_weights(model, tmp_path / "x.weights.h5")


def test_unknown_on_mismatch_is_an_error(build_model, small_layout, tmp_path):
    with pytest.raises(ValueError, match="on_mismatch='ignore'"):
        load_weights(build_model(small_layout()), tmp_path / "x.h5", on_mismatch="ignore")


def randomize(model):
    rng = np.random.default_rng(1)
    for variable in model.weights:
        variable.assign(rng.normal(size=variable.shape).astype("float32"))


def own_backbone():
    """A backbone as users write it: unnamed layers, a model in the model, a layer of layers with its own weight."""
    import keras

    class Scaled(keras.layers.Layer):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.first, self.second = keras.layers.Dense(3), keras.layers.Dense(3)
            self.dropout = keras.layers.Dropout(0.5)  # its random state is not a weight

        def build(self, shape):
            self.scale = self.add_weight(shape=(3,), name="scale")
            self.first.build(shape)
            self.second.build(shape)

        def call(self, x):
            return self.dropout(self.second(self.first(x)) * self.scale)

    inputs = keras.Input((3,))
    inner = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Dense(3)(inputs)), name="stage1")
    inputs = keras.Input((3,))
    x = keras.layers.Dense(3)(inner(inputs))
    return keras.Model(inputs, Scaled(name="scaled")(x), name="my_backbone"), keras.layers.Dense(3)


@pytest.mark.backend
@pytest.mark.slow_on_jax
def test_own_backbone_round_trips_although_keras_numbers_its_layers_anew(build_model, small_layout, tmp_path):
    models = []
    for _ in range(2):
        backbone, neck = own_backbone()
        models.append(build_model(small_layout(), extra=[(backbone, (3,)), (neck, (3,))]))
    first, second = models
    randomize(first)
    assert [layer.name for layer in first.layers] != [layer.name for layer in second.layers]
    write_weights(first, tmp_path / "own.h5")
    report = load_weights(second, tmp_path / "own.h5")
    assert report.complete and report.tensors_total == len(first.weights) and not report.unused
    assert any("paired in their order" in note for note in report.notes)
    for one, other in zip(first.weights, second.weights, strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other), err_msg=one.path)


def test_whole_network_with_another_backbone_needs_a_training_model(build_model, small_layout, make_weights, tmp_path):
    make_weights.write(small_layout(), tmp_path / "weights.h5")
    backbone, _ = own_backbone()
    heads = [entry for entry in small_layout() if not entry[0].startswith(("conv1", "bn", "res"))]
    with pytest.raises(WeightsError, match="my_backbone/"):
        load_weights(build_model(heads, extra=[(backbone, (3,))]), tmp_path / "weights.h5")
    backbone, _ = own_backbone()
    report = load_weights(build_model(heads, extra=[(backbone, (3,))]), tmp_path / "weights.h5", on_mismatch="keep")
    assert "mrcnn_mask" in report.loaded and "my_backbone/stage1/dense" in " ".join(report.missing)


def test_half_precision_variables_are_verified_in_their_precision(tmp_path):
    import keras

    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3, dtype="bfloat16", name="dense_low")(inputs))
    values = {"kernel": np.full((4, 3), 1 / 3, "f"), "bias": np.arange(3, dtype="f")}
    write_tensors(
        tmp_path / "x.h5", [("dense_low", [(f"dense_low/{kind}:0", value) for kind, value in values.items()])]
    )
    assert load_weights(model, tmp_path / "x.h5").complete
    assert np.asarray(model.get_layer("dense_low").kernel).astype("f")[0, 0] == pytest.approx(1 / 3, rel=1e-2)


def test_heads_alone_may_be_loaded_from_a_file_of_their_own(build_model, small_layout, make_weights, tmp_path):
    make_weights.write([entry for entry in small_layout() if entry[0] == "mrcnn_mask"], tmp_path / "mask.h5")
    assert load_weights(build_model(small_layout()), tmp_path / "mask.h5").loaded == ["mrcnn_mask"]
