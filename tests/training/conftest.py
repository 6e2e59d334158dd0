"""One real run of two stages, `heads` and then `all`, that several test modules look at."""

from types import SimpleNamespace

import keras
import pytest

from mrcnn_plus import EvaluationCallback
from mrcnn_plus.mask_rcnn import MaskRCNN

from ..support.tiny import Figures, FiveConvolutions, weights_of


class RecordingFigures(Figures):
    """Remembers which images were loaded, in order."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.loaded = []

    def load_image(self, image_id):
        self.loaded.append(int(image_id))
        return super().load_image(image_id)


class Recorder(keras.callbacks.Callback):
    """Keeps weights before and after, the optimizer's state and what every epoch logged."""

    def __init__(self):
        super().__init__()
        self.epochs = {}

    def on_train_begin(self, logs=None):
        self.before = weights_of(self.model)
        self.optimizer = self.model.optimizer
        self.steps_before = int(self.optimizer.iterations)

    def on_epoch_end(self, epoch, logs=None):
        self.epochs[epoch] = dict(logs)
        self.weights = weights_of(self.model)
        self.trainable = {weight.path for weight in self.model.trainable_weights}


class Watched:
    """Detects with a model and keeps the weights that it has then."""

    def __init__(self, model):
        self.model = model

    def detect(self, images):
        self.results = self.model.detect(images)
        self.weights = weights_of(self.model.keras_model)
        return self.results


class RunConfig(FiveConvolutions):
    NAME = "Figures"


@pytest.fixture(scope="session")
def two_stages(tmp_path_factory):
    """`train` twice: epochs 1 and 2 of 'heads' at 0.01, epoch 3 of 'all' at 0.001.

    Fields: model, heads, all, val, and of the evaluation after epoch 3 evaluation, watched.
    """
    folder = tmp_path_factory.mktemp("runs")
    run = SimpleNamespace(heads=Recorder(), all=Recorder(), folder=folder)
    run.train, run.val = Figures([2] * 5), RecordingFigures([2, 1, 3])
    run.model = MaskRCNN(mode="training", config=RunConfig(), model_dir=str(folder))
    # Without the linter, which looks at images too: a test counts how often training loads them.
    stage = {"learning_rate": 0.01, "epochs": 2, "layers": "heads", "lint": "off"}
    run.model.train(run.train, run.val, **stage, custom_callbacks=[run.heads])
    run.epoch_after_heads = run.model.epoch
    stage = {"learning_rate": 0.001, "epochs": 3, "layers": "all", "lint": "off"}
    run.watched = Watched(run.model)
    run.evaluation = EvaluationCallback(Figures([2, 0, 3], [(64, 64), (50, 80), (64, 64)]), model=run.watched)
    run.model.train(run.train, run.val, **stage, custom_callbacks=[run.all, run.evaluation])
    return run
