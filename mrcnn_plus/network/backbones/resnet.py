"""ResNet-18, -34, -50 and -101 with Matterport's layer names (He et al., arXiv 1512.03385).

A block `3b` consists of convolutions `res3b_branch2a`, `2b`(, `2c`), their normalizations `bn3b_branch2a`,
..., and ends in the activation `res3b_out`; the first block of a stage has a projection `res3a_branch1` beside them.
Weights files are read by these names.
"""

import string

from keras import layers

from mrcnn_plus.constants import RESNETS
from mrcnn_plus.errors import ConfigError
from mrcnn_plus.network.normalization import norm_layer


def resnet(image, architecture, *, train_bn=False, normalization="batch", width=64, last_stage=5):
    """Feature maps `[C1, C2, C3, C4, C5]` of a molded image, as Keras tensors.

    image: float32 `[B, H, W, channels]`. width: channels of the first convolution (64 in the paper); all others follow.
    last_stage: 4 leaves C5 out (its place holds None).
    """
    if architecture not in RESNETS:
        raise ConfigError(
            f"BACKBONE: expected one of {sorted(RESNETS)} or a function, received: BACKBONE={architecture!r}."
        )
    blocks_per_stage, bottleneck = RESNETS[architecture]
    style = {"train_bn": train_bn, "normalization": normalization}
    x = layers.ZeroPadding2D((3, 3), name="conv1_pad")(image)
    x = layers.Conv2D(width, (7, 7), strides=(2, 2), name="conv1")(x)
    x = _norm(x, "bn_conv1", **style)
    x = layers.Activation("relu", name="conv1_relu")(x)
    c1 = x = layers.MaxPooling2D((3, 3), strides=(2, 2), padding="same", name="pool1")(x)
    features = [c1]
    for stage, blocks in zip(range(2, last_stage + 1), blocks_per_stage, strict=False):
        channels = width * 2 ** (stage - 2)
        filters = (channels, channels, 4 * channels) if bottleneck else (channels, channels)
        for letter in string.ascii_lowercase[:blocks]:
            first = letter == "a"
            # The projection of ResNet-18/34's second stage is kept (as an identity it would carry no weights): one rule
            # for all four networks.
            strides = (2, 2) if first and stage > 2 else (1, 1)
            x = residual_block(x, filters, stage, letter, strides=strides, project=first, **style)
        features.append(x)
    return features + [None] * (5 - len(features))


def residual_block(
    x,
    filters,
    stage,
    block,
    *,
    strides=(1, 1),
    project=False,
    kernel_size=3,
    use_bias=True,
    train_bn=False,
    normalization="batch",
):
    """One residual block: 1x1, 3x3, 1x1 convolutions for three `filters`, two 3x3 for two.

    The stride stands in the first convolution, as in the paper and in Matterport; later networks put it in the 3x3.
    """
    style = {"train_bn": train_bn, "normalization": normalization}
    kernels = [1, kernel_size, 1] if len(filters) == 3 else [kernel_size, kernel_size]
    conv_name, norm_name = f"res{stage}{block}_branch", f"bn{stage}{block}_branch"
    y = x
    for position, (channels, kernel) in enumerate(zip(filters, kernels, strict=True)):
        branch = "2" + "abc"[position]
        y = layers.Conv2D(
            channels,
            kernel,
            strides=strides if position == 0 else (1, 1),
            padding="same" if kernel != 1 else "valid",
            use_bias=use_bias,
            name=conv_name + branch,
        )(y)
        y = _norm(y, norm_name + branch, **style)
        if position < len(filters) - 1:
            y = layers.Activation("relu", name=f"{conv_name}{branch}_relu")(y)
    if project:
        x = layers.Conv2D(filters[-1], 1, strides=strides, use_bias=use_bias, name=conv_name + "1")(x)
        x = _norm(x, norm_name + "1", **style)
    y = layers.Add(name=f"res{stage}{block}_add")([y, x])
    return layers.Activation("relu", name=f"res{stage}{block}_out")(y)


def _norm(x, name, *, train_bn, normalization):
    return norm_layer(normalization, channels=x.shape[-1], train_bn=train_bn, name=name)(x)
