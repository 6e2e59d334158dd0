"""Which layers the calls of `train` move, and what they start from."""

import difflib
import re

from mrcnn_plus.constants import LAYER_PRESETS
from mrcnn_plus.lint.findings import ERROR, INFO, WARNING
from mrcnn_plus.lint.registry import DATA, RUN, Violation, rule
from mrcnn_plus.lint.rules.training_call import calls_of

_CLASS_LAYERS = ("mrcnn_class_logits", "mrcnn_bbox_fc", "mrcnn_mask")
_HEAD_LAYERS = (
    *(f"fpn_{name}" for name in ("c5p5", "c4p4", "c3p3", "c2p2", "p5", "p4", "p3", "p2")),
    *("rpn_conv_shared", "rpn_class_raw", "rpn_bbox_pred"),
    *("mrcnn_class_conv1", "mrcnn_class_bn1", "mrcnn_class_conv2", "mrcnn_class_bn2"),
    *(f"mrcnn_mask_{kind}{number}" for kind in ("conv", "bn") for number in range(1, 5)),
    *("mrcnn_mask_deconv", *_CLASS_LAYERS),
)
_RESNET_LAYERS = (
    *("conv1", "bn_conv1"),
    *(
        f"{kind}{stage}{block}_branch{branch}"
        for kind in ("res", "bn")
        for stage in "2345"
        for block in "abcdefghijklmnopqrstuvw"
        for branch in ("1", "2a", "2b", "2c")
    ),
)


@rule(
    "TRN002",
    ERROR,
    needs=RUN,
    why="Layers are chosen by name: one of the presets, or a regular expression that has to match the whole name of a "
    "layer. What matches nothing trains nothing.",
    example='layers="head"',
    fix="Use 'heads', '3+', '4+', '5+' or 'all', or a regular expression such as r'res5.*|mrcnn_.*'.",
)
def layers_match_nothing(facts):
    """`layers` is no preset, and as a regular expression it matches no layer of the model."""
    for call in calls_of(facts.run):
        if call.layers is None:
            continue
        matching, reason = _matching_layers(call.layers, facts)
        if matching or (matching is None and not reason):
            continue
        near = difflib.get_close_matches(str(call.layers).strip().lower().rstrip("+"), LAYER_PRESETS, n=1, cutoff=0.3)
        meant = f" Did you mean {near[0]!r}?" if near else ""
        yield Violation(f"layers={call.layers!r} {reason}.{meant}", where=call.place, value=call.layers)


@rule(
    "TRN020",
    WARNING,
    needs=(RUN, DATA),
    why="A deep network that starts from random values needs a hundred thousand images and more; on a small set it "
    "learns the images by heart, or nothing at all.",
    example='train(..., layers="all") on 12 images without load_weights',
    fix="Load pretrained weights (coco, or imagenet) first; train 'heads', then 'all' at a tenth of the rate.",
)
def all_layers_from_random_weights(facts, *, fewest_images=10000):
    """The backbone trains from random weights, on fewer than `fewest_images` images."""
    run = facts.run
    calls = [call for call in calls_of(run) if _trains_backbone(call.layers)]
    if run.pretrained is False and calls and facts.train and facts.train.num_images < fewest_images:
        yield Violation(
            f"layers={calls[0].layers!r} trains the backbone from random weights, on {facts.train.num_images} images.",
            where=calls[0].place,
            value=calls[0].layers,
        )


@rule(
    "TRN021",
    WARNING,
    needs=RUN,
    why="A backbone of random values makes features without meaning. Frozen, it stays so, and the heads cannot learn "
    "from them: losses stick at the first level that is easy to reach.",
    example='train(..., layers="heads") without load_weights',
    fix="Load pretrained weights before train(): load_weights(path, by_name=True), e.g. those of COCO or ImageNet.",
)
def heads_on_random_backbone(facts):
    """Only heads are trained, on a backbone that starts from random weights."""
    calls = calls_of(facts.run)
    known = bool(calls) and all(call.layers is not None for call in calls)
    if facts.run.pretrained is False and known and not any(_trains_backbone(call.layers) for call in calls):
        yield Violation(
            f"layers={calls[0].layers!r} freezes the backbone, and nothing was loaded into it: it stays random.",
            where=calls[0].place,
            value=calls[0].layers,
        )


@rule(
    "TRN022",
    INFO,
    needs=RUN,
    why="Whether weights were loaded decides which layers can be frozen and how long training takes.",
    example="train() is called, and where the weights come from is not to be seen.",
    fix="Call load_weights before train() and read what it reports.",
)
def starting_weights_unknown(facts):
    """A program trains, and it is not known whether it loads weights before."""
    calls = calls_of(facts.run)
    if facts.run.pretrained is None and facts.run.mode == "training" and calls:
        message = "it is not to be seen whether weights are loaded before training; without them it starts at random."
        yield Violation(message, where=calls[0].place)


@rule(
    "TRN023",
    WARNING,
    needs=RUN,
    why="The last layers of class, box and mask are made for the number of classes; they are new for every data set, "
    "and stay random unless they train.",
    example='layers="res5.*" trains stage 5 of the backbone and nothing else.',
    fix='Add the heads: layers=r"res5.*|mrcnn_.*", or use a preset; all presets train the heads.',
)
def heads_never_train(facts):
    """None of the calls trains the last layers of class, box and mask, which are random for a new data set."""
    run, calls = facts.run, calls_of(facts.run)
    if not calls or run.start_epoch or any(not isinstance(call.layers, str) for call in calls):
        return
    matched = [_matching_layers(call.layers, facts)[0] for call in calls]
    if not all(matched) or ["?"] in matched:
        return
    if not any(set(_CLASS_LAYERS) & set(names) for names in matched):
        yield Violation(
            f"layers={calls[0].layers!r} trains none of {', '.join(_CLASS_LAYERS)}.",
            where=calls[0].place,
            value=calls[0].layers,
        )


def _matching_layers(layers, facts):
    """`(names of the layers that match, why there are none)`; `(None, "")` where the names are not known."""
    try:
        pattern = re.compile(LAYER_PRESETS.get(layers, layers))
    except (re.error, TypeError) as error:
        return [], f"is no regular expression ({error})"
    names = layer_names(facts)
    if names is None:
        return (None, "") if layers not in LAYER_PRESETS else (["?"], "")
    matching = [name for name in names if pattern.fullmatch(name)]
    return matching, "" if matching else "matches no layer"


def layer_names(facts):
    """Names of the layers with weights: the model's own, else those of the built-in networks; None if not known."""
    model = facts.run.model
    if hasattr(model, "get_trainable_layers"):
        return [layer.name for layer in model.get_trainable_layers()]
    if facts.config is not None and callable(getattr(facts.config, "BACKBONE", None)):
        return None  # it has names of its own
    return [*_RESNET_LAYERS, *_HEAD_LAYERS]


def _trains_backbone(layers) -> bool:
    if not isinstance(layers, str) or layers == "heads":
        return False
    try:
        pattern = re.compile(LAYER_PRESETS.get(layers, layers))
    except re.error:
        return False
    return any(pattern.fullmatch(name) for name in _RESNET_LAYERS) or not any(
        pattern.fullmatch(name) for name in _HEAD_LAYERS
    )
