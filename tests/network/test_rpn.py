"""The RPN for some anchors alone: the numbers and gradients of the whole one."""

import keras
import numpy as np
import pytest
from keras import ops

from mrcnn_plus.network.rpn import SampledRPN, apply_rpn, build_rpn_model

RNG = np.random.default_rng(0)
CHANNELS = 4
SIDES = ((12, 20), (6, 10), (3, 5), (2, 3), (1, 2))


def rpn_on(stride):
    """An RPN with random weights, and the model of the whole of it on five levels."""
    rpn_model = build_rpn_model(anchors_per_location=3, anchor_stride=stride, depth=CHANNELS, conv_channels=8)
    for weight in rpn_model.weights:
        weight.assign(RNG.normal(0, 0.3, weight.shape))
    levels = [keras.Input((None, None, CHANNELS)) for _ in SIDES]
    logits, _, deltas = apply_rpn(rpn_model, levels)
    return rpn_model, keras.Model(levels, [logits, deltas])


@pytest.mark.backend
@pytest.mark.parametrize("stride", [1, 2])
def test_every_anchor_gets_the_answer_of_the_whole_network(stride):
    rpn_model, whole = rpn_on(stride)
    pyramid = [RNG.normal(size=(2, *side, CHANNELS)).astype("float32") for side in SIDES]
    expected = [ops.convert_to_numpy(output) for output in whole(pyramid)]
    anchors = expected[0].shape[1]
    indices = np.stack([RNG.permutation(anchors) for _ in range(2)]).astype("int32")
    sampled = SampledRPN(rpn_model)(ops.convert_to_tensor(indices), [ops.convert_to_tensor(level) for level in pyramid])
    for ours, theirs in zip(sampled, expected, strict=True):
        theirs = np.take_along_axis(theirs, indices[..., None], axis=1)
        np.testing.assert_allclose(ops.convert_to_numpy(ours), theirs, atol=1e-5)


def test_gradients_are_those_of_the_whole_network():
    """Also where an anchor is asked for twice, and where two see the same cells."""
    import tensorflow as tf

    rpn_model, whole = rpn_on(1)
    pyramid = [tf.constant(RNG.normal(size=(2, *side, CHANNELS)), tf.float32) for side in SIDES]
    indices = tf.constant(RNG.integers(0, 3 * sum(h * w for h, w in SIDES), (2, 40)), tf.int32)
    factors = [tf.constant(RNG.normal(size=(2, 40, values)), tf.float32) for values in (2, 4)]

    def gradients(answers_at):
        with tf.GradientTape() as tape:
            tape.watch(pyramid)
            answers = answers_at()
            total = sum(tf.reduce_sum(one * factor) for one, factor in zip(answers, factors, strict=True))
        return tape.gradient(total, [*pyramid, *(weight.value for weight in rpn_model.trainable_weights)])

    ours = gradients(lambda: SampledRPN(rpn_model)(indices, pyramid))
    theirs = gradients(lambda: [tf.gather(output, indices, batch_dims=1) for output in whole(pyramid)])
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-4)
