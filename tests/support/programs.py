"""Small users' programs, as people wrote them for Matterport's package."""

import textwrap
from pathlib import Path

SETTINGS = """
    from mrcnn.config import Config


    class PartsConfig(Config):
        NAME = "parts"
        IMAGES_PER_GPU = 1
        NUM_CLASSES = 1 + 1
        IMAGE_MIN_DIM = 600
        IMAGE_MAX_DIM = 600
"""

DATA = """
    import numpy as np
    from mrcnn import utils


    class PartsDataset(utils.Dataset):
        def load_parts(self, count, seed=0):
            self.add_class("parts", 1, "part")
            for i in range(count):
                self.add_image("parts", image_id=i + seed, path=None)

        def load_image(self, image_id):
            rng = np.random.RandomState(self.image_info[image_id]["id"])
            return rng.randint(0, 255, (512, 512, 3)).astype(np.uint8)

        def load_mask(self, image_id):
            mask = np.zeros((512, 512, 1), bool)
            mask[100:220, 100:260] = True
            return mask, np.array([1], np.int32)
"""

TRAINING = """
    from mrcnn import model as modellib

    if __name__ == "__main__":
        train, val = PartsDataset(), PartsDataset()
        train.load_parts(4)
        val.load_parts(3, seed=100)
        train.prepare()
        val.prepare()
        model = modellib.MaskRCNN(mode="training", config=PartsConfig(), model_dir="logs")
        model.train(train, val, learning_rate=PartsConfig.LEARNING_RATE, epochs=1, layers="heads")
"""


def write(folder, name: str, *parts: str) -> Path:
    """Write a program from parts; each is dedented on its own."""
    path = Path(folder) / name
    path.write_text("\n".join(textwrap.dedent(part) for part in parts), encoding="utf-8")
    return path
