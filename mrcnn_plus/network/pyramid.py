"""Feature pyramid network (Lin et al., arXiv 1612.03144): from C2 .. C5 to P2 .. P6."""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable("mrcnn_plus")
class Upsampling(layers.UpSampling2D):
    """Keras' layer, with every cell repeated by one operation of TensorFlow where no gradient is asked for.

    Keras repeats rows and columns one after the other: on a CPU that takes twice as long, and OpenVINO moves the
    channels to the end and back for it. XLA cannot compile the gradient of the one operation.
    """

    def call(self, inputs, training=None):
        repeats = self.interpolation == "nearest" and self.data_format == "channels_last"
        if training or keras.backend.backend() != "tensorflow" or not repeats:
            return super().call(inputs)
        import tensorflow as tf

        size = [factor * length for factor, length in zip(self.size, ops.shape(inputs)[1:3], strict=True)]
        return tf.image.resize(inputs, size, method="nearest")


def feature_pyramid(c2, c3, c4, c5, *, channels=256):
    """Pyramid levels `[P2, P3, P4, P5, P6]` at strides 4, 8, 16, 32, 64, each with `channels` feature maps.

    P6 subsamples P5 and serves the RPN only. Layer names are Matterport's (`fpn_c5p5`, `fpn_p5`, ...).
    """
    merged = layers.Conv2D(channels, 1, name="fpn_c5p5")(c5)
    levels = {5: merged}
    for level, features in ((4, c4), (3, c3), (2, c2)):
        upsampled = Upsampling((2, 2), name=f"fpn_p{level + 1}upsampled")(merged)
        lateral = layers.Conv2D(channels, 1, name=f"fpn_c{level}p{level}")(features)
        merged = layers.Add(name=f"fpn_p{level}add")([upsampled, lateral])
        levels[level] = merged
    smoothed = [
        layers.Conv2D(channels, 3, padding="same", name=f"fpn_p{level}")(levels[level]) for level in (2, 3, 4, 5)
    ]
    p6 = layers.MaxPooling2D((1, 1), strides=(2, 2), name="fpn_p6")(smoothed[-1])
    return [*smoothed, p6]
