"""What trains and what was loaded: frozen heads, a frozen backbone of random weights, weights that were not loaded."""

from mrcnn_plus.diagnosis import reading, signs
from mrcnn_plus.diagnosis.history import LOSSES
from mrcnn_plus.lint.findings import ERROR, WARNING
from mrcnn_plus.lint.registry import HISTORY, Violation, rule


@rule(
    "RUN060",
    ERROR,
    needs=HISTORY,
    why="Random features that never change: the heads can only learn what noise lets through.",
    example="backbone: 0 of 44 million parameters train, and no weights were loaded for it",
    fix="Load weights before training, model.load_weights(path, by_name=True, exclude=[...]), or train layers='all'.",
)
def random_backbone_frozen(facts):
    """The backbone has random weights and has not been trained in any stage."""
    history = facts.history
    frozen = set(reading.never_trained_parts(history)) & set(reading.random_parts(history)) & {"backbone", "fpn"}
    if "backbone" not in frozen:
        return
    layers = history.stage.get("layers")
    count = reading.parts(history)["backbone"]["parameters"]
    loads = history.run.get("weights") or ()
    yield Violation(
        f"the backbone has random weights and does not train (layers={layers!r}).",
        where="layers",
        value=layers,
        evidence=[
            f"backbone: 0 of {count:,} parameters train",
            *(load["headline"] for load in loads),
            *([] if loads else ["no weights were loaded before training"]),
            reading.skills_text(history),
        ],
        causes=[
            "`load_weights` is missing, or took a file that does not fit: see the load report"
            if not loads
            else "the weights file has no layers of this backbone: another depth, or other names",
            f"layers={layers!r} is meant for a backbone that is trained already",
            *reading.lint_causes(history, "WGT", "TRN021"),
        ],
        experiment=reading.WEIGHTS,
    )


@rule(
    "RUN061",
    ERROR,
    needs=HISTORY,
    why="Heads of a new data set begin at random: the last layers of class, box and mask have no weights that fit.",
    example="mask_head: 0 of 2.6 million parameters train, and none was loaded",
    fix="Train layers='heads' first, then 'all'; a regular expression of layer names must hold the heads, too.",
)
def random_head_frozen(facts):
    """RPN, class or mask head have random weights, and no stage so far has trained them."""
    history = facts.history
    random = set(reading.random_parts(history)) | set(_new_last_layers(history))
    frozen = [
        part for part in reading.never_trained_parts(history) if part in random and part not in ("backbone", "fpn")
    ]
    if not frozen:
        return
    layers = history.stage.get("layers")
    losses = [name for name in LOSSES if reading.PART_OF_LOSS[name] in frozen]
    yield Violation(
        f"{' and '.join(frozen)} {'have' if len(frozen) > 1 else 'has'} random weights and "
        f"{'do' if len(frozen) > 1 else 'does'} not train (layers={layers!r}).",
        where="layers",
        value=layers,
        evidence=[
            *(f"{part}: 0 of {reading.parts(history)[part]['parameters']:,} parameters train" for part in frozen),
            *reading.courses(history, *losses),
        ],
        causes=[
            f"the regular expression {layers!r} does not match the layers of {', '.join(frozen)}",
            "the program sets `layer.trainable = False` before training",
            *reading.lint_causes(history, "TRN023", "TRN002"),
        ],
        experiment=reading.WEIGHTS,
        fix=f"Train them: layers='heads', or add {'|'.join(_NAMES[part] for part in frozen)} to the expression.",
    )


_NAMES = {"rpn": r"rpn\_.*", "class_head": r"mrcnn\_class.*|mrcnn\_bbox.*", "mask_head": r"mrcnn\_mask.*"}


def _new_last_layers(history):
    """Heads of which a file gave all but the last layers, which are random then."""
    last = {"mrcnn_class_logits": "class_head", "mrcnn_bbox_fc": "class_head", "mrcnn_mask": "mask_head"}
    loads = history.run.get("weights") or ()
    left = [
        set(load.get("excluded") or ()) | {text.partition(":")[0] for text in load.get("skipped") or ()}
        for load in loads
    ]
    return {part for layer, part in last.items() if left and all(layer in names for names in left)}


@rule(
    "RUN062",
    WARNING,
    needs=HISTORY,
    why="Layers between loaded ones that stay random break what the others have learnt.",
    example="backbone: 54 layers loaded, 52 left at random values",
    fix="Give the file of this backbone: coco of ResNet-101, imagenet of ResNet-50; see the load report.",
)
def partly_loaded(facts, *, least_share=0.05):
    """A file gave a part of the layers of backbone or pyramid; `least_share` or more were left at random."""
    history = facts.history
    for part, (loaded, left) in reading.partly_loaded(history).items():
        if part not in ("backbone", "fpn") or left < least_share * (loaded + left):
            continue
        yield Violation(
            f"{part}: {loaded} layers were loaded and {left} left at random values.",
            where=part,
            value=left,
            evidence=[load["headline"] for load in history.run["weights"]],
            causes=["the file is of another backbone or depth", *reading.lint_causes(history, "WGT")],
            experiment=reading.WEIGHTS,
        )


@rule(
    "RUN063",
    WARNING,
    needs=HISTORY,
    why="Batch norm with the statistics of new layers, mean 0 and variance 1, normalizes nothing: activations grow "
    "from layer to layer, gradients with them.",
    example="TRAIN_BN = False, NORMALIZATION = 'batch', no weights loaded; masks 0.01 learnt after 240 steps",
    fix="Load weights; or NORMALIZATION = 'group'; or TRAIN_BN = True where a step has 8 images or more.",
)
def nothing_is_normalized(facts):
    """Batch norm uses stored statistics on random weights, and the network learns little."""
    history = facts.history
    seen = signs.stored_statistics_on_random_weights(history)
    if not seen or not reading.can_judge_learning(history) or len(signs.low_skills(history)) < 2:
        return
    yield Violation(
        "the network has no normalization: batch norm uses stored statistics, and those of random weights are mean 0 "
        "and variance 1.",
        where="TRAIN_BN",
        value=history.settings.get("TRAIN_BN"),
        evidence=[*seen, reading.skills_text(history), *reading.courses(history, "loss", "gradient_norm", "loss_max")],
        causes=[
            "weights were to be loaded and were not",
            "TRAIN_BN = False is meant for weights that were loaded",
            *reading.lint_causes(history, "CFG096"),
        ],
        experiment=reading.WEIGHTS,
        changes={"NORMALIZATION": "group"},
    )
