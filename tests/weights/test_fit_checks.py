"""Files that belong to another network: detection refuses them by name, training keeps what fits and says what not."""

import numpy as np
import pytest

from mrcnn_plus.errors import WeightsError
from mrcnn_plus.weights.loading import class_count, load_weights


def test_detection_refuses_another_number_of_classes_and_names_both(
    build_model, small_layout, make_weights, values, tmp_path
):
    make_weights.write(small_layout(81), tmp_path / "coco.h5")
    model = build_model(small_layout(2))
    before = values(model)
    with pytest.raises(WeightsError, match=r"81 classes with background, expected NUM_CLASSES=2.*set NUM_CLASSES = 81"):
        load_weights(model, tmp_path / "coco.h5")
    np.testing.assert_equal(values(model), before)


def test_training_keeps_heads_of_another_shape_and_lists_both_shapes(
    build_model, small_layout, make_weights, values, expected, tmp_path
):
    make_weights.write(small_layout(81), tmp_path / "coco.h5")
    model = build_model(small_layout(2))
    before = values(model)
    report = load_weights(model, tmp_path / "coco.h5", on_mismatch="keep")
    heads = ["mrcnn_class_logits", "mrcnn_bbox_fc", "mrcnn_mask"]
    after, wanted = values(model), expected(small_layout(81))
    for name in after:
        source = before if name.split("/")[0] in heads else wanted
        np.testing.assert_array_equal(after[name], source[name], err_msg=name)
    assert [layer.layer for layer in report.skipped] == report.initial == heads
    assert report.skipped[0].reason == "shapes differ"
    assert report.skipped[0].file_shape == {"kernel": (8, 81), "bias": (81,)}
    assert report.skipped[0].model_shape == {"kernel": (8, 2), "bias": (2,)}
    assert report.file_classes == class_count(tmp_path / "coco.h5") == 81
    assert "6 left at initial values (mrcnn_class_logits, mrcnn_bbox_fc, mrcnn_mask)" in str(report).splitlines()[0]
    assert "kernel (8, 81), bias (81,), network kernel (8, 2), bias (2,)" in str(report)


def test_file_of_another_network_is_refused_by_name(build_model, small_layout, write_file, values):
    mobilenet = {name: {f"{name}/kernel:0": np.ones((1, 1, 3, 3), "f")} for name in ("conv1", "conv_dw_1", "conv_pw_1")}
    model = build_model(small_layout())
    before = values(model)
    for on_mismatch in ("error", "keep"):
        with pytest.raises(WeightsError, match=r"another network \(MobileNet\).*conv_dw_1.*Mask R-CNN on ResNet-50"):
            load_weights(model, write_file(mobilenet), on_mismatch=on_mismatch)
    np.testing.assert_equal(values(model), before)


def test_one_layer_that_happens_to_fit_does_not_make_it_this_network(build_model, small_layout, write_file, layers_of):
    layers = {"conv1": layers_of(small_layout())["conv1"]}
    layers |= {f"other{number}": {f"other{number}/kernel:0": np.ones(3, "f")} for number in range(9)}
    with pytest.raises(WeightsError, match=r"does not belong to this network: 2 of the network's 54 tensors"):
        load_weights(build_model(small_layout()), write_file(layers), on_mismatch="keep")


def resnet101(layout):
    """The layout with the deeper stage 4."""
    names = [f"res4{letter}_branch2a" for letter in "ghijklmnopqrstuvw"]
    return layout + [[name, [[f"{name}/kernel:0", [1, 1, 4, 2]], [f"{name}/bias:0", [2]]]] for name in names]


@pytest.mark.parametrize("deep_file", [True, False])
def test_other_depth_of_resnet_stops_detection_and_is_noted_in_training(
    deep_file, build_model, small_layout, make_weights, values, tmp_path
):
    shallow, deep = small_layout(), resnet101(small_layout())
    make_weights.write(deep if deep_file else shallow, tmp_path / "weights.h5")
    model = build_model(shallow if deep_file else deep)
    before = values(model)
    backbone = "resnet101" if deep_file else "resnet50"
    with pytest.raises(
        WeightsError,
        match=f"another backbone.*ResNet-101.*BACKBONE='{backbone}'|another backbone.*BACKBONE='{backbone}'",
    ):
        load_weights(model, tmp_path / "weights.h5")
    np.testing.assert_equal(values(model), before)
    report = load_weights(model, tmp_path / "weights.h5", on_mismatch="keep")
    assert any("ResNet-101" in note and "ResNet-50" in note for note in report.notes)
    assert len(report.unused if deep_file else report.missing) == 17


def test_imagenet_file_of_other_depth_is_only_a_note(build_model, small_layout, make_weights, tmp_path):
    imagenet = [entry for entry in small_layout() if entry[0].startswith(("conv1", "bn", "res"))]
    make_weights.write(imagenet, tmp_path / "imagenet.h5")
    report = load_weights(build_model(resnet101(small_layout())), tmp_path / "imagenet.h5")
    assert any(
        "ResNet-50 without Mask R-CNN heads, the network is Mask R-CNN on ResNet-101" in note for note in report.notes
    )


def test_detection_refuses_a_whole_network_that_lacks_layers(build_model, small_layout, make_weights, tmp_path):
    make_weights.write([entry for entry in small_layout() if entry[0] != "fpn_p2"], tmp_path / "weights.h5")
    with pytest.raises(WeightsError, match="lacks 1 layers of the network.*fpn_p2"):
        load_weights(build_model(small_layout()), tmp_path / "weights.h5")
    assert load_weights(build_model(small_layout()), tmp_path / "weights.h5", on_mismatch="keep").missing == ["fpn_p2"]
    assert load_weights(build_model(small_layout()), tmp_path / "weights.h5", exclude="fpn_p2").excluded == ["fpn_p2"]


def test_batch_norm_statistics_do_not_pass_for_group_norm(build_model, small_layout, make_weights, values, tmp_path):
    make_weights.write(small_layout(), tmp_path / "batch.h5")
    model = build_model(small_layout(), normalization="group")
    before = values(model)
    with pytest.raises(WeightsError, match="NORMALIZATION"):
        load_weights(model, tmp_path / "batch.h5")
    report = load_weights(model, tmp_path / "batch.h5", on_mismatch="keep")
    assert "bn_conv1" in report.initial and "conv1" in report.loaded
    assert report.skipped[0].reason == "batch normalization in the file, another kind in the network"
    np.testing.assert_array_equal(values(model)["bn_conv1/gamma"], before["bn_conv1/gamma"])
