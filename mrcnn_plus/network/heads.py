"""The heads: class and box refinement from 7 x 7 features, masks from 14 x 14 (arXiv 1703.06870, section 3)."""

import math

import keras
from keras import layers, ops

from mrcnn_plus.network.normalization import norm_layer
from mrcnn_plus.network.roi_align import PyramidROIAlign


@keras.saving.register_keras_serializable("mrcnn_plus")
class PerRoi(layers.Wrapper):
    """Applies a layer to every ROI: `[B, R, ...]` is seen by the layer as `[B * R, ...]`.

    Keeps Matterport's layer names, weight shapes and five-dimensional results at no cost (Keras 3's `TimeDistributed`
    loops). Its weights are those of `.layer`.
    """

    def __init__(self, layer, **kwargs):
        super().__init__(layer, **{"name": layer.name, "dtype": layer.dtype_policy, **kwargs})

    def build(self, input_shape=None):
        if not self.layer.built:
            self.layer.build((None, *input_shape[2:]))
        self.built = True

    def call(self, inputs, training=None):
        rois = ops.shape(inputs)[1]
        arguments = {"training": training} if self.layer._call_has_training_arg else {}
        outputs = self.layer(ops.reshape(inputs, (-1, *inputs.shape[2:])), **arguments)
        return ops.reshape(outputs, (-1, rois, *outputs.shape[1:]))

    def compute_output_shape(self, input_shape):
        batch, rois = input_shape[:2]
        return (batch, rois, *self.layer.compute_output_shape((None, *input_shape[2:]))[1:])


@keras.saving.register_keras_serializable("mrcnn_plus")
class PerRoiProduct(PerRoi):
    """`PerRoi` of a `Conv2D` whose kernel covers all of its input: one product of matrices.

    The same numbers as the convolution, on a CPU 1.4 times as fast forward and 1.6 times with gradients (TensorFlow);
    OpenVINO takes 20 times as long for the convolution.
    """

    def call(self, inputs, training=None):
        conv, rois = self.layer, ops.shape(inputs)[1]
        covered = math.prod(inputs.shape[2:])
        kernel = ops.reshape(conv.kernel, (covered, conv.filters))
        outputs = ops.matmul(ops.reshape(inputs, (-1, covered)), kernel) + conv.bias
        return ops.reshape(outputs, (-1, rois, 1, 1, conv.filters))


class ClassifierHead:
    """Class and box head. Its layers are made once and may be called in several graphs.

    Called with `rois [B, R, 4]` normalized, `image_meta [B, 12 + C]` and `[P2 .. P5]`, gives class logits `[B, R, C]`,
    class probabilities `[B, R, C]` and deltas `[B, R, C, (dy, dx, log(dh), log(dw))]`. compat: fpn_classifier_graph.
    """

    def __init__(
        self,
        *,
        num_classes,
        pool_size=7,
        fc_size=1024,
        roi_align="crop_and_resize",
        train_bn=False,
        normalization="batch",
    ):
        self.align = PyramidROIAlign((pool_size, pool_size), method=roi_align, name="roi_align_classifier")
        convolutions = (
            layers.Conv2D(fc_size, pool_size, name="mrcnn_class_conv1"),
            layers.Conv2D(fc_size, 1, name="mrcnn_class_conv2"),
        )
        self.body = []
        for number, convolution in enumerate(convolutions, start=1):
            norm_style = {"train_bn": train_bn, "least_per_group": 8}
            norm = norm_layer(normalization, channels=fc_size, name=f"mrcnn_class_bn{number}", **norm_style)
            relu = layers.Activation("relu", name=f"mrcnn_class_relu{number}")
            self.body += [PerRoiProduct(convolution), PerRoi(norm), relu]
        self.squeeze = layers.Reshape((-1, fc_size), name="pool_squeeze")
        self.class_logits = PerRoi(layers.Dense(num_classes, dtype="float32", name="mrcnn_class_logits"))
        self.class_probabilities = layers.Activation("softmax", dtype="float32", name="mrcnn_class")
        self.box_fc = PerRoi(layers.Dense(num_classes * 4, dtype="float32", name="mrcnn_bbox_fc"))
        self.box_deltas = layers.Reshape((-1, num_classes, 4), dtype="float32", name="mrcnn_bbox")

    def __call__(self, rois, image_meta, pyramid):
        return self.predict(self.align([rois, image_meta, *pyramid]))

    def predict(self, x):
        """As the call, of features that were pooled, `[B, R, pool_size, pool_size, channels]`."""
        for layer in self.body:
            x = layer(x)
        x = self.squeeze(x)
        logits = self.class_logits(x)
        return logits, self.class_probabilities(logits), self.box_deltas(self.box_fc(x))


@keras.saving.register_keras_serializable("mrcnn_plus")
class MaskOfClass(layers.Wrapper):
    """The last convolution of the mask head for one class of every ROI, so that its cost does not grow with C.

    Called with `[features [B, R, h, w, channels], class_ids int [B, R]]`, gives sigmoid values float32 `[B, R, h, w]`.
    Its weights are those of `.layer`, a `Conv2D` of size 1.
    """

    def __init__(self, layer, **kwargs):
        super().__init__(layer, **{"dtype": "float32", **kwargs})

    def build(self, input_shape=None):
        if not self.layer.built:
            self.layer.build((None, *input_shape[0][2:]))
        self.built = True

    def call(self, inputs):
        features, class_ids = inputs
        kernels = ops.transpose(self.layer.kernel[0, 0])  # [C, channels]
        kernels = ops.take(kernels, class_ids, axis=0)[..., None]  # [B, R, channels, 1]
        rois, (height, width, channels) = ops.shape(features)[1], features.shape[2:]
        masks = ops.matmul(ops.reshape(features, (-1, rois, height * width, channels)), kernels)
        masks = masks[..., 0] + ops.take(self.layer.bias, class_ids, axis=0)[..., None]
        return ops.reshape(ops.sigmoid(masks), (-1, rois, height, width))

    def compute_output_shape(self, input_shape):
        return tuple(input_shape[0][:4])


class MaskHead:
    """Mask head. Its layers are made once and may be called in several graphs.

    Called with `rois [B, R, 4]` normalized, `image_meta [B, 12 + C]` and `[P2 .. P5]`, gives a mask per class, sigmoid
    values `[B, R, 2 * pool_size, 2 * pool_size, C]`. compat: build_fpn_mask_graph.
    """

    def __init__(
        self,
        *,
        num_classes,
        pool_size=14,
        channels=256,
        roi_align="crop_and_resize",
        train_bn=False,
        normalization="batch",
    ):
        self.align = PyramidROIAlign((pool_size, pool_size), method=roi_align, name="roi_align_mask")
        self.body = []
        for number in range(1, 5):
            convolution = layers.Conv2D(channels, 3, padding="same", name=f"mrcnn_mask_conv{number}")
            norm = norm_layer(normalization, channels=channels, train_bn=train_bn, name=f"mrcnn_mask_bn{number}")
            relu = layers.Activation("relu", name=f"mrcnn_mask_relu{number}")
            self.body += [PerRoi(convolution), PerRoi(norm), relu]
        upsample = layers.Conv2DTranspose(channels, 2, strides=2, activation="relu", name="mrcnn_mask_deconv")
        self.body.append(PerRoi(upsample))
        self.masks = PerRoi(layers.Conv2D(num_classes, 1, activation="sigmoid", dtype="float32", name="mrcnn_mask"))
        self.mask_of_class = MaskOfClass(self.masks.layer, name="mask_of_class")

    def __call__(self, rois, image_meta, pyramid):
        return self.masks(self._features(self.align([rois, image_meta, *pyramid])))

    def predict(self, x, class_ids):
        """The masks `[B, R, 2 * pool_size, 2 * pool_size]` of one class for each ROI.

        x: pooled features `[B, R, pool_size, pool_size, channels]`. class_ids: int `[B, R]`.
        """
        return self.mask_of_class([self._features(x), class_ids])

    def _features(self, x):
        for layer in self.body:
            x = layer(x)
        return x


def select_class(values, class_ids, *, axis):
    """Of predictions for every class the one for each ROI's class.

    values: `[B, R, ..., C, ...]` with the classes in `axis`; class_ids: int `[B, R]`. Returns `values` without
    that axis.
    """
    classes = values.shape[axis]
    chosen = ops.cast(class_ids, "int32")[..., None] == ops.arange(classes, dtype="int32")  # [B, R, C]
    shape = [1] * len(values.shape)
    shape[0], shape[1], shape[axis] = -1, ops.shape(class_ids)[1], classes
    return ops.sum(ops.where(ops.reshape(chosen, shape), values, 0.0), axis=axis)
