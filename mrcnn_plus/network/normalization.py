"""Normalization layers: batch norm that can be frozen as Matterport's, and group norm for small batches."""

import keras

NORMALIZATIONS = ("batch", "group")


@keras.saving.register_keras_serializable("mrcnn_plus")
class BatchNorm(keras.layers.BatchNormalization):
    """Batch normalization with Matterport's `TRAIN_BN` switch.

    train_bn: False keeps the stored statistics also while training (right for batches of one or two images and
    pretrained weights); None trains as usual; True uses the batch's statistics always, even when predicting.

    The switch is an argument of the layer, not of the call: a Keras 3 functional model replaces a `training=` that was
    given while building by its own. compat: BatchNorm, whose epsilon and momentum are Keras' defaults.
    """

    def __init__(self, *, train_bn=False, **kwargs):
        super().__init__(**kwargs)
        self.train_bn = train_bn

    def call(self, inputs, training=None):
        training = training if self.train_bn is None else self.train_bn
        return super().call(inputs, training=training)

    def get_config(self):
        return {**super().get_config(), "train_bn": self.train_bn}


def norm_layer(kind, *, channels, train_bn, name):
    """A normalization layer for `channels` feature maps.

    kind: 'batch', or 'group' (arXiv 1803.08494: 32 groups, or the most that divide `channels`), which does not depend on
    the batch and therefore trains from random weights with one or two images per step.
    """
    if kind == "group":
        groups = next(groups for groups in range(min(32, channels), 0, -1) if channels % groups == 0)
        return keras.layers.GroupNormalization(groups=groups, epsilon=1e-5, name=name)
    return BatchNorm(train_bn=train_bn, name=name)
