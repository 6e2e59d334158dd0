"""Many masks in few planes: every bit of a pixel is one mask, so whatever moves a pixel moves all its masks at once.

Only for what takes every pixel from one place (nearest neighbour): numbers in between would be other masks.
"""

import numpy as np


def pack_masks(masks, *, bits):
    """bool `[H, W, N]` to int32 `[H, W, planes]`, with `bits` masks in a plane."""
    planes = np.zeros(masks.shape[:2] + (-(-masks.shape[2] // bits),), np.int32)
    for n in range(masks.shape[2]):
        plane, bit = divmod(n, bits)
        planes[..., plane] |= masks[..., n].astype(np.int32) << bit
    return planes


def unpack_masks(planes, count, *, bits):
    """The inverse of `pack_masks` for `count` masks: int `[H, W, planes]` to bool `[H, W, count]`."""
    masks = np.empty(planes.shape[:2] + (count,), bool)
    for n in range(count):
        plane, bit = divmod(n, bits)
        masks[..., n] = (planes[..., plane] >> bit) & 1
    return masks
