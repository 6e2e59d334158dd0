"""The rules on histories: what each one finds, that a healthy run gets no verdict, and which verdict is told first."""

import math

import pytest

from mrcnn_plus.config import Config
from mrcnn_plus.diagnosis.history import LOSSES, History
from mrcnn_plus.diagnosis.verdicts import EXPLAINS, headline, verdicts_on
from mrcnn_plus.lint import all_rules, check
from mrcnn_plus.lint.findings import Report

from ..support.histories import PARAMETERS, from_random, history, parts_trained, run_of

RULES = {code: rule for code, rule in all_rules().items() if code.startswith("RUN")}
NONE_LEARNT = {f"skill_{name}": (0.0, 0.02) for name in LOSSES}
OFF = {"skill_mrcnn_bbox_loss": (0.02, 0.05), "skill_mrcnn_mask_loss": (0.0, 0.03), "roi_iou": 0.65}
LINT_MOVED = {"code": "TRN004", "severity": "error", "message": "a square is not where its mask is."}
LINT_TURNED = {"code": "DAT049", "severity": "warning", "message": "masks fit better mirrored."}

# What each rule finds, with the words that its verdict must have.
FAILING = {
    "RUN001": (history(3, mrcnn_mask_loss=[0.4, 2.1, math.nan]), "mrcnn_mask_loss is not finite at epoch 3"),
    "RUN002": (history(6, mrcnn_mask_loss=[0.4, 0.38, 0.5, 0.9, 1.6, 2.1]), "mrcnn_mask_loss (masks) is"),
    "RUN003": (history(6, **dict.fromkeys(LOSSES, (0.4, 0.9))), "the total of the losses rises"),
    "RUN004": (history(**NONE_LEARNT, moved_rpn=8.0), "learning rate 0.001 is too high"),
    "RUN005": (history(loss_jumps=[0, 0, 0, 0, 0, 2, 3, 1]), "6 steps"),
    "RUN006": (
        history(6, gradient_norm=[3, 9, 40, 200, 900, 4000], loss=[1.5] * 6, **dict.fromkeys(LOSSES, 0.3)),
        "grown",
    ),
    "RUN007": (history(gradient_norm_mask_head=1e-9), "no gradient reaches mask_head"),
    "RUN010": (history(**NONE_LEARNT, skill_labels=0.0, moved_rpn=0.01), "learnt next to nothing"),
    "RUN011": (
        history(**NONE_LEARNT, **{f"moved_{part}": 1e-4 for part in PARAMETERS}, run=from_random()),
        "no weights were loaded, and the learning rate 0.001 is too low",
    ),
    "RUN012": (
        history(**NONE_LEARNT, **dict.fromkeys(LOSSES, 0.4), noise=0.004),
        "the stage layers=|training is stuck",
    ),
    "RUN013": (history(mrcnn_mask_loss=(0.40, 0.385), skill_mrcnn_mask_loss=(0.1, 0.12)), "mask loss does not fall"),
    "RUN014": (history(skill_rpn_class_loss=0.01), "rpn_class_loss (RPN, object or background) stays"),
    "RUN020": (history(roi_recall=(0.01, 0.005), skill_mrcnn_class_loss=0.02), "everything for background"),
    "RUN021": (
        history(
            majority_share=0.95, majority_predicted=1.0, label_recall=0.335, skill_labels=0.02, label_accuracy=0.95
        ),
        "the most frequent class alone: 9",
    ),
    "RUN022": (history(skill_labels=(-0.05, -0.02), label_accuracy=0.35, majority_share=0.36), "cannot be told apart"),
    "RUN023": (
        history(val_skill_labels=-0.8, val_label_accuracy=0.33, val_mask_iou=(0.6, 0.79)),
        "in training and in 3",
    ),
    "RUN024": (
        history(
            classes_seen=2.0,
            val_classes_seen=3.0,
            run={"classes": {"a": {"rois": 400, "taken_for": 1, "right": 1}, "b": {"rois": 0}, "c": {"rois": 9}}},
        ),
        "training meets no more than 2",
    ),
    "RUN030": (history(anchor_iou=0.18, anchor_scale=5.0), "they are too large"),
    "RUN031": (history(positive_anchors=0.02, positive_rois=0.0), "positive anchors in an image"),
    "RUN032": (history(objects=0.05), "objects on average"),
    "RUN040": (history(**OFF), "do not lie on the objects"),
    "RUN041": (
        history(false_alarms=(0.4, 0.35), roi_recall=(0.4, 0.6)),
        "sees objects where none is annotated",
    ),
    "RUN042": (
        history(
            skill_rpn_bbox_loss=(0.1, 0.3),
            skill_mrcnn_mask_loss=(0.1, 0.2),
            val_skill_rpn_bbox_loss=(0.3, 0.7),
            val_skill_mrcnn_mask_loss=(0.3, 0.5),
        ),
        "training images are harder",
    ),
    "RUN043": (history(run={"lint": [LINT_MOVED]}), "TRN004 before training: a square"),
    "RUN044": (history(input_std=0.2, input_mean=-115.0), "another range of values"),
    "RUN045": (history(**NONE_LEARNT, input_mean=118.0, input_std=45.0), "not centred"),
    "RUN046": (history(skill_mrcnn_mask_loss=(0.0, 0.02), mask_iou=0.5), "no shape that can be learnt"),
    "RUN050": (history(box_iou=0.86, mask_iou=(0.52, 0.55), noise=0.001), "boxes are good"),
    "RUN051": (
        history(
            24, steps=500.0, **{name: 0.1 for name in LOSSES if name != "rpn_bbox_loss"}, rpn_bbox_loss=0.9, noise=0.01
        ),
        "rpn_bbox_loss (RPN, boxes) makes 6",
    ),
    "RUN052": (history(val_box_AP50=(0.5, 0.89), val_mask_AP50=(0.2, 0.40)), "masks are far behind boxes"),
    "RUN060": (
        history(
            **NONE_LEARNT, run=from_random(layers="heads", parts=parts_trained("fpn", "rpn", "class_head", "mask_head"))
        ),
        "the backbone has random weights and does not train",
    ),
    "RUN061": (
        history(run=from_random(layers="res.*", parts=parts_trained("backbone", "fpn", "rpn"))),
        "class_head and mask_head have random weights",
    ),
    "RUN062": (
        history(
            run={
                "weights": [
                    {
                        "headline": "resnet50.h5: 100 of 600 tensors loaded",
                        "parts": {**run_of()["weights"][0]["parts"], "backbone": {"loaded": 54, "initial": 52}},
                    }
                ]
            }
        ),
        "54 layers were loaded and 52 left",
    ),
    "RUN063": (
        history(
            **NONE_LEARNT,
            run={**from_random(), "settings": {"NORMALIZATION": "batch", "TRAIN_BN": False, "NUM_CLASSES": 4}},
        ),
        "no normalization",
    ),
    "RUN070": (
        history(12, val_loss=[2, 1.4, 1.1, 1.0, 1.02, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7]),
        "over-fitting since epoch",
    ),
    "RUN071": (
        history(
            run={"data": {"val": {"images": 3}}}, val_objects=2.0, val_loss=[2.0, 1.1, 1.9, 0.8, 1.7, 0.7, 1.5, 0.6]
        ),
        "too small to tell",
    ),
    "RUN072": (history(val_box_AP50=[0.0, 0.01, 0.02, 0.02, 0.01, 0.02, 0.01, 0.02]), "does not rise"),
    "RUN074": (history(val_skill_mrcnn_mask_loss=-0.3, val_skill_mrcnn_bbox_loss=-0.2), "nothing carries over"),
    "RUN073": (history(val_box_AP50=[0.1, 0.3, 0.5, 0.6, 0.5, 0.1, 0.05, 0.04]), "detection has collapsed"),
}


def codes(report):
    return [finding.code for finding in report]


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": {"a": {"rois": 400}, "b": {"rois": 9}}},
        {"classes": {"a": {"rois": 40}, "b": {"rois": 0}}},
        {"data": {"train": {"images": 100_000}, "val": {"images": 80}}},
    ],
    ids=["every class was met", "few objects", "an epoch shows few of the images"],
)
def test_classes_that_training_may_meet_in_other_epochs_are_not_called_missing(changes):
    run = {"classes": {"a": {"rois": 400}, "b": {"rois": 0}}, **changes}
    assert "RUN024" not in codes(verdicts_on(history(classes_seen=2.0, val_classes_seen=3.0, run=run)))


def test_every_rule_has_a_history_that_it_finds():
    assert set(FAILING) == set(RULES)


@pytest.mark.parametrize("code", sorted(FAILING))
def test_a_rule_finds_its_pattern_with_all_that_a_verdict_has(code):
    broken, words = FAILING[code]
    report = verdicts_on(broken)
    assert "LNT001" not in codes(report), str(report)
    found = [finding for finding in report if finding.code == code]
    assert found, f"only {codes(report)}"
    for finding in found:
        assert any(part in finding.message for part in words.split("|")), finding.message
        assert finding.evidence and all(finding.evidence)
        assert finding.causes and all(finding.causes)
        assert finding.experiment.startswith("mrcnn-plus ")
        assert finding.fix and finding.where and 1 <= finding.epoch <= len(broken)
    report.to_json()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"epochs": 1},
        {"epochs": 2, "steps": 10.0},
        {"epochs": 3, "steps": 10.0, **{f"skill_{name}": (-0.5, 0.0) for name in LOSSES}},
        {"epochs": 30, "steps": 1000.0},
        {"noise": 0.12},
        {"only": ("loss", "rpn", "mrcnn", "val_loss", "val_rpn", "val_mrcnn"), "run": False},
        {"only": ("loss", "rpn", "mrcnn"), "run": False, "epochs": 20},
        {"run": from_random(), "skill_mrcnn_mask_loss": (-0.3, 0.35), "skill_labels": (-0.2, 0.3)},
        {
            name: (HEALTHY_END, HEALTHY_END)
            for name, HEALTHY_END in {"mrcnn_mask_loss": 0.2, "rpn_class_loss": 0.05}.items()
        },
        {
            "classes_seen": 1.0,
            "skill_labels": None,
            "val_skill_labels": None,
            "label_accuracy": 1.0,
            "label_recall": 1.0,
        },
    ],
    ids=[
        "plain",
        "one epoch",
        "tiny",
        "short",
        "long",
        "noisy",
        "csv",
        "losses",
        "random",
        "low from the start",
        "one class",
    ],
)
def test_a_healthy_run_gets_no_verdict(changes, seed):
    report = verdicts_on(
        history(changes.get("epochs", 8), seed=seed, **{k: v for k, v in changes.items() if k != "epochs"})
    )
    assert not report.at_least("warning"), str(report)


# Less plain cases of the rules above, as the runs of benchmarks/gauntlet.py have shown them.
BY_HEART = {
    "loss": [1.7, 0.7, 0.5, 0.3, 0.15, 0.12, 0.12, 0.13],
    "val_loss": [2.2, 1.95, 1.94, 1.94, 1.99, 2.02, 1.96, 1.92],
    "val_skill_rpn_bbox_loss": -0.8,
}


@pytest.mark.parametrize(
    ("changes", "first", "words"),
    [
        (
            {**NONE_LEARNT, "moved_backbone": [7.2, 0.1, *[0.01] * 6], "roi_recall": 0.0},
            "RUN004",
            "in epoch 1 the weights of backbone changed by 7.2 times their size",
        ),
        (
            {**NONE_LEARNT, "skill_rpn_bbox_loss": 0.5, "moved_mask_head": 1e-4, "run": from_random()},
            "RUN011",
            "mask_head moved by no more than 0.1%",
        ),
        (
            {"skill_mrcnn_mask_loss": (0.0, 0.12), "val_skill_mrcnn_mask_loss": [-0.4] * 8, "steps": 30.0},
            "RUN046",
            "no shape",
        ),
        (BY_HEART, "RUN070", "has not become less since then"),
        ({**BY_HEART, "val_skill_labels": -1.4, "val_label_accuracy": 0.48}, "RUN070", "over-fitting since epoch 2"),
    ],
    ids=["one leap", "mask head stuck", "masks by heart", "all by heart", "labels by heart too"],
)
def test_what_real_runs_have_shown_is_named_first(changes, first, words):
    verdict = headline(verdicts_on(history(**changes)))
    assert verdict.code == first and words in verdict.message


def test_a_second_stage_that_begins_higher_is_no_rise():
    heads = {
        "layers": "heads",
        "first_epoch": 1,
        "last_epoch": 5,
        "parts": parts_trained("fpn", "rpn", "class_head", "mask_head"),
    }
    everything = {"layers": "all", "first_epoch": 6, "last_epoch": 10, "parts": parts_trained(*PARAMETERS)}
    total = [1.4, 1.2, 1.05, 0.95, 0.9, 1.6, 1.3, 1.1, 0.95, 0.85]
    run = history(
        10, loss=total, **{name: [value / 5 for value in total] for name in LOSSES}, run={"stages": [heads, everything]}
    )
    assert run.stage_starts == [0, 5]
    assert not verdicts_on(run).at_least("warning"), str(verdicts_on(run))
    assert "RUN003" in codes(
        verdicts_on(history(6, loss=[0.9, 1.0, 1.15, 1.3, 1.45, 1.6], **dict.fromkeys(LOSSES, (0.18, 0.32))))
    )


def test_what_follows_from_a_cause_stands_behind_it_and_says_so():
    broken = history(**NONE_LEARNT, moved_rpn=8.0, loss_jumps=4.0, roi_recall=0.0)
    report = verdicts_on(broken)
    assert headline(report).code == "RUN004"
    assert {finding.code for finding in report if not finding.follows_from} == {"RUN004"}
    assert {"RUN010", "RUN020"} <= {finding.code for finding in report if finding.follows_from == "RUN004"}
    assert "RUN010" in str([finding.verdict_lines for finding in report]) or len(report) > 1


def test_a_verdict_names_what_explains_the_whole_chain():
    """Anchors that do not fit leave no positives, and without those all is background."""
    broken = history(**NONE_LEARNT, anchor_iou=0.15, anchor_scale=6.0, positive_rois=0.0, roi_recall=0.0)
    report = verdicts_on(broken)
    assert headline(report).code == "RUN030"
    assert {finding.follows_from for finding in report if finding.code in ("RUN031", "RUN020")} == {"RUN030"}


def test_explanations_go_one_way():
    order = list(EXPLAINS)
    assert set(order) <= set(RULES) and {code for codes in EXPLAINS.values() for code in codes} <= set(RULES)
    for position, code in enumerate(order):
        for later in EXPLAINS[code]:
            assert code not in EXPLAINS.get(later, ()), f"{code} and {later} explain each other"
            assert later != code and position >= 0


def test_the_epoch_of_a_verdict_is_the_first_from_which_on_it_was_given():
    broken = history(10, val_box_AP50=[0.1, 0.3, 0.5, 0.6, 0.5, 0.1, 0.05, 0.04, 0.03, 0.03])
    (found,) = [finding for finding in verdicts_on(broken) if finding.code == "RUN073"]
    assert found.epoch == 7
    assert "RUN073" not in codes(verdicts_on(broken.until(6)))


def test_findings_of_the_linter_come_first_among_the_causes():
    (found,) = [
        finding for finding in verdicts_on(history(**OFF, run={"lint": [LINT_TURNED]})) if finding.code == "RUN040"
    ]
    assert found.causes[0] == "the linter said so before training, DAT049: masks fit better mirrored"


def test_places_that_are_learnt_by_heart_are_not_learnt():
    """160 images seen six times: masks shifted by another distance in each are known, but on no other image."""
    by_heart = {
        "skill_rpn_bbox_loss": (0.1, 0.5),
        "skill_mrcnn_mask_loss": (0.0, 0.2),
        "skill_mrcnn_bbox_loss": (0, 0.1),
    }
    on_new = {f"val_{name}": -0.4 for name in by_heart}
    assert headline(verdicts_on(history(**by_heart, **on_new, roi_iou=0.67))).code == "RUN040"
    late = dict.fromkeys(by_heart, (0.0, 0.6))
    assert not verdicts_on(history(**late, **{f"val_{name}": (0, 0.55) for name in by_heart})).at_least("warning")


def test_better_validation_puts_the_augmentation_first():
    better = {f"val_skill_{name}": (0.1, 0.24) for name in ("rpn_bbox_loss", "mrcnn_bbox_loss", "mrcnn_mask_loss")}
    (found,) = [finding for finding in verdicts_on(history(**OFF, **better)) if finding.code == "RUN040"]
    assert "augmentation" in found.causes[0]


def test_a_run_that_stopped_in_its_first_epoch_has_a_verdict():
    failure = {
        "epoch": 1,
        "step": 2,
        "losses": {"loss": "nan", "rpn_bbox_loss": "nan", "mrcnn_class_loss": 1.0},
        "gradient_norms": {"gradient_norm": "inf"},
    }
    report = verdicts_on(History((), (), (), run_of(failure=failure, epochs=0)))
    assert headline(report).code == "RUN001"
    assert "rpn_bbox_loss is not finite at epoch 1, step 2" in headline(report).message
    assert "images or boxes" in headline(report).causes[0]


def test_rules_are_left_out_and_moved_by_the_settings_of_the_run():
    class Silent(Config):
        LINT_IGNORE = ("RUN03",)

    class Moved(Config):
        LINT_THRESHOLDS = {"RUN030": {"least_iou": 0.1}}

    broken = FAILING["RUN030"][0]
    assert "RUN030" not in codes(verdicts_on(broken, Silent()))
    assert "RUN030" not in codes(verdicts_on(broken, Moved()))
    assert "RUN030" not in codes(
        verdicts_on(history(anchor_iou=0.18, run={"settings": {"LINT_IGNORE": ["RUN030", "X"]}}))
    )
    assert "RUN030" not in codes(verdicts_on(broken, ignore="RUN030"))


def test_the_linter_neither_runs_verdicts_nor_counts_them_as_skipped():
    report = check(Config())
    assert not any(code.startswith(("RUN", "EXP")) for code in [*codes(report), *report.skipped])


def test_names_in_the_losses_of_other_programs_get_the_same_verdict():
    names = ("loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg")
    rows = [{**dict.fromkeys(names, 0.5 / (1 + epoch)), "loss_mask": 0.4 * 1.7**epoch} for epoch in range(6)]
    assert headline(verdicts_on(History.of_logs(rows))).code == "RUN002"


def test_a_rule_that_fails_is_a_finding_of_its_own(monkeypatch):
    import dataclasses

    from mrcnn_plus.lint import registry

    def fails(facts):
        raise ZeroDivisionError("no epoch")
        yield

    monkeypatch.setitem(registry._RULES, "RUN030", dataclasses.replace(RULES["RUN030"], check=fails))
    assert "no epoch" in str(verdicts_on(history()))


def test_no_verdict_for_no_epochs():
    assert verdicts_on(History((), ())) == Report((), {})
