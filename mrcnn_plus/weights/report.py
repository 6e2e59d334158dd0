"""What a call of `load_weights` did: which layers were loaded, and why the others were not."""

import os
from dataclasses import dataclass, field

_LISTED = 6  # skipped layers whose shapes the summary shows
Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class SkippedLayer:
    """A layer that stands in the file and in the network, but does not fit.

    layer: its name in the network.
    reason: one phrase, such as "shapes differ".
    file_shape, model_shape: shapes by kind of weight, `{"kernel": (1024, 81), "bias": (81,)}`.
    """

    layer: str
    reason: str
    file_shape: Shapes
    model_shape: Shapes

    def __str__(self):
        return (
            f"{self.layer}: {self.reason}; file {format_shapes(self.file_shape)}, network "
            f"{format_shapes(self.model_shape)}"
        )


@dataclass
class LoadReport:
    """The outcome of loading one weights file. `str(report)` is a summary to print.

    Layer names are those of the network; a layer inside a nested model is written with its path,
    `rpn_model/rpn_class_raw`.

    path: the file.
    description: what network the file holds, in words.
    file_classes: number of classes with background that the file was trained for, None without a class head.
    loaded: layers whose tensors were all assigned and afterwards compared with the file.
    skipped: layers that differ in shape or in the weights they have; they keep the values they had.
    excluded: layers left out on request.
    missing: layers of the network that the file does not have.
    initial: every layer that keeps the values it had (skipped, excluded and missing), in the network's order.
    unused: layers of the file that the network does not have, by the file's names.
    tensors_loaded, tensors_total: counted in the network.
    notes: warnings and remarks, a sentence each.
    """

    path: str
    description: str = ""
    file_classes: int | None = None
    loaded: list[str] = field(default_factory=list)
    skipped: list[SkippedLayer] = field(default_factory=list)
    excluded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    initial: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    tensors_loaded: int = 0
    tensors_total: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def tensors_initial(self):
        """Number of tensors of the network that keep the values they had."""
        return self.tensors_total - self.tensors_loaded

    @property
    def complete(self):
        """True if every weight of the network came from the file."""
        return self.tensors_total > 0 and self.tensors_initial == 0

    def headline(self):
        """The first line of the summary."""
        line = (
            f"{os.path.basename(self.path)}: {self.tensors_loaded} of {self.tensors_total} tensors loaded and verified"
        )
        if self.initial:
            line += f", {self.tensors_initial} left at initial values ({shorten(self.initial)})"
        return line

    def __str__(self):
        lines = [self.headline()]
        if self.description:
            lines.append(f"  the file holds: {self.description}")
        lines += [f"  skipped: {layer}" for layer in self.skipped[:_LISTED]]
        if len(self.skipped) > _LISTED:
            lines.append(f"  skipped: {shorten([layer.layer for layer in self.skipped[_LISTED:]])}")
        for label, names in (
            ("excluded", self.excluded),
            ("not in the file", self.missing),
            ("unused in the file", self.unused),
        ):
            if names:
                lines.append(f"  {label}: {shorten(names)}")
        lines += [f"  note: {note}" for note in self.notes]
        return "\n".join(lines)


def format_shapes(shapes):
    """`{"kernel": (1024, 81), "bias": (81,)}` as `kernel (1024, 81), bias (81,)`."""
    return ", ".join(f"{kind} {tuple(shape)}" for kind, shape in shapes.items()) or "nothing"


def shorten(names, limit=8):
    """The first `limit` names joined by commas, and how many more there are."""
    names = list(names)
    text = ", ".join(names[:limit])
    return text if len(names) <= limit else f"{text} and {len(names) - limit} more"
