"""Backbones: from an image `[B, H, W, channels]` to the feature maps C1 .. C5 at strides 4, 4, 8, 16, 32."""
