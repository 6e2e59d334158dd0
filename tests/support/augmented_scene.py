"""A picture from whose pixels its masks can be read, so that a test sees whether both were moved alike."""

import numpy as np


def make_scene(height=120, width=160):
    """A red disc and a green rectangle on black: uint8 `[H, W, 3]`, and their masks, bool `[H, W, 2]`."""
    rows, columns = np.mgrid[:height, :width]
    disc = (rows - 0.37 * height) ** 2 + (columns - 0.38 * width) ** 2 < (0.23 * height) ** 2
    rectangle = (abs(rows - 0.7 * height) < 0.13 * height) & (abs(columns - 0.63 * width) < 0.2 * width) & ~disc
    image = np.zeros((height, width, 3), np.uint8)
    image[disc], image[rectangle] = (240, 0, 0), (0, 240, 0)
    return image, np.stack([disc, rectangle], axis=-1)


def masks_in(image):
    """The masks that can be read from a scene's pixels, bool `[H, W, 2]`."""
    red, green = image[..., 0] > 120, image[..., 1] > 120
    return np.stack([red & ~green, green & ~red], axis=-1)


def overlap(masks, others):
    """IoU of masks `[H, W, N]` with others, the smallest of the N."""
    union = (masks | others).sum(axis=(0, 1))
    return ((masks & others).sum(axis=(0, 1)) / np.maximum(union, 1)).min()
