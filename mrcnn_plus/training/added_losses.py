"""What is said to a program that adds losses or metrics to the training model, as Matterport's `compile` did.

Keras 3 cannot add a loss to a finished functional model, and here the total is computed in one place.
"""

from mrcnn_plus.errors import ConfigError

_LOSS_LAYERS = ("rpn_class_loss", "rpn_bbox_loss", "mrcnn_class_loss", "mrcnn_bbox_loss", "mrcnn_mask_loss")

_WAY_OUT = (
    "The total is computed in TrainingModel.compute_loss: set LOSS_WEIGHTS, CLASS_WEIGHTS or the other settings of "
    "losses in config.py, or write your own. Subclass mrcnn_plus.training.model.TrainingModel, override compute_loss "
    "(add your term to super().compute_loss(...)), and in your subclass of MaskRCNN override build to return "
    "make_training_model(Network(config), config, model_class=YourModel)."
)


class RefusesAddedLosses:
    """For the training model: the calls by which programs for Keras 2 added losses and metrics name the way out."""

    def add_loss(self, *args, **kwargs):
        raise ConfigError(f"keras_model.add_loss: Keras 3 cannot add a loss to a finished model. {_WAY_OUT}")

    def add_metric(self, *args, **kwargs):
        raise ConfigError(
            "keras_model.add_metric: Keras 3 cannot add a metric to a finished model. The five losses are reported "
            "already; compute other values in a callback and hand it to train(custom_callbacks=[...]), where "
            "logs['name'] = value puts it beside them."
        )

    @property
    def metrics_tensors(self):
        raise ConfigError(
            "keras_model.metrics_tensors: Keras 3 has none. The five losses are reported already; compute other values "
            "in a callback and hand it to train(custom_callbacks=[...])."
        )

    def get_layer(self, name=None, index=None):
        """The layer of that name or position, as in Keras."""
        if name in _LOSS_LAYERS:
            raise ConfigError(f"keras_model.get_layer({name!r}): the losses are no layers here. {_WAY_OUT}")
        return super().get_layer(name=name, index=index)
