"""The Keras model that trains: `keras_model` in training mode, with the loss and its parts.

The total loss is the weighted sum of the five losses plus L2. It is computed in `compute_loss`, so nothing adds up when
`compile` or `train` are called again (Matterport's `add_loss` on a functional model does not exist in Keras 3).
"""

import functools

import keras
from keras import ops

from mrcnn_plus import execution
from mrcnn_plus.constants import LOSS_NAMES
from mrcnn_plus.inference.model import detection_model
from mrcnn_plus.network import image_meta, replicas
from mrcnn_plus.network.folding import fold_frozen_norms
from mrcnn_plus.network.rpn import SampledRPN
from mrcnn_plus.training.added_losses import RefusesAddedLosses
from mrcnn_plus.training.devices import current_devices
from mrcnn_plus.training.loss_balancing import LOG_VARIANCES, WithinLimits, weighted_total
from mrcnn_plus.training.loss_options import LossOptions
from mrcnn_plus.training.multi_task_loss import compute_losses
from mrcnn_plus.training.statistics import TrainingStatistics
from mrcnn_plus.weights.model_mixin import MatterportWeightsMixin

L2_NAME = "l2_loss"
#: The layers whose outputs the RPN reads, `network.pyramid.feature_pyramid`.
PYRAMID = tuple(f"fpn_p{level}" for level in (2, 3, 4, 5, 6))


@keras.saving.register_keras_serializable("mrcnn_plus")
class TrainingModel(MatterportWeightsMixin, RefusesAddedLosses, keras.Model):
    """Ground truth and image to predictions and targets (`Network.training_graph`), and the loss between them.

    loss_weights: factor of each loss in the total, by name; a name that is missing counts 1.
    weight_decay: factor of the L2 term, the sum over kernels and biases of mean(w ** 2).
    loss_options: `LossOptions`, how each loss is computed. loss_balancing: 'fixed' or 'uncertainty', see
        `training.loss_balancing`; the learnt part is `log_variances`, which no weights file of Matterport's holds.
    A change of any of them counts from the next `compile`.
    devices: the `Devices` that share its steps, those in whose context it was made.

    Reported per step and epoch: `loss`, the five losses as they are before weighting, and `l2_loss`.
    """

    #: The `Network` that it was made from, and its `TrainingStatistics`; None for one that Keras loaded.
    network = statistics = None

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self._compute, self._sampled = _computation(self), _SampledAnswers()
        self.devices = current_devices()
        self.loss_weights = {}
        self.weight_decay = 0.0
        self.loss_options = LossOptions()
        self.log_variances = None
        self.trackers = {name: keras.metrics.Mean(name=name) for name in (*LOSS_NAMES, L2_NAME)}

    def get_config(self):
        settings = {
            "loss_weights": dict(self.loss_weights),
            "weight_decay": self.weight_decay,
            "loss_options": self.loss_options.to_dict(),
            "loss_balancing": self.loss_balancing,
        }
        return {**super().get_config(), **settings}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        names = ("loss_weights", "weight_decay", "loss_options", "loss_balancing")
        settings = {name: config[name] for name in names if name in config}
        graph = {name: value for name, value in config.items() if name not in settings}
        model = super().from_config(graph, custom_objects=custom_objects)
        model.loss_weights, model.weight_decay = settings.get("loss_weights", {}), settings.get("weight_decay", 0.0)
        model.loss_options = LossOptions.from_dict(settings.get("loss_options", {}))
        model.loss_balancing = settings.get("loss_balancing", "fixed")
        return model

    @property
    def loss_balancing(self):
        learns = self.log_variances is not None and self.log_variances.trainable
        return "uncertainty" if learns else "fixed"

    @loss_balancing.setter
    def loss_balancing(self, kind):
        if kind == "uncertainty" and self.log_variances is None:
            with self.devices.building():
                self.log_variances = self.add_weight(
                    (len(LOSS_NAMES),),
                    initializer="zeros",
                    dtype="float32",
                    constraint=WithinLimits(),
                    name=LOG_VARIANCES,
                )
        if self.log_variances is not None:
            self.log_variances.trainable = kind == "uncertainty"

    def call(self, inputs, training=None, mask=None):
        outputs, self._sampled.answers = self._compute(inputs, training)
        return outputs

    def call_layer_by_layer(self, inputs, training=None):
        """As `call`, with each layer in its place, for those who look at what each of them gives."""
        return super().call(inputs, training=training)

    def compile(self, *args, **kwargs):
        self._compute = _computation(self)  # anew: what trains, and so what is frozen, may have changed
        with self.devices.building():
            super().compile(*args, **kwargs)
        self.devices.prepare(self)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        meta = image_meta.parse(x["input_image_meta"])
        images = ops.shape(x["input_image"])[0]
        if self.devices.count > 1 and not training:  # rows that fill up the last step of validation
            y_pred = replicas.without_filling(y_pred, meta.active_class_ids)
            images = ops.sum(ops.cast(ops.any(meta.active_class_ids > 0, axis=1), "int32"))
        parts = compute_losses(
            y_pred,
            active_class_ids=meta.active_class_ids,
            options=self.loss_options,
            sampled_rpn=self._sampled.of(y_pred),
        )
        learnt = self.log_variances if self.loss_balancing == "uncertainty" else None
        total = weighted_total(parts, self.loss_weights, learnt)
        parts[L2_NAME] = self.weight_decay * l2_penalty(self.trainable_weights) if self.weight_decay else ops.zeros(())
        for name, value in parts.items():
            self.trackers[name].update_state(value, sample_weight=ops.cast(images, "float32"))
        if self.statistics is not None:
            self.statistics.update_state(x, y_pred)
        return total + parts[L2_NAME]


def _computation(model):
    """A function of inputs and `training`: the outputs of a functional model with less work, and sampled answers.

    Frozen norms are folded. The RPN answers once more for the sampled anchors (`SampledRPN`), because losses of these
    need no gradient of its whole maps; None for a model with another RPN than ours. The layers and weights are the
    model's own.
    """
    if not _has_usual_rpn(model):
        folded = fold_frozen_norms(keras.Model(model.input, model.output))
        return lambda inputs, training: (folded(inputs, training=training), None)
    pyramid = [model.get_layer(name).output for name in PYRAMID]
    folded = fold_frozen_norms(keras.Model(model.input, [model.output, pyramid]))
    sampled_rpn = SampledRPN(model.get_layer("rpn_model"))

    def compute(inputs, training):
        outputs, pyramid = folded(inputs, training=training)
        return outputs, (outputs, sampled_rpn(outputs["target_anchor_indices"], pyramid))

    return compute


def _has_usual_rpn(model):
    if not isinstance(model.output, dict) or "target_anchor_indices" not in model.output:
        return False
    if not {"rpn_model", *PYRAMID} <= {layer.name for layer in model.layers}:
        return False
    return {layer.name for layer in model.get_layer("rpn_model").layers} == SampledRPN.LAYERS


class _SampledAnswers:
    """What `call` leaves to `compute_loss` beside its outputs: `(outputs, [logits, deltas])`, or None."""

    #: The outputs that the sampled answers belong to: a subclass may hand others on to its loss.
    MADE_FROM = ("target_anchor_indices", "rpn_class_logits", "rpn_bbox")
    answers = None

    def of(self, y_pred):
        """The sampled logits and deltas if they belong to these outputs, else None; they are given once."""
        (outputs, sampled), self.answers = self.answers or ({}, None), None
        belong = sampled is not None and all(y_pred.get(name) is outputs[name] for name in self.MADE_FROM)
        return sampled if belong else None


def make_training_model(network, config, *, model_class=TrainingModel):
    """The `TrainingModel` of a network, not compiled. model_class: a subclass of it, with a loss of its own."""
    compiled = current_devices().can_compile and execution.compiles(config.JIT_COMPILE)
    model = model_class(*network.training_graph(compiled=compiled), name="mask_rcnn")
    model.network = network
    model.statistics = TrainingStatistics(
        *(config.NUM_CLASSES, config.MASK_SHAPE), rpn_std=config.RPN_BBOX_STD_DEV, box_std=config.BBOX_STD_DEV
    )
    model.loss_weights = dict(config.LOSS_WEIGHTS)
    model.weight_decay = config.WEIGHT_DECAY
    model.loss_options = LossOptions.from_config(config)
    model.loss_balancing = config.LOSS_BALANCING
    model.detection_twin = functools.partial(detection_model, network, config)
    return model


def l2_penalty(variables):
    """Sum over the variables of the mean of their squares, leaving out the `gamma` and `beta` of normalization.

    compat: MaskRCNN.compile, which divides the penalty of each tensor by its size.
    """
    left_out = ("gamma", "beta", LOG_VARIANCES)
    penalized = [variable for variable in variables if not any(part in variable.name for part in left_out)]
    return sum((ops.mean(ops.square(ops.cast(variable, "float32"))) for variable in penalized), ops.zeros(()))
