"""Intermediate tensors of a model by name, for the notebooks that stop after every stage."""

from collections import OrderedDict

import keras
import numpy as np

from mrcnn_plus.errors import ConfigError
from mrcnn_plus.network.proposals import ProposalLayer


class _ProposalSteps(keras.layers.Layer):
    """The intermediate results of a `ProposalLayer` as a layer of its own."""

    def __init__(self, proposal_layer):
        super().__init__(dtype="float32", trainable=False)
        self.proposal_layer = proposal_layer

    def call(self, inputs):
        return self.proposal_layer.steps(inputs)


def find_tensor(model, name):
    """The symbolic tensor for a name of Matterport's TensorFlow graph, such as 'ROI/refined_anchors:0', or None.

    Boxes are `[B, K, (y1, x1, y2, x2)]`; 'ROI/rpn_non_max_suppression:0' is `[count]`, rows of the first image's boxes.

    compat: MaskRCNN.ancestor, which walked the TensorFlow graph.
    """
    layer_name, _, step = name.split(":")[0].partition("/")
    layer = next((layer for layer in model.layers if layer.name == layer_name), None)
    if layer is None:
        return None
    if isinstance(layer, ProposalLayer) and step:
        step = step.split("/")[0]
        tensor = _ProposalSteps(layer)(layer.input).get(step)
        # compat: MaskRCNN.ancestor. Matterport's graph has a node of NMS for each image; the name is that of the first.
        return tensor[0] if step == "rpn_non_max_suppression" else tensor
    return layer.output


def run(model, outputs, inputs):
    """Evaluate named symbolic tensors of a model on input arrays, as an ordered dict of NumPy arrays."""
    missing = [name for name, tensor in outputs if tensor is None]
    if missing:
        raise ConfigError(
            f"run_graph: expected tensors of the model, received None for {missing}. Take them from "
            "keras_model.get_layer(name).output."
        )
    graph = keras.Model(model.inputs, [tensor for _, tensor in outputs])
    values = graph.predict_on_batch(inputs)
    values = values if isinstance(values, list | tuple) else [values]  # Keras unwraps a single output
    return OrderedDict((name, np.asarray(value)) for (name, _), value in zip(outputs, values, strict=True))
