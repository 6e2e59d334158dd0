"""Learning rate, optimizer and clipping."""

from mrcnn_plus.lint.findings import ERROR, INFO, WARNING
from mrcnn_plus.lint.registry import CONFIG, RUN, Violation, rule
from mrcnn_plus.lint.setting_types import EXPECTED, fits, is_number, received

_PAPER_RATE, _PAPER_IMAGES = 0.02, 16
_TRANSFORMERS = ("swin", "pvt", "vit", "transformer", "segformer", "mit_b")


@rule(
    "CFG090",
    WARNING,
    needs=(CONFIG, RUN),
    why="Too long a step makes the losses jump or become NaN. The paper's 0.02 is for 16 images in a step; for two it "
    "would be 0.0025, and 0.001 is what Matterport's Mask R-CNN was tuned with.",
    example="LEARNING_RATE = 0.01 with two images per step",
    fix="Use 0.001 for two images; in proportion to the images per step for more.",
)
def learning_rate_too_high_for_sgd(facts, *, most_per_image=0.003, most=0.05):
    """With SGD, a rate is above `most_per_image` x the images of a step, or above `most`; an error if it is none."""
    config = facts.config
    if not fits(config, "LEARNING_RATE"):
        expected = EXPECTED["LEARNING_RATE"].text
        message = f"expected {expected}, received {received(config, 'LEARNING_RATE')}."
        yield Violation(message, setting="LEARNING_RATE", severity=ERROR, changes={"LEARNING_RATE": 0.001})
        return
    if _optimizer(config) != "sgd" or not fits(config, "IMAGES_PER_GPU", "GPU_COUNT"):
        return
    limit = min(most_per_image * config.BATCH_SIZE, most)
    for rate, source in _rates(facts):
        if rate > limit:
            better = _rounded(_PAPER_RATE / _PAPER_IMAGES * config.BATCH_SIZE * 0.8)
            images = "image" if config.BATCH_SIZE == 1 else "images"
            like = rate * _PAPER_IMAGES / config.BATCH_SIZE
            yield Violation(
                f"{source} is high for SGD with {config.BATCH_SIZE} {images} per step: it is like {like:.2g} for "
                f"the {_PAPER_IMAGES} images of the paper, which took {_PAPER_RATE}.",
                setting="LEARNING_RATE",
                value=rate,
                fix=f"Use {better:g}.",
                changes={"LEARNING_RATE": better},
            )


@rule(
    "CFG091",
    INFO,
    needs=(CONFIG, RUN),
    why="train() uses its argument; LEARNING_RATE of the configuration is only what programs hand over to it.",
    example="LEARNING_RATE = 0.002 and model.train(..., learning_rate=0.001)",
    fix="Pass learning_rate=config.LEARNING_RATE, or take the setting out.",
)
def learning_rate_differs_from_argument(facts):
    """The program sets `LEARNING_RATE` and trains with other rates only, none of them a tenth or ten times of it."""
    config, run = facts.config, facts.run
    rates = [rate for rate, _ in _given_rates(run)]
    if not rates or not is_number(config.LEARNING_RATE) or not config.is_overridden("LEARNING_RATE"):
        return
    related = [config.LEARNING_RATE * factor for factor in (0.01, 0.1, 0.2, 0.5, 1, 2, 5, 10)]
    if not any(abs(rate - value) <= 1e-9 + 1e-6 * value for rate in rates for value in related):
        used = ", ".join(f"{rate:g}" for rate in rates)
        yield Violation(
            f"LEARNING_RATE={config.LEARNING_RATE:g}, but training runs with {used}.",
            setting="LEARNING_RATE",
        )


@rule(
    "CFG092",
    ERROR,
    needs=CONFIG,
    why="Gradients are shortened to this length; at 0 nothing is left of them.",
    example="GRADIENT_CLIP_NORM = 0",
    fix="Use 5.0, or None for no limit.",
)
def clip_norm_impossible(facts):
    """`GRADIENT_CLIP_NORM` is not above 0, nor None."""
    if not fits(facts.config, "GRADIENT_CLIP_NORM"):
        yield Violation(
            f"expected {EXPECTED['GRADIENT_CLIP_NORM'].text}, received {received(facts.config, 'GRADIENT_CLIP_NORM')}.",
            setting="GRADIENT_CLIP_NORM",
            changes={"GRADIENT_CLIP_NORM": 5.0},
        )


@rule(
    "CFG098",
    WARNING,
    needs=(CONFIG, RUN),
    why="Adam and AdamW take steps of about the rate in every weight, whatever the gradient; a rate that suits SGD "
    "destroys what was learnt. Transformer backbones bear a tenth of what a ResNet does.",
    example='OPTIMIZER = "AdamW" with LEARNING_RATE = 0.01',
    fix="Use 1e-4; up to 1e-3 for a small network from random weights.",
)
def learning_rate_too_high_for_adam(facts, *, most=2e-3, most_for_transformers=3e-4):
    """With Adam or AdamW, a rate is above `most`, or above `most_for_transformers` with a backbone of that kind."""
    config = facts.config
    if _optimizer(config) not in ("adam", "adamw"):
        return
    transformer = _is_transformer(config.BACKBONE)
    limit = most_for_transformers if transformer else most
    for rate, source in _rates(facts):
        if rate > limit:
            kind = f" and a backbone like {_name_of(config.BACKBONE)}" if transformer else ""
            yield Violation(
                f"{source} is high for {config.OPTIMIZER}{kind}; {limit:g} is about the most that trains.",
                setting="LEARNING_RATE",
                value=rate,
                changes={"LEARNING_RATE": 1e-4},
            )


@rule(
    "CFG099",
    WARNING,
    needs=(CONFIG, RUN),
    why="With so short a step the losses stay where they are for thousands of steps.",
    example="LEARNING_RATE = 1e-7",
    fix="Use 0.001 for SGD with two images per step, 1e-4 for AdamW.",
)
def learning_rate_too_low(facts, *, least_for_sgd=1e-6, least_for_adam=1e-7):
    """Every rate is below `least_for_sgd`, or with Adam and AdamW below `least_for_adam`."""
    optimizer = _optimizer(facts.config)
    least = least_for_sgd if optimizer == "sgd" else least_for_adam
    rates = list(_rates(facts))
    if optimizer and rates and all(rate < least for rate, _ in rates):
        rate, source = rates[0]
        yield Violation(
            f"{source} is so low that {facts.config.OPTIMIZER} hardly moves any weight.",
            setting="LEARNING_RATE",
            value=rate,
            changes={"LEARNING_RATE": 0.001 if optimizer == "sgd" else 1e-4},
        )


@rule(
    "CFG105",
    WARNING,
    needs=(CONFIG, RUN),
    why="Transformer backbones train badly with plain SGD; published ones were all trained with AdamW.",
    example='BACKBONE = swin_tiny with OPTIMIZER = "SGD"',
    fix='Set OPTIMIZER = "AdamW" and a learning rate of 1e-4.',
)
def sgd_with_transformer_backbone(facts):
    """The backbone's name is that of a transformer, and the optimizer is SGD."""
    config = facts.config
    if _optimizer(config) == "sgd" and _is_transformer(config.BACKBONE):
        yield Violation(
            f"the backbone {_name_of(config.BACKBONE)} is a transformer, and OPTIMIZER={config.OPTIMIZER!r}.",
            setting="OPTIMIZER",
            changes={"OPTIMIZER": "AdamW", "LEARNING_RATE": 1e-4},
        )


@rule(
    "CFG106",
    WARNING,
    needs=(CONFIG, RUN),
    why="Without clipping a single bad batch can make every weight NaN; with a high rate or half precision that is a "
    "question of time.",
    example='GRADIENT_CLIP_NORM = None with PRECISION = "mixed_float16"',
    fix="Set GRADIENT_CLIP_NORM = 5.0.",
)
def no_clipping_where_it_is_needed(facts, *, high_rate=0.005):
    """`GRADIENT_CLIP_NORM` is None with float16, or with SGD at a rate above `high_rate`."""
    config = facts.config
    if config.GRADIENT_CLIP_NORM is not None:
        return
    rates = [rate for rate, _ in _rates(facts)] if _optimizer(config) == "sgd" else []
    reasons = [f"PRECISION={config.PRECISION!r}"] if config.PRECISION == "mixed_float16" else []
    reasons += [f"a learning rate of {max(rates):g}"] if rates and max(rates) > high_rate else []
    if reasons:
        yield Violation(
            f"gradients are not limited, with {' and '.join(reasons)}.",
            setting="GRADIENT_CLIP_NORM",
            changes={"GRADIENT_CLIP_NORM": 5.0},
        )


@rule(
    "CFG111",
    INFO,
    needs=CONFIG,
    why="Momentum 0.9 and weight decay 0.0001 are what Mask R-CNN was tuned with. Near 1, momentum carries wrong steps "
    "on for hundreds of others; without it training is slow. A strong decay holds the weights near 0.",
    example="WEIGHT_DECAY = 0.5",
    fix="Set LEARNING_MOMENTUM = 0.9 and WEIGHT_DECAY = 0.0001.",
)
def unusual_momentum_or_decay(facts, *, momentum_from=0.5, momentum_to=0.99, most_decay=0.1):
    """With SGD, `LEARNING_MOMENTUM` is outside `momentum_from` to `momentum_to`; or `WEIGHT_DECAY` is above
    `most_decay`."""
    config = facts.config
    if not fits(config, "LEARNING_MOMENTUM", "WEIGHT_DECAY"):
        return
    momentum, decay = config.LEARNING_MOMENTUM, config.WEIGHT_DECAY
    if _optimizer(config) == "sgd" and not momentum_from <= momentum <= momentum_to:
        message = f"LEARNING_MOMENTUM={momentum:g} is unusual; learning rates are tuned for 0.9."
        yield Violation(message, setting="LEARNING_MOMENTUM", changes={"LEARNING_MOMENTUM": 0.9})
    if decay > most_decay:
        message = f"WEIGHT_DECAY={decay:g} is strong: the penalty outweighs the losses."
        yield Violation(message, setting="WEIGHT_DECAY", changes={"WEIGHT_DECAY": 0.0001})


def _optimizer(config) -> str | None:
    """The optimizer's name in lower case; None for an object or a function, which has its own rates."""
    known = fits(config, "OPTIMIZER") and isinstance(config.OPTIMIZER, str)
    return config.OPTIMIZER.lower() if known else None


def _rates(facts):
    """`(rate, words for it)`: what the program trains with, or else LEARNING_RATE."""
    given = list(_given_rates(facts.run))
    config_rate = facts.config.LEARNING_RATE
    if given:
        yield from given
    elif is_number(config_rate):
        yield config_rate, f"LEARNING_RATE={config_rate:g}"


def _given_rates(run):
    """Different rates of all stages, each once."""
    seen = set()
    for rate in (run.learning_rate, *(stage[0] for stage in run.stages)):
        if is_number(rate) and rate > 0 and rate not in seen:
            seen.add(rate)
            yield rate, f"learning_rate={rate:g}"


def _is_transformer(backbone) -> bool:
    return any(part in _name_of(backbone).lower() for part in _TRANSFORMERS)


def _name_of(backbone) -> str:
    return backbone if isinstance(backbone, str) else getattr(backbone, "__name__", type(backbone).__name__)


def _rounded(rate) -> float:
    """A rate with one significant digit."""
    return float(f"{rate:.0e}")
