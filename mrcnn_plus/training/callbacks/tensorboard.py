"""An event file for TensorBoard, on every backend.

It is written by the package tensorboard itself, not by `tf.summary`: beside PyTorch or JAX, TensorFlow must not be
imported.
"""

import logging
import os
import socket
import time

import keras

from mrcnn_plus.constants import LOSS_NAMES

logger = logging.getLogger(__name__)

_LOSSES = (*LOSS_NAMES, "l2_loss")
# Beginnings of names in the logs, and the groups in which TensorBoard shows them.
_GROUPS = {
    "share_": "share/",
    "weight_": "weight/",
    "learning_rate_": "learning_rate/",
    "gradient_norm_": "gradient_norm/",
    "val_box_": "mAP/box_",
    "val_mask_": "mAP/segm_",
}
_TAGS = {
    "loss": "loss/train_total",
    "val_loss": "loss/val_total",
    **{name: f"loss/train_{name}" for name in _LOSSES},
    **{f"val_{name}": f"loss/val_{name}" for name in _LOSSES},
    "learning_rate": "learning_rate/base",
    "gradient_norm": "gradient_norm/all",
    **{name: f"speed/{name}" for name in ("images_per_second", "data_wait", "seconds")},
}
# Charts of the tab "Custom scalars": titles and regular expressions of the tags that share one.
_CHARTS = {
    "Total, train and validation": [r"loss/(train|val)_total"],
    "The five losses": [r"loss/train_(rpn|mrcnn)_.*"],
    "Mask loss": [r"loss/(train|val)_mrcnn_mask_loss"],
    "Shares of the total": [r"share/.*"],
    "Average precision": [r"mAP/(box|segm)_AP$"],
}


def tag_of(name):
    """The tag in TensorBoard for a name in the logs: 'mrcnn_mask_loss' is 'loss/train_mrcnn_mask_loss'."""
    if name in _TAGS:
        return _TAGS[name]
    for beginning, group in _GROUPS.items():
        if name.startswith(beginning):
            return group + name.removeprefix(beginning)
    return f"other/{name}"


class TensorBoardFile(keras.callbacks.Callback):
    """Writes what an epoch logged into an event file in `log_dir`; steps are epochs from 0, as in `losses.csv`."""

    def __init__(self, log_dir):
        super().__init__()
        self.log_dir = log_dir
        self.file = None

    def on_epoch_end(self, epoch, logs=None):
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=tag_of(name), simple_value=float(value)) for name, value in (logs or {}).items()]
        try:
            if self.file is None:
                self._open()
            self._write(step=epoch, summary=Summary(value=values))
            self.file.flush()
        except OSError as error:  # a full disk must not end training
            logger.error("Epoch %d could not be written for TensorBoard: %s", epoch + 1, error)

    def on_train_end(self, logs=None):
        if self.file is not None:
            self.file.close()
            self.file = None

    def _open(self):
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}.{time.perf_counter_ns()}"
        self.file = open(os.path.join(self.log_dir, name), "ab")  # noqa: SIM115, open from epoch to epoch
        self._write(file_version="brain.Event:2")
        self._write(step=0, summary=_layout())

    def _write(self, **content):
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        RecordWriter(self.file).write(Event(wall_time=time.time(), **content).SerializeToString())


def _layout():
    """The summary that tells the plugin "custom_scalars" which charts to show."""
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.compat.proto.tensor_pb2 import TensorProto
    from tensorboard.compat.proto.types_pb2 import DT_STRING
    from tensorboard.plugins.custom_scalar import layout_pb2, metadata

    charts = [
        layout_pb2.Chart(title=title, multiline=layout_pb2.MultilineChartContent(tag=tags))
        for title, tags in _CHARTS.items()
    ]
    layout = layout_pb2.Layout(category=[layout_pb2.Category(title="Training", chart=charts)])
    tensor = TensorProto(dtype=DT_STRING, string_val=[layout.SerializeToString()])
    value = Summary.Value(tag=metadata.CONFIG_SUMMARY_TAG, tensor=tensor, metadata=metadata.create_summary_metadata())
    return Summary(value=[value])
