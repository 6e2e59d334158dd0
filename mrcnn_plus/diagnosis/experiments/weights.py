"""`weights`: what of a network was loaded, what is still random, what trains, and what has moved since the start."""

from __future__ import annotations

from dataclasses import dataclass

from mrcnn_plus.diagnosis.experiments.outcome import Result
from mrcnn_plus.lint.findings import ERROR, INFO, WARNING
from mrcnn_plus.lint.registry import EXPERIMENT, Violation, rule

#: States of a layer: as its initializer made it; loaded or trained; all values of its kernel equal; not finite.
AS_MADE, OTHER, CONSTANT, BROKEN = "random", "set", "constant", "not finite"
_PARTS = ("backbone", "fpn", "rpn", "class_head", "mask_head", "other")
_SHOWN = 6


@dataclass(frozen=True)
class LayerState:
    """A layer that has weights.

    part: of the network, as in `training.parts`. parameters: numbers in it. trains: whether a stage moves it.
    has_kernel: False for normalization. state: one of the states above; a layer of normalization is "random" where it
    has its first values, all ones and zeros. moved: length of the change against the other file over the length of the
    weights there; None without a file, or where the file lacks the layer.
    """

    name: str
    part: str
    parameters: int
    trains: bool
    has_kernel: bool
    state: str
    moved: float | None = None


@dataclass(frozen=True)
class Weights(Result):
    """layers: all that have weights, in the order of the network. parameters: of the whole network.

    loaded: `(tensors loaded, tensors of the network)` of the last `load_weights`, loaded_from its file; None if not
    known. against: the file that `moved` compares with. stages: what trains, one entry for each stage, empty if that is
    as it stands in the model. frozen_statistics: batch normalization with stored statistics.
    """

    layers: tuple[LayerState, ...]
    parameters: int
    loaded: tuple[int, int] | None = None
    loaded_from: str | None = None
    against: str | None = None
    stages: tuple[str, ...] = ()
    frozen_statistics: bool = False

    name = "weights"
    title = "what is loaded, random, frozen, and what has moved"

    def of_part(self, part: str) -> list[LayerState]:
        return [layer for layer in self.layers if layer.part == part]

    @property
    def parts(self) -> list[str]:
        """Parts that the network has."""
        return [part for part in _PARTS if self.of_part(part)]

    def share(self, part: str, choose) -> float:
        """Share of the parameters of a part, of its layers with kernels, for which `choose(layer)` holds; 0 to 1."""
        layers = [layer for layer in self.of_part(part) if layer.has_kernel]
        total = sum(layer.parameters for layer in layers)
        return sum(layer.parameters for layer in layers if choose(layer)) / total if total else 0.0

    @property
    def summary(self) -> str:
        random = [part for part in self.parts if self.share(part, is_random) > 0.5]
        frozen = [part for part in self.parts if self.share(part, lambda layer: layer.trains) == 0.0]
        if random == self.parts:
            return "All of the network is random, and trains: this is training from scratch."
        texts = [f"random and training: {', '.join(random)}" if random else "no part is random"]
        texts.append(f"frozen: {', '.join(frozen)}" if frozen else "all parts train")
        moved = [layer for layer in self.layers if layer.moved]
        if self.against is not None:
            texts.append(f"{len(moved)} of {len(self.layers)} layers differ from {self.against}")
        return "Nothing is wrong with the weights; " + "; ".join(texts) + "."

    def tables(self):
        rows = [["part", "layers", "parameters", "random", "trains", *(["moved"] if self.against else [])]]
        for part in self.parts:
            layers = self.of_part(part)
            row = [part, str(len(layers)), f"{sum(layer.parameters for layer in layers):,}"]
            row += [f"{self.share(part, is_random):.0%}", f"{self.share(part, lambda layer: layer.trains):.0%}"]
            rows.append(row + ([_moved_text(layers)] if self.against else []))
        tables = [("By part; random and trains are shares of the parameters", rows)]
        if self.loaded is not None:
            tables.append(("Loaded", [["file", self.loaded_from], ["tensors", "{} of {}".format(*self.loaded)]]))
        return tables


def is_random(layer: LayerState) -> bool:
    return layer.state == AS_MADE


def _moved_text(layers) -> str:
    changes = [layer.moved for layer in layers if layer.moved is not None]
    if not changes:
        return "not in the file"
    return f"{sum(change > 0 for change in changes)} of {len(layers)} layers, by {max(changes):.2%} at most"


def _names(layers) -> str:
    names = [layer.name for layer in layers]
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


@rule(
    "EXP030",
    ERROR,
    needs=EXPERIMENT,
    about=Weights,
    why="A random layer that does not train stays random: all that comes after it learns from noise.",
    example='No weights loaded, and layers="heads": the backbone is random for ever',
    fix="Load weights for these layers, or let them train (layers='all').",
)
def random_and_frozen(facts, *, least_share=0.02):
    """Layers are random, and no stage trains them; more than `least_share` of the parameters of a part."""
    result = facts.experiment
    for part in result.parts:
        lost = [layer for layer in result.of_part(part) if layer.has_kernel and is_random(layer) and not layer.trains]
        share = result.share(part, lambda layer: is_random(layer) and not layer.trains)
        if share > least_share:
            stages = f" ({', '.join(map(repr, result.stages))})" if result.stages else ""
            yield Violation(
                f"{len(lost)} layers of the {part} ({share:.0%} of its parameters) have random weights, and no stage "
                f"trains them{stages}.",
                where=part,
                evidence=[f"random and frozen: {_names(lost)}"],
                causes=_causes_of_random(result, part),
                details={"share": share, "layers": [layer.name for layer in lost]},
            )


def _causes_of_random(result, part):
    if result.loaded is None:
        yield "no weights were loaded"
    elif part == "backbone":
        yield "the weights file has no backbone of this kind, or names its layers otherwise"
    yield "the stages leave this part out: `layers` matches whole layer names"


@rule(
    "EXP031",
    WARNING,
    needs=EXPERIMENT,
    about=Weights,
    why="Batch normalization with stored statistics does not normalize in a random network: its statistics are zeros "
    "and ones. Features grow from layer to layer, and training stays far below what it could reach.",
    example="Training everything from random weights with TRAIN_BN = False",
    fix="Load pretrained weights; or train with NORMALIZATION = 'group', or TRAIN_BN = None and 8 images a step.",
)
def random_backbone_without_normalization(facts):
    """Most of the backbone is random and trains, and batch normalization keeps its first statistics."""
    result = facts.experiment
    if not result.frozen_statistics:
        return
    share = result.share("backbone", lambda layer: is_random(layer) and layer.trains)
    if share > 0.5:
        yield Violation(
            f"{share:.0%} of the backbone is random and trains, but batch normalization uses stored statistics, "
            "which are those of no data (TRAIN_BN = False).",
            setting="TRAIN_BN",
            causes=["the pretrained weights were not loaded", "training from scratch was meant, with other settings"],
        )


@rule(
    "EXP032",
    ERROR,
    needs=EXPERIMENT,
    about=Weights,
    why="A value that is not finite makes all results so. A kernel whose values are all equal passes nothing on and "
    "gets the same gradient everywhere.",
    example="conv1 is all zeros",
    fix="Load an earlier checkpoint; find out which program wrote this file.",
)
def broken_layers(facts):
    """Layers have weights that are not finite, or kernels whose values are all equal."""
    result = facts.experiment
    for state in (BROKEN, CONSTANT):
        found = [layer for layer in result.layers if layer.state == state]
        if found:
            what = "values that are not finite" if state == BROKEN else "a kernel whose values are all equal"
            yield Violation(f"{len(found)} layers have {what}: {_names(found)}.", where=found[0].name)


@rule(
    "EXP033",
    WARNING,
    needs=EXPERIMENT,
    about=Weights,
    why="What trains has to move. Layers that are exactly as in the earlier file got no gradient or no step.",
    example="The mask head is as it was ten epochs ago",
    fix="Check `layers`, LOSS_WEIGHTS and the learning rate; `mrcnn-plus experiment first-batch` shows the gradients.",
)
def trains_but_did_not_move(facts):
    """Compared with another file, layers that train are exactly as they were there."""
    result = facts.experiment
    if result.against is None:
        return
    compared = [layer for layer in result.layers if layer.trains and layer.has_kernel and layer.moved is not None]
    still = [layer for layer in compared if layer.moved == 0.0]
    if not still:
        return
    parts = [part for part in result.parts if any(layer.part == part for layer in still)]
    yield Violation(
        f"{len(still)} of {len(compared)} layers train and are exactly as in {result.against}.",
        where=", ".join(parts),
        evidence=[f"{part}: {_names([layer for layer in still if layer.part == part])}" for part in parts],
        causes=[
            *(["both files are the same checkpoint"] if len(still) == len(compared) else []),
            "they were frozen in the stages that have run so far",
            "no gradient reaches them: a loss weight is 0, or there are no positive ROIs",
        ],
    )


@rule(
    "EXP034",
    INFO,
    needs=EXPERIMENT,
    about=Weights,
    why="Frozen layers that differ from the other file were loaded from somewhere else, or trained in another stage.",
    example="The backbone is frozen, and differs from the file that training is thought to have started from",
    fix="Compare with the file that was loaded before training.",
)
def frozen_but_moved(facts):
    """Compared with another file, parts that do not train differ."""
    result = facts.experiment
    if result.against is None:
        return
    for part in result.parts:
        moved = [layer for layer in result.of_part(part) if not layer.trains and layer.moved]
        if moved:
            yield Violation(
                f"{len(moved)} layers of the {part} do not train and differ from {result.against}, by "
                f"{max(layer.moved for layer in moved):.2%} at most: {_names(moved)}.",
                where=part,
            )


@rule(
    "EXP035",
    WARNING,
    needs=EXPERIMENT,
    about=Weights,
    why="Weights were loaded, and hardly anything came from them: training starts from scratch unnoticed.",
    example="12 of 316 tensors loaded",
    fix="Read the load report: another backbone, other names, or a file of another program.",
)
def hardly_anything_loaded(facts, *, least=0.5):
    """Of the tensors of the network less than the share `least` came from the weights file."""
    result = facts.experiment
    if result.loaded is None:
        return
    loaded, total = result.loaded
    if loaded < least * total:
        yield Violation(
            f"{loaded} of {total} tensors came from {result.loaded_from}; the others are random.",
            where=str(result.loaded_from),
            value=loaded,
        )
