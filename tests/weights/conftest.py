"""Networks and files to load, small ones and the whole recorded layout with thin layers, and a web server."""

import http.server
import importlib.util
import json
import threading
from pathlib import Path

import h5py
import numpy as np
import pytest

TESTS_DIR = Path(__file__).parents[1]
RESNET50_LAYOUT = TESTS_DIR / "golden" / "layout_resnet50_5classes.json"


def _make_weights_module():
    spec = importlib.util.spec_from_file_location("make_weights", TESTS_DIR / "support" / "make_weights.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def make_weights():
    """The tool of the recorded answers: `write(layout, path, seed)` and `tensor(layer, name, shape, seed)`."""
    return _make_weights_module()


def thin(layout, divisor=16, classes=5):
    """The layout with every channel count divided, class counts kept: the same names in 1/256 of the memory."""
    fixed = {classes, 4 * classes, 3, 6, 12}

    def smaller(shape, spatial):
        return shape[:spatial] + [size if size in fixed else max(size // divisor, 1) for size in shape[spatial:]]

    return [[layer, [[name, smaller(shape, len(shape) - 2 if len(shape) > 2 else 0)] for name, shape in weights]]
            for layer, weights in layout]  # fmt: skip


@pytest.fixture(scope="session")
def thin_layout():
    """`layout_resnet50_5classes.json` with thin layers."""
    return thin(json.loads(RESNET50_LAYOUT.read_text()))


@pytest.fixture(scope="session")
def small_layout():
    """Function of the number of classes: a dozen layers of every kind that Matterport's network has."""

    def layout(classes=5, channels=3):
        return [
            ["input_image", []],
            ["conv1", conv("conv1", 7, channels, 4)],
            ["bn_conv1", norm("bn_conv1", 4)],
            ["activation", []],
            ["res2a_branch2a", conv("res2a_branch2a", 1, 4, 2)],
            ["res2a_branch2c", conv("res2a_branch2c", 1, 2, 4)],
            ["bn2a_branch2a", norm("bn2a_branch2a", 2)],
            *[[f"res4{letter}_branch2a", conv(f"res4{letter}_branch2a", 1, 4, 2)] for letter in "abcdef"],
            ["res4a_branch2c", conv("res4a_branch2c", 1, 2, 4)],
            ["fpn_p2", conv("fpn_p2", 3, 4, 4)],
            ["rpn_model", rpn(4, 6)],
            ["mrcnn_class_conv1", conv("mrcnn_class_conv1", 7, 4, 8)],
            ["mrcnn_class_bn1", norm("mrcnn_class_bn1", 8)],
            ["mrcnn_class_logits", dense("mrcnn_class_logits", 8, classes)],
            ["mrcnn_bbox_fc", dense("mrcnn_bbox_fc", 8, 4 * classes)],
            ["mrcnn_mask_bn1", norm("mrcnn_mask_bn1", 4)],
            ["mrcnn_mask_deconv", [["mrcnn_mask_deconv/kernel:0", [2, 2, 3, 4]], ["mrcnn_mask_deconv/bias:0", [3]]]],
            ["mrcnn_mask", conv("mrcnn_mask", 1, 3, classes)],
        ]  # fmt: skip

    return layout


def conv(name, size, channels, filters):
    return [[f"{name}/kernel:0", [size, size, channels, filters]], [f"{name}/bias:0", [filters]]]


def rpn(channels, width):
    shared = conv("rpn_conv_shared", 3, channels, width)
    return shared + conv("rpn_class_raw", 1, width, 6) + conv("rpn_bbox_pred", 1, width, 12)


def dense(name, inputs, units):
    return [[f"{name}/kernel:0", [inputs, units]], [f"{name}/bias:0", [units]]]


def norm(name, channels):
    return [[f"{name}/{kind}:0", [channels]] for kind in ("gamma", "beta", "moving_mean", "moving_variance")]


@pytest.fixture(scope="session")
def build_model():
    """Function of a layout: a functional Keras model whose layers have those names and weights, without connections.

    Heads are wrapped like TimeDistributed, rpn_model is a model in the model. normalization: "batch" or "group".
    """
    import keras

    class PerRoi(keras.layers.Wrapper):
        """Holds `.layer`; its weights are those of that layer."""

        def build(self, input_shape=None):
            self.layer.build((None, *input_shape[2:]))
            self.built = True

        def call(self, inputs):
            return inputs

    def make_layer(name, weights, normalization):
        shapes = {weight.rsplit("/", 1)[-1]: shape for weight, shape in weights}
        kernel = shapes.get("kernel:0")
        if kernel is None and normalization == "group":
            return keras.layers.GroupNormalization(groups=1, name=name), [*shapes["gamma:0"]]
        if kernel is None:
            return keras.layers.BatchNormalization(name=name), [*shapes["gamma:0"]]
        if len(kernel) == 2:
            return keras.layers.Dense(kernel[1], name=name), [kernel[0]]
        if name == "mrcnn_mask_deconv":
            return keras.layers.Conv2DTranspose(kernel[2], kernel[:2], name=name), [8, 8, kernel[3]]
        return keras.layers.Conv2D(kernel[3], kernel[:2], padding="same", name=name), [8, 8, kernel[2]]

    def rpn_model(weights):
        (_, shared), (_, classes), (_, boxes) = weights[::2]
        inputs = keras.Input((8, 8, shared[2]))
        x = keras.layers.Conv2D(shared[3], 3, padding="same", name="rpn_conv_shared")(inputs)
        # The other order, on purpose: the writer puts them into Matterport's.
        deltas = keras.layers.Conv2D(boxes[3], 1, name="rpn_bbox_pred")(x)
        scores = keras.layers.Conv2D(classes[3], 1, name="rpn_class_raw")(x)
        return keras.Model(inputs, [deltas, scores], name="rpn_model"), [8, 8, shared[2]]

    def build(layout, *, normalization="batch", extra=()):
        inputs, outputs = [], []
        for name, weights in layout:
            if not weights:
                layer, shape = keras.layers.Activation("relu", name=name), [2]
            elif name == "rpn_model":
                layer, shape = rpn_model(weights)
            else:
                layer, shape = make_layer(name, weights, normalization)
                if name.startswith("mrcnn_"):
                    layer, shape = PerRoi(layer, name=name), [1, *shape]
            inputs.append(keras.Input(shape))
            outputs.append(layer(inputs[-1]))
        for layer, shape in extra:
            inputs.append(keras.Input(shape))
            outputs.append(layer(inputs[-1]))
        return keras.Model(inputs, outputs)

    return build


@pytest.fixture(scope="session")
def values():
    """Function of a model: {"layer/sublayer/kind": array} of all weights, read by Keras' own means."""

    def read(model, prefix=""):
        found = {}
        for layer in model.layers:
            if hasattr(layer, "layers"):
                found |= read(layer, f"{prefix}{layer.name}/")
            else:
                for variable in layer.weights:
                    found[f"{prefix}{layer.name}/{variable.name}"] = np.asarray(variable)
        return found

    return read


@pytest.fixture(scope="session")
def expected(make_weights):
    """Function of a layout and a seed: what `values` of a model must be after loading the file made from them."""

    def tensors(layout, seed=0):
        found = {}
        for layer, weights in layout:
            for name, shape in weights:
                key = name.split(":")[0] if layer != "rpn_model" else f"rpn_model/{name.split(':')[0]}"
                found[key] = make_weights.tensor(layer, name, shape, seed)
        return found

    return tensors


@pytest.fixture
def write_file(tmp_path):
    """Function that writes layers as {layer: {weight name: array}} to an HDF5 file in one of the styles that exist."""

    def write(
        layers,
        name="weights.h5",
        *,
        text=np.bytes_,
        nested=False,
        chunks=1,
        keras_version="2.0.8",
        backend="tensorflow",
    ):
        path = tmp_path / name

        def set_names(group, attribute, names):
            kind = "S" if text is np.bytes_ else h5py.string_dtype()
            if chunks == 1:
                group.attrs[attribute] = np.array(names, dtype=kind)
                return
            for number, part in enumerate(np.array_split(np.array(names, dtype=object), chunks)):
                group.attrs[f"{attribute}{number}"] = np.array(list(part), dtype=kind)

        with h5py.File(path, "w") as file:
            group = file.create_group("model_weights") if nested else file
            if nested:
                file.attrs["model_config"] = "{}"
                file.create_group("optimizer_weights")
            set_names(group, "layer_names", list(layers))
            if keras_version:
                group.attrs["keras_version"] = text(keras_version)
            if backend:
                group.attrs["backend"] = text(backend)
            for layer, weights in layers.items():
                inner = group.create_group(layer)
                set_names(inner, "weight_names", list(weights))
                for weight, array in weights.items():
                    inner[weight] = array
        return path

    return write


@pytest.fixture
def layers_of(make_weights):
    """Function of a layout: {layer: {weight name: array}}, as `write_file` takes it."""

    def layers(layout, seed=0):
        return {
            layer: {name: make_weights.tensor(layer, name, shape, seed) for name, shape in weights}
            for layer, weights in layout
        }

    return layers


class Server(http.server.ThreadingHTTPServer):
    """Serves `content`; `requests` records the Range header of every request.

    ranges: False answers with the whole file always. send_length: False leaves out Content-Length.
    range_error: added to the first byte that is asked for.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = b""
        self.ranges = self.send_length = True
        self.range_error = 0
        self.requests = []
        self.misbehave()

    def misbehave(self, *, cut_after=(), statuses=()):
        """Cut the connection after so many bytes, or answer with an HTTP error: an entry for each request to come."""
        self.cuts, self.statuses = iter(cut_after), iter(statuses)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/weights.h5"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        wanted = self.headers.get("Range")
        self.server.requests.append(wanted)
        status = next(self.server.statuses, None)
        if status:
            self.send_error(status)
            return
        content, start = self.server.content, 0
        if wanted and self.server.ranges:
            start = int(wanted.removeprefix("bytes=").rstrip("-")) + self.server.range_error
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        if self.server.send_length:
            self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start : start + next(self.server.cuts, len(content))])

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    """A web server on this machine, running while the test does."""
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()
