"""Data sets and augmentations that go to other processes: without Keras, whose import would take each some seconds."""

import logging
import os
import random
import signal
import threading
import time
from pathlib import Path

import numpy as np

from ..data.data_sets import Rectangles


def small(count, kind=Rectangles, **attributes):
    """Images of 64 x 64 pixels with a rectangle each. attributes: to be set, see the classes."""
    dataset = kind([1] * count, size=(64, 64))
    vars(dataset).update(attributes)
    return dataset


class Moody(Rectangles):
    """Does something else than load its masks for the image `special`, or for each `every`-th."""

    special, every, mood, folder = None, None, "", None

    def load_mask(self, image_id):
        if image_id == self.special or (self.every and image_id % self.every == 0):
            self.misbehave(image_id)
        return super().load_mask(image_id)

    def misbehave(self, image_id):
        if self.mood == "raise":
            raise KeyError("regions")
        if self.mood == "die always" or (self.mood == "die once" and self.first_time()):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.mood == "sleep":
            (Path(self.folder) / "asleep").touch()
            time.sleep(60)
        if self.mood == "notice":
            logging.getLogger("mrcnn_plus.test").warning("this is image %d", image_id)
            print("printed by load_mask")

    def first_time(self):
        seen = Path(self.folder) / "seen"
        return not seen.exists() and not seen.touch()


class WhereFrom(Rectangles):
    """Writes process and thread into the first pixels of an image."""

    def load_image(self, image_id):
        image = super().load_image(image_id)
        image[0, :2, 0] = os.getpid() % 251, threading.current_thread() is threading.main_thread()
        return image


class Dice(Rectangles):
    """Draws its pixels."""

    def load_image(self, image_id):
        return np.random.randint(0, 255, (64, 64, 3), dtype=np.uint8)


class FromFile(Rectangles):
    """Reads those images from files that have a path."""

    def load_image(self, image_id):
        if self.image_info[image_id]["path"] is None:
            return super().load_image(image_id)
        return super(Rectangles, self).load_image(image_id)


class Slow(Rectangles):
    """Takes its time for an image."""

    seconds = 0.0

    def load_image(self, image_id):
        time.sleep(self.seconds)
        return super().load_image(image_id)


def scribble(image, masks):
    """An augmentation that draws from both global states, while other threads may do so too."""
    time.sleep(random.random() / 200)
    return np.clip(image + np.random.randint(0, 50, image.shape), 0, 255).astype(image.dtype), masks


def failing(image, masks):
    raise ZeroDivisionError("no reason")
