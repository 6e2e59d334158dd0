from mrcnn_plus.weights.report import LoadReport, SkippedLayer, format_shapes, shorten


def test_summary_tells_everything_once_and_in_order():
    report = LoadReport(
        path="/data/mask_rcnn_coco.h5",
        description="Mask R-CNN on ResNet-101, 81 classes with background",
        loaded=["conv1"],
        skipped=[SkippedLayer("mrcnn_mask", "shapes differ", {"kernel": (1, 1, 256, 81)}, {"kernel": (1, 1, 256, 2)})],
        excluded=["mrcnn_bbox_fc"],
        missing=["my_layer"],
        initial=["mrcnn_bbox_fc", "mrcnn_mask", "my_layer"],
        unused=["anchors"],
        tensors_loaded=412,
        tensors_total=420,
        notes=["look here"],
    )
    assert str(report).splitlines() == [
        "mask_rcnn_coco.h5: 412 of 420 tensors loaded and verified, "
        "8 left at initial values (mrcnn_bbox_fc, mrcnn_mask, my_layer)",
        "  the file holds: Mask R-CNN on ResNet-101, 81 classes with background",
        "  skipped: mrcnn_mask: shapes differ; file kernel (1, 1, 256, 81), network kernel (1, 1, 256, 2)",
        "  excluded: mrcnn_bbox_fc",
        "  not in the file: my_layer",
        "  unused in the file: anchors",
        "  note: look here",
    ]
    assert not report.complete and report.tensors_initial == 8


def test_complete_report_is_one_line_and_the_description():
    report = LoadReport(path="x.h5", loaded=["a"], tensors_loaded=2, tensors_total=2)
    assert report.complete
    assert str(report) == "x.h5: 2 of 2 tensors loaded and verified"


def test_nothing_loaded_is_not_complete():
    assert not LoadReport(path="x.h5").complete


def test_many_skipped_layers_are_shortened():
    skipped = [SkippedLayer(f"bn{number}", "shapes differ", {}, {}) for number in range(60)]
    lines = str(LoadReport(path="x.h5", skipped=skipped)).splitlines()
    assert len(lines) == 1 + 6 + 1
    assert lines[-1] == "  skipped: bn6, bn7, bn8, bn9, bn10, bn11, bn12, bn13 and 46 more"


def test_shapes_and_names_are_short():
    assert format_shapes({"kernel": (3, 4), "bias": (4,)}) == "kernel (3, 4), bias (4,)"
    assert format_shapes({}) == "nothing"
    assert shorten("abc", 2) == "a, b and 1 more"
