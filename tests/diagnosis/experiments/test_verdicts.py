"""Verdicts on results of experiments: nothing is said about sound ones, and what is broken is named."""

import dataclasses
import json
import math

import numpy as np
import pytest
from PIL import Image

from mrcnn_plus.config import Config
from mrcnn_plus.diagnosis.experiments.first_batch import FirstBatch, InputValues, LossLevel, RoiAnswers, Targets
from mrcnn_plus.diagnosis.experiments.funnel import Funnel, TracedObject
from mrcnn_plus.diagnosis.experiments.lr_range import LearningRateRange
from mrcnn_plus.diagnosis.experiments.outcome import conclude
from mrcnn_plus.diagnosis.experiments.overfit import Check, Overfit
from mrcnn_plus.diagnosis.experiments.rpn import Proposals, ProposedObject
from mrcnn_plus.diagnosis.experiments.self_consistency import NEAR_ZERO, SelfConsistency
from mrcnn_plus.diagnosis.experiments.weights import AS_MADE, BROKEN, CONSTANT, OTHER, LayerState, Weights
from mrcnn_plus.errors import ConfigError
from mrcnn_plus.lint.registry import EXPERIMENT, all_rules

PARTS = ("backbone", "fpn", "rpn", "class_head", "mask_head")
LOSSES = ("rpn_class_loss", "rpn_bbox_loss", "mrcnn_class_loss", "mrcnn_bbox_loss", "mrcnn_mask_loss")
LN_3 = math.log(3)


def findings(result, config=None):
    """`{code: Finding}` of a result; also that text and JSON can be made of it."""
    outcome = conclude(result, config or Config())
    assert outcome.to_text().rstrip().endswith(outcome.verdict)
    assert json.loads(outcome.to_json())["experiment"] == result.name
    return {finding.code: finding for finding in outcome.report}


def serious(result, config=None):
    return {code for code, finding in findings(result, config).items() if finding.severity != "info"}


# ---- first-batch ----


def levels(is_trained=False, **values):
    blind = dict(zip(LOSSES, (0.69, 0.4, LN_3, 0.5, 0.69), strict=True))
    usual = {name: value * (0.2 if is_trained else 1.0) for name, value in blind.items()}
    return tuple(LossLevel(name, values.get(name, usual[name]), blind[name], is_trained) for name in LOSSES)


FIRST_BATCH = FirstBatch(
    images=("a.png", "b.png"),
    losses=levels(),
    total=3.4,
    l2=0.01,
    gradient_norm=4.0,
    gradient_norms=dict.fromkeys(PARTS, 1.5),
    training_parts=PARTS,
    untrained_parts=("rpn", "class_head", "mask_head"),
    objects=(2, 3),
    positive_anchors=(9, 12),
    sampled_anchors=(256, 256),
    positive_rois=(10, 4),
    sampled_rois=(32, 12),
    labels={"BG": (0, 30), "cell": (4, 12), "spore": (1, 2)},
    answers=RoiAnswers(4, 8, 2),
    targets=Targets(0.6, 0.8, 0.7, 0.8),
    inputs=InputValues(-120.0, 130.0, 3.0, 55.0),
)


def first_batch(**changes):
    return dataclasses.replace(FIRST_BATCH, **changes)


def test_a_usual_first_batch_of_random_and_of_trained_heads_is_all_right():
    assert findings(FIRST_BATCH) == {}
    assert findings(first_batch(losses=levels(is_trained=True))) == {}


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"losses": levels(mrcnn_mask_loss=math.nan), "total": math.nan}, "EXP001", "mrcnn_mask_loss"),
        ({"gradient_norms": {**dict.fromkeys(PARTS, 1.0), "rpn": math.inf}}, "EXP001", "gradient of rpn"),
        ({"losses": levels(mrcnn_class_loss=400.0)}, "EXP002", "mrcnn_class_loss 400"),
        ({"losses": levels(True, mrcnn_class_loss=4.0)}, "EXP002", "mrcnn_class_loss 4"),
        ({"losses": levels(True, mrcnn_mask_loss=0.7)}, "EXP003", "mask_head"),
        ({"positive_anchors": (0, 0)}, "EXP004", "No anchor"),
        ({"positive_rois": (0, 0)}, "EXP004", "2 of 2 images"),
        ({"gradient_norms": {**dict.fromkeys(PARTS, 1.0), "mask_head": 0.0}}, "EXP005", "mask_head"),
        ({"gradient_norm": 9000.0}, "EXP006", "9e+03"),
        ({"inputs": InputValues(-123.0, -102.0, -115.0, 0.3)}, "EXP007", "hardly vary"),
        ({"inputs": InputValues(-123.0, 60000.0, 9000.0, 8000.0)}, "EXP007", "6e+04"),
        ({"targets": Targets(0.6, 0.8, 0.01, 0.01)}, "EXP008", "1.0%"),
        ({"targets": Targets(0.6, 0.8, 0.74, 1.0)}, "EXP008", "fill 100.0%"),
        ({"targets": Targets(None, None, None, None), "objects": (0, 0)}, "EXP008", "No object is left"),
        ({"losses": levels(True), "answers": RoiAnswers(1, 2, 11)}, "EXP009", "11 another one"),
        ({"losses": levels(True), "answers": RoiAnswers(28, 0, 19)}, "EXP009", "19 another one"),
        ({"targets": Targets(3.8, 0.8, 0.7, 0.8)}, "EXP070", "3.8"),
        ({"untrained_parts": PARTS, "training_parts": PARTS[1:]}, "EXP071", "backbone has random weights"),
    ],
)
def test_what_is_wrong_with_a_first_batch_is_named(changes, code, words):
    found = findings(first_batch(**changes))
    assert code in found
    assert words in found[code].message


def test_where_objects_are_lost_before_the_network_it_is_an_error():
    nothing = first_batch(targets=Targets(None, None, None, None), objects=(0, 0), positive_anchors=(0, 0))
    assert serious(nothing) == {"EXP008"} and findings(nothing)["EXP008"].severity == "error"


@pytest.mark.parametrize(
    ("high", "fill", "cause"),
    [
        (("rpn_class_loss",), 0.8, "anchors differ"),
        (("rpn_bbox_loss", "mrcnn_mask_loss"), 0.8, "annotations lie elsewhere"),
        (("mrcnn_mask_loss",), 0.8, "masks lie elsewhere"),
        (("mrcnn_mask_loss",), 0.2, "outlines"),
        (LOSSES, 0.8, "images differ"),
    ],
)
def test_the_first_cause_follows_from_which_losses_of_trained_heads_are_high(high, fill, cause):
    result = first_batch(losses=levels(True, **dict.fromkeys(high, 6.0)), targets=Targets(0.6, 0.8, 0.7, fill))
    assert cause in findings(result)["EXP002"].causes[0]


def test_images_without_positive_rois_under_a_trained_rpn_point_to_the_annotations():
    found = findings(first_batch(positive_rois=(0, 0), losses=levels(True)))["EXP004"]
    assert "annotations" in found.causes[0]
    assert "untrained" in findings(first_batch(positive_rois=(0, 0)))["EXP004"].causes[0]


def test_random_heads_may_take_objects_for_anything():
    assert findings(first_batch(answers=RoiAnswers(0, 0, 14))) == {}


def test_a_mask_head_without_positive_rois_has_no_gradient_and_that_is_no_fault_of_its_own():
    norms = {**dict.fromkeys(PARTS, 1.0), "mask_head": 0.0}
    result = first_batch(gradient_norms=norms, positive_rois=(0, 0))
    assert serious(result) == set() and set(findings(result)) == {"EXP004"}


def test_a_frozen_part_may_be_without_a_gradient():
    norms = {**dict.fromkeys(PARTS, 1.0), "backbone": 0.0}
    assert findings(first_batch(gradient_norms=norms, training_parts=PARTS[1:])) == {}


def test_trained_heads_that_are_wrong_about_classes_alone_point_to_the_labels():
    found = findings(first_batch(losses=levels(True, mrcnn_class_loss=4.0)))["EXP002"]
    assert "order" in found.causes[0]
    assert "order" not in findings(first_batch(losses=levels(mrcnn_class_loss=400.0)))["EXP002"].causes[0]


# ---- self-consistency ----


def consistency(**changes):
    near = {name: limit / 2 for name, limit in NEAR_ZERO.items()}
    values = {"own": near, "in_training": None, "annotated": {name: 2 * value for name, value in near.items()}}
    values = {"images": ("a.png",), "looked_at": 4, "detected": 5, "objects": 5, "min_confidence": 0.5, **values}
    values = {"matched": 5, "same_class": 5, **values}
    return SelfConsistency(**{**values, **changes})


def test_losses_near_zero_on_own_detections_are_all_right():
    assert findings(consistency()) == {}


def test_nothing_detected_is_no_fault_and_said():
    assert serious(consistency(own={}, annotated={}, images=(), detected=0)) == set()
    assert "EXP010" in findings(consistency(own={}, annotated={}, images=(), detected=0))


def test_losses_that_stay_high_on_own_detections_are_named():
    own = {**consistency().own, "mrcnn_mask_loss": 0.9}
    found = findings(consistency(own=own))
    assert set(found) == {"EXP011"}
    assert "mrcnn_mask_loss 0.9" in found["EXP011"].message
    undertrained = {**consistency().annotated, "mrcnn_mask_loss": 1.2}
    assert serious(consistency(own=own, annotated=undertrained)) == set()


@pytest.mark.parametrize(
    ("high", "setting"),
    [
        ({"rpn_bbox_loss": 3.4}, "RPN_ANCHOR_SCALES"),
        ({"mrcnn_bbox_loss": 0.29, "mrcnn_mask_loss": 0.34, "rpn_bbox_loss": 0.58}, "BBOX_STD_DEV"),
    ],
)
def test_settings_that_differ_from_the_training_are_the_first_cause(high, setting):
    own = {**consistency().own, **high}
    # As measured with anchors of twice the size, and with twice the BBOX_STD_DEV; annotations are no better.
    annotated = {**{name: value * 0.9 for name, value in own.items()}, "rpn_class_loss": 0.65}
    found = findings(consistency(own=own, annotated=annotated))
    assert set(found) == {"EXP011"}
    assert found["EXP011"].severity == "warning" and setting in found["EXP011"].causes[0]


def test_batch_normalization_that_differs_in_training_is_named():
    training = {**consistency().own, "mrcnn_class_loss": 3.0}
    found = findings(consistency(in_training=training))
    assert set(found) == {"EXP012"}
    assert found["EXP012"].where.endswith("TRAIN_BN")


def test_annotations_that_the_network_disagrees_with_are_named():
    annotated = {**consistency().own, "mrcnn_class_loss": 4.0}
    found = findings(consistency(annotated=annotated))
    assert set(found) == {"EXP013"}
    assert "order" in found["EXP013"].causes[0]
    missing = findings(consistency(annotated=annotated, detected=12))["EXP013"]
    assert any("not annotated" in cause for cause in missing.causes)


@pytest.mark.parametrize(
    ("counts", "words", "cause"),
    [
        ({"detected": 17, "objects": 14, "matched": 17, "same_class": 1}, "16 of 17 detected objects", "another order"),
        ({"detected": 17, "objects": 14, "matched": 1, "same_class": 1}, "1 of 17 detections lie", "elsewhere"),
        ({"detected": 17, "objects": 5, "matched": 6, "same_class": 6}, "17 objects are detected", "not annotated"),
    ],
)
def test_detections_that_contradict_the_annotations_are_told_though_losses_are_low(counts, words, cause):
    finding = findings(consistency(**counts))["EXP013"]
    assert words in finding.message and cause in finding.causes[0]


def test_duplicates_and_single_confusions_are_no_contradiction():
    assert findings(consistency(detected=17, objects=14, matched=15, same_class=13)) == {}


# ---- overfit ----


def curves(start=1.0, end=0.1, steps=200, **others):
    """Losses that fall evenly on a logarithmic scale and stay low in the second half; others: `(start, end)`."""

    def curve(first, last):
        half = np.geomspace(first, last, steps // 2)
        return tuple(np.concatenate([half, np.full(steps - len(half), last)]).tolist())

    losses = {name: curve(*others.get(name, (start, end))) for name in LOSSES}
    return {"total": tuple(np.sum(list(losses.values()), axis=0).tolist()), **losses}


def overfit(*, stopped="steps", mask=0.3, box=0.3, found=0.2, **changes):
    values = {
        "images": ("a.png", "b.png"),
        "objects": 5,
        "losses": curves(),
        "checks": (Check(0, 0.0, 0.0, 0.0), Check(200, mask, box, found)),
        "gradient_norms": dict.fromkeys(PARTS, 1.0),
        "trained": dict.fromkeys(PARTS, (1000, 1000)),
        "untrained_parts": (),
        "layers": ("all",),
        "learning_rate": 0.001,
        "optimizer": "SGD",
        "seconds": 60.0,
    }
    return Overfit(**{**values, "stopped": stopped, **changes})


def test_images_that_are_learnt_are_all_right():
    assert findings(overfit(stopped="reached", mask=0.85, box=0.9, found=1.0)) == {}


def test_frozen_heads_are_named_as_the_reason_that_nothing_is_learnt():
    trained = {**dict.fromkeys(PARTS, (1000, 1000)), "mask_head": (0, 1000)}
    losses = curves(mrcnn_mask_loss=(0.7, 0.7))
    found = findings(overfit(trained=trained, losses=losses, layers=("rpn_.*|fpn_.*|mrcnn_class.*",)))
    assert set(found) == {"EXP020"}
    assert "mask_head" in found["EXP020"].message
    assert "mrcnn_mask_loss 0.7 -> 0.7" in found["EXP020"].message


def test_a_loss_that_does_not_fall_is_named_with_the_losses_that_are_stuck():
    found = findings(overfit(losses=curves(end=0.9), trained={**overfit().trained, "backbone": (0, 1000)},
                             untrained_parts=("backbone",)))  # fmt: skip
    assert set(found) == {"EXP021", "EXP025"}
    assert "random and frozen" in found["EXP021"].causes[0]
    assert found["EXP021"].details["stuck"] == list(LOSSES)


def test_a_loss_that_explodes_or_is_not_finite_asks_for_a_lower_rate():
    came_back = curves(end=0.01)
    came_back["total"] = (5.0, 9e4, *came_back["total"][2:])
    for broken in (overfit(losses=curves(end=9.0)), overfit(stopped="not finite"), overfit(losses=came_back)):
        found = findings(broken)
        assert set(found) == {"EXP022"}
        assert found["EXP022"].changes == {"LEARNING_RATE": 0.0001}


@pytest.mark.parametrize(
    ("detected", "words", "severity"),
    [
        ({"mask": 0.4, "box": 0.85, "found": 1.0}, "boxes are good and masks are not", "error"),
        ({"mask": 0.75, "box": 0.85, "found": 1.0}, "boxes are good and masks are not", "warning"),
        ({"mask": 0.5, "box": 0.6, "found": 0.9}, "boxes that are not exact", "error"),
        ({"mask": 0.1, "box": 0.1, "found": 0.1}, "objects are not found", "error"),
    ],
)
def test_losses_that_fall_while_detection_stays_bad_tell_what_is_bad(detected, words, severity):
    found = findings(overfit(**detected))
    assert set(found) == {"EXP023"}
    assert words in found["EXP023"].message
    assert found["EXP023"].severity == severity


@pytest.mark.parametrize("steps", [10, 200])
def test_a_random_backbone_that_is_frozen_is_named_however_far_the_experiment_came(steps):
    frozen = {"untrained_parts": PARTS, "trained": {**overfit().trained, "backbone": (0, 1000)}}
    found = findings(overfit(losses=curves(steps=steps), **frozen))
    assert found["EXP025"].severity == "error" and "backbone has random weights" in found["EXP025"].message
    learnt = findings(overfit(stopped="reached", mask=0.9, **frozen))
    assert {code: finding.severity for code, finding in learnt.items()} == {"EXP025": "warning"}
    assert "EXP025" not in findings(overfit(losses=curves(steps=steps), untrained_parts=PARTS))


def test_a_loss_that_is_still_falling_decides_nothing():
    falling = {name: tuple(np.geomspace(1.0, 0.3, 100).tolist()) for name in ("total", *LOSSES)}
    result = overfit(losses=falling, stopped="time")
    assert set(findings(result)) == {"EXP024"}
    assert serious(result) == set()


def test_a_handful_of_steps_decides_nothing():
    few = dict.fromkeys(("total", *LOSSES), (1.0, 1.0, 1.1))
    found = findings(overfit(losses=few, stopped="time"))
    assert set(found) == {"EXP024"}
    assert "after 3 steps" in found["EXP024"].message


# ---- weights ----


def layer(name, part, state=OTHER, **options):
    return LayerState(name, part, 1000, **{"trains": True, "has_kernel": True, **options}, state=state)


def weights(*layers, **options):
    return Weights(layers=layers, parameters=1000 * len(layers), **options)


def test_loaded_weights_with_random_heads_that_train_are_all_right():
    backbone = layer("conv1", "backbone", trains=False)
    heads = [layer("mrcnn_mask", "mask_head", AS_MADE), layer("mrcnn_class_logits", "class_head", AS_MADE)]
    assert findings(weights(backbone, *heads, stages=("heads",), loaded=(300, 316), loaded_from="coco.h5")) == {}


def test_a_random_backbone_that_is_frozen_is_an_error():
    random = layer("conv1", "backbone", AS_MADE, trains=False)
    found = findings(weights(random, layer("mrcnn_mask", "mask_head"), stages=("heads",)))
    assert set(found) == {"EXP030"}
    assert "conv1" in found["EXP030"].evidence[0]
    assert "no weights were loaded" in found["EXP030"].causes


def test_a_random_backbone_that_trains_needs_normalization():
    random = layer("conv1", "backbone", AS_MADE)
    assert findings(weights(random)) == {}
    assert set(findings(weights(random, frozen_statistics=True))) == {"EXP031"}


def test_broken_layers_are_errors():
    found = findings(weights(layer("conv1", "backbone", BROKEN)))
    assert "not finite" in found["EXP032"].message
    assert "all equal" in findings(weights(layer("conv1", "backbone", CONSTANT)))["EXP032"].message


def test_layers_that_train_and_did_not_move_are_named():
    still = layer("mrcnn_mask", "mask_head", moved=0.0)
    moved = layer("conv1", "backbone", moved=0.1)
    found = findings(weights(moved, still, against="start.h5"))
    assert set(found) == {"EXP033"}
    assert "mrcnn_mask" in found["EXP033"].evidence[0]
    assert findings(weights(moved, dataclasses.replace(still, moved=0.01), against="start.h5")) == {}


def test_frozen_layers_that_differ_are_worth_knowing():
    found = findings(weights(layer("conv1", "backbone", moved=0.1, trains=False), against="start.h5"))
    assert {code: finding.severity for code, finding in found.items()} == {"EXP034": "info"}


def test_a_file_of_which_hardly_anything_fits_is_named():
    found = findings(weights(layer("conv1", "backbone"), loaded=(12, 316), loaded_from="x.h5"))
    assert "12 of 316" in found["EXP035"].message


# ---- rpn ----


def proposals(count=40, *, anchor=0.8, rank=5, chance=200, is_untrained=False, **options):
    objects = [ProposedObject("cell", 10.0 + number, anchor, 3, rank, chance) for number in range(count)]
    limits = {"in_training": 1000, "in_detection": 1000, **options}
    return Proposals(tuple(objects), images=20, is_untrained=is_untrained, **limits)


def test_an_rpn_that_ranks_objects_first_is_all_right():
    assert findings(proposals()) == {}


def test_anchors_that_are_far_too_large_are_an_error():
    found = findings(proposals(anchor=0.1, rank=None, chance=None, is_untrained=True))
    assert found["EXP040"].severity == "error"
    assert "40 of 40 objects" in found["EXP040"].message
    assert found["EXP040"].where.endswith("RPN_ANCHOR_SCALES")


def test_anchors_that_a_trained_rpn_makes_up_for_are_worth_knowing_only():
    found = findings(proposals(anchor=0.45))
    assert {code: finding.severity for code, finding in found.items()} == {"EXP040": "info"}


def test_objects_that_are_not_proposed_count_only_where_the_rpn_is_trained():
    assert "EXP041" in serious(proposals(rank=None))
    assert serious(proposals(rank=None, is_untrained=True)) == set()


def test_a_trained_rpn_that_ranks_by_chance_is_named():
    assert "EXP042" in findings(proposals(rank=200, chance=200))


def test_a_limit_that_cuts_objects_off_is_named():
    found = findings(proposals(rank=500, chance=None, in_detection=300))
    assert found["EXP043"].changes == {"POST_NMS_ROIS_INFERENCE": 1000}
    assert found["EXP043"].severity == "warning"
    few = findings(proposals(rank=30, chance=None, in_detection=4))["EXP043"]
    assert few.changes == {"POST_NMS_ROIS_INFERENCE": 50}


def test_a_least_size_of_proposals_is_a_cause_where_objects_are_not_proposed():
    class LeavesOut(Config):
        RPN_MIN_SIZE = 20

    assert "RPN_MIN_SIZE = 20" in findings(proposals(rank=None), LeavesOut())["EXP041"].causes[0]
    assert not any("RPN_MIN_SIZE" in cause for cause in findings(proposals(rank=None))["EXP041"].causes)


def test_a_suppression_that_costs_objects_is_named():
    found = findings(proposals(rank=None, anchor=0.4, nms_threshold=0.05, with_usual_nms=1.0))
    assert found["EXP045"].changes == {"RPN_NMS_THRESHOLD": 0.7}
    assert findings(proposals(nms_threshold=0.6, with_usual_nms=1.0)) == {}


def test_a_class_that_is_proposed_rarely_is_named():
    spores = [ProposedObject("spore", 5.0, 0.6, 1, None, None) for _ in range(10)]
    result = proposals()
    outcome = conclude(dataclasses.replace(result, objects=(*result.objects, *spores)), Config())
    assert "spore" in [finding.where for finding in outcome.report if finding.code == "EXP044"]


def test_recall_is_that_of_the_first_proposals():
    ranks = (0, 49, 50, 99, None)
    objects = tuple(ProposedObject("cell", 10.0, 0.8, 1, rank, None) for rank in ranks)
    result = Proposals(objects, images=1, in_training=100, in_detection=100, is_untrained=False)
    assert [result.recall(count) for count in (50, 100)] == [0.4, 0.8]


# ---- funnel ----

FUNNEL_RULES = {"anchor": 50, "proposal": 51, "class": 52, "box": 53, "score": 54, "nms": 55, "limit": 56, "mask": 57}


def funnel(*lost, found=20, **changes):
    objects = [TracedObject("a.png", number, "cell", (0, 0, 9, 9), "found") for number in range(found)]
    objects += [TracedObject("b.png", n, "cell", (0, 0, 9, 9), stage, "why", 0.4) for n, stage in enumerate(lost)]
    values = {"images": 2, "detections": 22, "false_detections": 2, "settings": {"DETECTION_MIN_CONFIDENCE": 0.7}}
    return Funnel(tuple(objects), **{**values, **changes})


def test_a_funnel_that_loses_single_objects_is_all_right():
    assert findings(funnel("score")) == {}
    assert funnel("anchor", "score").passed == {
        **dict.fromkeys(("anchor", "proposal", "class", "box"), 21),
        **dict.fromkeys(("score", "nms", "limit", "mask"), 20),
    }


@pytest.mark.parametrize("stage", FUNNEL_RULES)
def test_the_stage_that_loses_many_objects_is_named(stage):
    found = findings(funnel(*[stage] * 6))
    assert set(found) == {f"EXP0{FUNNEL_RULES[stage]}"}
    (finding,) = found.values()
    assert finding.message.startswith("6 of the 26 objects")
    assert len(finding.places) == 6


def test_a_high_confidence_threshold_gets_the_value_that_would_keep_the_objects():
    found = findings(funnel(*["score"] * 6))["EXP054"]
    assert found.changes == {"DETECTION_MIN_CONFIDENCE": 0.4}


def test_objects_that_all_get_another_class_point_to_the_order_of_the_classes():
    assert "another order" in findings(funnel(*["class"] * 30, found=4))["EXP052"].causes[0]
    assert "another order" not in findings(funnel(*["class"] * 6))["EXP052"].causes[0]


def test_few_proposals_are_the_first_cause_of_objects_that_are_not_proposed():
    few = {"POST_NMS_ROIS_INFERENCE": 4.0}
    assert "POST_NMS_ROIS_INFERENCE = 4" in findings(funnel(*["proposal"] * 6, settings=few))["EXP051"].causes[0]
    enough = {"POST_NMS_ROIS_INFERENCE": 1000.0}
    assert "trained" in findings(funnel(*["proposal"] * 6, settings=enough))["EXP051"].causes[0]


def test_confident_detections_beside_all_objects_point_to_the_annotations_and_not_to_anchors():
    lost = ["anchor"] * 17 + ["proposal"] * 13
    found = findings(funnel(*lost, found=0, detections=31, false_detections=31))
    assert set(found) == {"EXP058"}
    assert "elsewhere" in found["EXP058"].causes[0]
    assert set(findings(funnel(*lost, found=0, detections=2, false_detections=2))) == {"EXP050", "EXP051"}


# ---- lr-range ----


def sweep(best=0.01, used=(0.001,), steps=100):
    """A loss that falls down to a rate `best` and breaks out at 20 times of it."""
    rates = np.geomspace(1e-6, 1.0, steps)
    losses = 1.0 + 3.0 / (1 + (rates / (best / 10)) ** 1.0) + (rates / (20 * best)) ** 3 * 8
    return LearningRateRange(tuple(rates.tolist()), tuple(losses.tolist()), used, ("all",), "SGD", 2)


def test_a_rate_near_the_suggested_one_is_all_right():
    result = sweep()
    assert findings(result) == {}
    assert 0.001 <= result.suggestion <= 0.03
    assert result.diverges_at >= 10 * result.suggestion


def test_rates_that_are_too_high_or_too_low_are_named():
    assert findings(sweep(used=(0.9,)))["EXP060"].severity == "error"
    assert set(findings(sweep(used=(1e-6,)))) == {"EXP061"}


def test_a_rate_above_that_of_the_lowest_loss_is_named_though_nothing_breaks_out():
    whole = sweep(used=(1.0,))
    end = next(step for step in range(whole.lowest, 100) if whole.smoothed[step] > 1.3 * whole.smoothed[whole.lowest])
    short = dataclasses.replace(whole, rates=whole.rates[:end], losses=whole.losses[:end])
    assert short.diverges_at is None
    assert findings(short)["EXP060"].severity == "warning"
    assert "EXP060" not in findings(dataclasses.replace(short, used=(0.001,)))


def test_a_loss_that_falls_at_no_rate_is_named():
    flat = dataclasses.replace(sweep(), losses=(2.0,) * 100)
    assert serious(flat) == {"EXP062"}
    assert flat.suggestion is None
    assert serious(dataclasses.replace(flat, is_trained=True)) == set()


def test_noise_of_the_batches_is_no_fall():
    losses = np.random.default_rng(0).lognormal(0, 0.5, 100)
    assert not dataclasses.replace(sweep(), losses=tuple(losses.tolist())).falls


# ---- rules and results ----


def test_every_rule_on_experiments_says_which_results_it_is_about():
    rules = [rule for rule in all_rules().values() if EXPERIMENT in rule.needs]
    assert rules and all(rule.about is not None for rule in rules)
    assert {rule.about for rule in rules if rule.judges(FIRST_BATCH)} == {FirstBatch}


# ---- what becomes of outcomes ----


def test_an_outcome_is_saved_with_its_figures_and_can_be_ignored_by_code(tmp_path):
    picture = np.full((4, 6, 3), 200, np.uint8)
    outcome = conclude(sweep(used=(0.9,)), Config(), figures={"curve.png": picture, "table.csv": "a,b\n"})
    paths = outcome.save(tmp_path / "new")
    assert [path.rpartition("/")[2] for path in paths] == ["lr_range.txt", "lr_range.json", "curve.png", "table.csv"]
    assert np.asarray(Image.open(tmp_path / "new" / "curve.png")).tolist() == picture.tolist()
    assert outcome.verdict.startswith("The program trains with 0.9")

    class Ignoring(Config):
        LINT_IGNORE = ("EXP060",)

    assert findings(sweep(used=(0.9,)), Ignoring()) == {}


def test_a_folder_that_cannot_be_made_is_an_error_with_its_path(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="folder"):
        conclude(sweep(), Config()).save(tmp_path / "file")
