"""`MaskRCNN`, the object a user holds: builds, loads, trains, detects. It delegates; the work is done elsewhere."""

import logging
import numbers
import threading

import keras
import numpy as np

from mrcnn_plus.errors import ConfigError, DatasetError, WeightsError
from mrcnn_plus.inference import inputs as detection_inputs
from mrcnn_plus.inference import inspection
from mrcnn_plus.inference import outputs as detection_outputs
from mrcnn_plus.network.assembly import Network
from mrcnn_plus.training import fitting, stages
from mrcnn_plus.training.config_checks import check_config
from mrcnn_plus.training.model import DetectionModel, TrainingModel
from mrcnn_plus.verbose import log
from mrcnn_plus.weights import checkpoints, pretrained

logger = logging.getLogger(__name__)

MODES = ("training", "inference")


class MaskRCNN:
    """Mask R-CNN for one configuration. compat: MaskRCNN, with the same methods and attributes.

    mode: 'training' or 'inference'. A model made for training can detect as well, with the weights it has then.
    config: an instance of a `Config` subclass. model_dir: folder under which every run gets its log folder.

    keras_model is the Keras model of the mode; epoch, the epochs trained so far; log_dir, the folder of this run.
    """

    # Here, because subclasses may have an __init__ of their own that does not call this one.
    _lock = threading.Lock()
    _network = _detection_model = _anchors_by_shape = _initial_fingerprint = None

    def __init__(self, mode, config, model_dir):
        if mode not in MODES:
            raise ConfigError(f"mode: expected 'training' or 'inference', received: mode={mode!r}.")
        if isinstance(config, type):
            raise ConfigError(
                f"config: expected an instance, received the class {config.__name__}. Write {config.__name__}()."
            )
        check_config(config)
        self.mode = mode
        self.config = config
        self.model_dir = model_dir
        self.set_log_dir()
        self.keras_model = self.build(mode=mode, config=config)
        self._initial_fingerprint = _fingerprint(self.keras_model)

    # ---- building ------------------------------------------------------------------------------------------------

    def build(self, mode, config):
        """Make the Keras model of a mode. The other mode's model, made when it is needed, shares its layers."""
        if config.SEED is not None:
            keras.utils.set_random_seed(config.SEED)
        self._network = Network(config)
        if mode == "inference":
            return self._make_detection_model()
        model = TrainingModel(*self._network.training_graph(), name="mask_rcnn")
        model.loss_weights = dict(config.LOSS_WEIGHTS)
        model.weight_decay = config.WEIGHT_DECAY
        model.detection_twin = lambda: self.detection_model
        return model

    @property
    def detection_model(self):
        """The Keras model that detects: `keras_model` in inference mode, else a second graph of the same layers."""
        if self.mode == "inference":
            return self.keras_model
        with self._lock:
            if self._detection_model is None:
                self._detection_model = self._make_detection_model()
            return self._detection_model

    def _make_detection_model(self):
        model = DetectionModel(*self._network.detection_graph(), name="mask_rcnn")
        if self.config.JIT_COMPILE is not None:
            model.jit_compile = self.config.JIT_COMPILE
        return model

    # ---- weights and log folder ----------------------------------------------------------------------------------

    def load_weights(self, filepath, by_name=False, exclude=None):
        """Load weights, print what was loaded and what not, and return that as a `weights.report.LoadReport`.

        filepath: Matterport's HDF5 layout or a Keras file. by_name: load what is there; otherwise the file has to
        hold all weights of the model. exclude: names of layers to leave as they are.

        In training mode, heads of another number of classes are left at random values and listed. In inference mode
        that is a WeightsError. If the path is a checkpoint of a run, training goes on in its folder after its epoch.
        """
        report = self.keras_model.load_weights(
            filepath,
            by_name=by_name,
            exclude=exclude or (),
            skip_mismatch=self.mode == "training",
        )
        if report is not None:  # Keras loads its own formats whole, or raises
            log(report)
        self._initial_fingerprint = None  # something was loaded
        self.set_log_dir(filepath)
        return report

    def find_last(self):
        """Path of the newest checkpoint of the newest run with this configuration's name."""
        return checkpoints.find_last(self.model_dir, self.config.NAME)

    def get_imagenet_weights(self):
        """Download ResNet-50 weights trained on ImageNet, unless they are there, and return their path."""
        return pretrained.get_imagenet_weights()

    def set_log_dir(self, model_path=None):
        """Set `log_dir`, `checkpoint_path` and `epoch`: those of the checkpoint `model_path`, or those of a new run."""
        resume = checkpoints.parse_checkpoint_path(model_path) if model_path else None
        name = self.config.NAME
        if resume:
            # compat: MaskRCNN.set_log_dir. The run's date under this model's own name and folder.
            self.log_dir = checkpoints.new_log_dir(self.model_dir, name, now=resume.started)
            self.epoch = resume.epoch
            logger.info("Resuming after epoch %d in %s", self.epoch, self.log_dir)
        else:
            self.log_dir, self.epoch = checkpoints.new_log_dir(self.model_dir, name), 0
        self.checkpoint_path = checkpoints.checkpoint_template(self.log_dir, name)

    # ---- training ------------------------------------------------------------------------------------------------

    def train(
        self,
        train_dataset,
        val_dataset,
        learning_rate,
        epochs,
        layers,
        augmentation=None,
        custom_callbacks=None,
        no_augmentation_sources=None,
    ):
        """Train layers of the model.

        train_dataset, val_dataset: prepared `Dataset` objects; val_dataset may be None.
        learning_rate: a number or a Keras learning rate schedule.
        epochs: the epoch to stop after, counted from the beginning of all training, so a second call with the
            same number trains nothing.
        layers: 'heads' (everything but the backbone), '3+', '4+', '5+' (backbone stages from there on, and the heads),
            'all', or a regular expression of layer names.
        augmentation: an imgaug augmenter, or a function `(image, masks) -> (image, masks)`.
        custom_callbacks: further Keras callbacks. no_augmentation_sources: sources of images not to augment.
        """
        if self.mode != "training":
            raise ConfigError(
                "train: the model was made with mode='inference'. Make one with mode='training' to train."
            )
        if not self.config.USE_RPN_ROIS:
            raise ConfigError(
                "USE_RPN_ROIS: expected True, because train() has no ROIs of its own to feed, received: "
                "USE_RPN_ROIS=False. Set it to True, or call keras_model.fit with batches that hold 'input_roi'."
            )
        if not isinstance(epochs, numbers.Integral):
            raise ConfigError(f"train: expected epochs to be a whole number, received: epochs={epochs!r}.")
        self.set_trainable(layers)
        self.compile(learning_rate, self.config.LEARNING_MOMENTUM)
        self.epoch = fitting.fit(
            self.keras_model,
            self.config,
            train_dataset,
            val_dataset,
            first_epoch=self.epoch,
            epochs=epochs,
            checkpoint_path=self.checkpoint_path,
            log_dir=self.log_dir,
            augmentation=augmentation,
            custom_callbacks=custom_callbacks or (),
            no_augmentation_sources=no_augmentation_sources or (),
        )

    def compile(self, learning_rate, momentum):
        """Prepare the training step with a new optimizer; `train` calls it for every stage."""
        fitting.compile_model(self.keras_model, self.config, learning_rate, momentum)

    def set_trainable(self, layer_regex, keras_model=None, indent=0, verbose=1):
        """Let the layers train whose name matches; a model has to be compiled after this."""
        chosen = stages.set_trainable(keras_model or self.keras_model, layer_regex)
        if verbose > 0:
            names = ", ".join(chosen[:8]) + (", ..." if len(chosen) > 8 else "")
            log(f"{' ' * indent}Training {len(chosen)} layers: {names}")

    def get_trainable_layers(self):
        """All layers that have weights, as Matterport's notebooks list them."""
        return stages.weighted_layers(self.keras_model)

    def find_trainable_layer(self, layer):
        """The layer inside a wrapper, or the layer itself."""
        return self.find_trainable_layer(layer.layer) if hasattr(layer, "layer") else layer

    # ---- detection -----------------------------------------------------------------------------------------------

    def detect(self, images, verbose=0, *, allow_untrained=False):
        """Find the instances in images.

        images: a list of any number of arrays `[height, width, channels]` of any sizes, RGB uint8.
        allow_untrained: detect also with a network of which nothing was loaded or trained.

        Returns a list with a dict for each image: 'rois' int32 `[N, (y1, x1, y2, x2)]` pixels, 'class_ids' int32 `[N]`,
        'scores' float32 `[N]`, 'masks' bool `[height, width, N]`.
        """
        self._check_trained(allow_untrained)
        images = detection_inputs.as_list_of_images(images)
        channels = int(self.config.IMAGE_SHAPE[2])
        images = [
            detection_inputs.as_color_image(image, channels, place=f"detect: image {index} of {len(images)}")
            for index, image in enumerate(images)
        ]
        if verbose:
            log(f"Processing {len(images)} images")
            for image in images:
                log("image", image)
        results, waiting, full = [None] * len(images), {}, set()
        for index, image in enumerate(images):
            molded = self.mold_inputs([image])
            shape = molded[0].shape
            waiting.setdefault(shape, []).append((index, image.shape, molded))
            if len(waiting[shape]) == self.config.BATCH_SIZE:
                full.add(shape)
                self._detect_batch(waiting.pop(shape), results, verbose)
        for shape, batch in waiting.items():
            self._detect_batch(batch, results, verbose, fill_up=shape in full)
        return results

    def _detect_batch(self, batch, results, verbose, *, fill_up=False):
        """Detect in images that mold to one size, given as `(index, original shape, molded inputs)`, into `results`."""
        molded_images, metas, windows = (np.concatenate([molded[part] for _, _, molded in batch]) for part in range(3))
        outputs = self._predict(molded_images, metas, verbose, fill_up=fill_up)
        for row, (index, original_shape, _) in enumerate(batch):
            results[index] = self._result(
                outputs[0][row], outputs[3][row], original_shape, molded_images[row].shape, windows[row]
            )

    def detect_molded(self, molded_images, image_metas, verbose=0):
        """As `detect`, for images `[B, H, W, channels]` that are molded already; results are in molded pixels."""
        self._check_trained(False)
        if len(molded_images) != len(image_metas):
            raise DatasetError(
                f"detect_molded: expected as many image metas as images, received: {len(molded_images)} images, "
                f"{len(image_metas)} image metas."
            )
        molded_images, image_metas = np.asarray(molded_images), np.asarray(image_metas)
        outputs = self._predict(molded_images, image_metas, verbose)
        return [
            self._result(detections, masks, image.shape, image.shape, np.array([0, 0, *image.shape[:2]]))
            for image, detections, masks in zip(molded_images, outputs[0], outputs[3], strict=True)
        ]

    def mold_inputs(self, images):
        """Molded images `[B, H, W, channels]`, metas `[B, 12 + C]`, windows `[B, 4]`; all must mold to one size."""
        config = self.config
        resize = fitting.resize_settings(config)
        if resize.mode == "crop":  # a random window is for training; here the whole image at the same scale
            resize = resize._replace(mode="pad64")
        molded, metas, windows = detection_inputs.mold_images(
            images, resize=resize, mean_pixel=config.MEAN_PIXEL, num_classes=config.NUM_CLASSES
        )
        return np.stack(molded), np.stack(metas), np.stack(windows)

    def unmold_detections(self, detections, mrcnn_mask, original_image_shape, image_shape, window):
        """Boxes, class ids, scores and masks of one image in its own pixels; see `inference.outputs`."""
        return detection_outputs.unmold_detections(detections, mrcnn_mask, original_image_shape, image_shape, window)

    def get_anchors(self, image_shape):
        """Anchors `[A, 4]`, normalized, for a molded image of this shape. `anchors` then holds them in pixels."""
        if self._anchors_by_shape is None:
            config = self.config
            self._anchors_by_shape = detection_inputs.AnchorCache(
                *(
                    config.RPN_ANCHOR_SCALES,
                    config.RPN_ANCHOR_RATIOS,
                    config.BACKBONE_STRIDES,
                    config.RPN_ANCHOR_STRIDE,
                ),
                feature_shapes=config.COMPUTE_BACKBONE_SHAPE,
            )
        self.anchors = self._anchors_by_shape.pixels(image_shape)
        return self._anchors_by_shape.normalized(image_shape)

    def _predict(self, molded_images, image_metas, verbose=0, *, fill_up=False):
        """The outputs of the detection model as arrays. fill_up: to BATCH_SIZE, so that a graph made for it serves."""
        count = len(molded_images)
        missing = max(self.config.BATCH_SIZE - count, 0) if fill_up else 0
        rows = np.concatenate([np.arange(count), np.zeros(missing, int)])
        anchors = self.get_anchors(molded_images.shape[1:])
        anchors = np.broadcast_to(anchors, (len(rows), *anchors.shape))
        if verbose:
            log("molded_images", molded_images)
            log("image_metas", image_metas)
            log("anchors", anchors)
        inputs = [molded_images[rows], image_metas[rows].astype(np.float32), anchors]
        outputs = self.detection_model.predict_on_batch(inputs)
        return [np.asarray(output)[:count] for output in outputs]

    def _result(self, detections, masks, original_shape, molded_shape, window):
        rois, class_ids, scores, masks = self.unmold_detections(detections, masks, original_shape, molded_shape, window)
        return {"rois": rois, "class_ids": class_ids, "scores": scores, "masks": masks}

    def _check_trained(self, allow_untrained):
        if allow_untrained or self._initial_fingerprint is None:
            return
        if _fingerprint(self.keras_model) == self._initial_fingerprint:
            raise WeightsError(
                "detect: all weights are still at their random initial values, so the result would be noise. Call "
                "load_weights(path, by_name=True) or train(...) first, or detect(..., allow_untrained=True) if random "
                "detections are what you want."
            )
        self._initial_fingerprint = None  # once is enough

    # ---- looking inside ------------------------------------------------------------------------------------------

    def ancestor(self, tensor, name, checked=None):
        """An intermediate tensor of the proposal layer by its name in Matterport's graph, for `run_graph`, or None.

        Known are 'ROI/pre_nms_anchors:0', 'ROI/refined_anchors:0', 'ROI/refined_anchors_clipped:0' and
        'ROI/rpn_non_max_suppression:0', and 'LAYER/...' for the output of any layer.
        """
        return inspection.find_tensor(self.detection_model, name)

    def run_graph(self, images, outputs, image_metas=None):
        """Run images through the network and return intermediate tensors as an ordered dict of arrays.

        images: list of images as for `detect`, or molded ones `[B, H, W, channels]` if image_metas are given.
        outputs: list of (name, tensor) of tensors of `keras_model`, as `keras_model.get_layer(...).output`.
        """
        if image_metas is None:
            molded_images, image_metas, _ = self.mold_inputs(images)
        else:
            molded_images = np.asarray(images)
        anchors = self.get_anchors(molded_images.shape[1:])
        anchors = np.broadcast_to(anchors, (len(molded_images), *anchors.shape))
        values = inspection.run(
            self.detection_model, outputs, [molded_images, np.asarray(image_metas, np.float32), anchors]
        )
        for name, value in values.items():
            log(name, value)
        return values


def _fingerprint(model):
    """Numbers that change as soon as any kernel of the model does."""
    kernels = [weight for weight in model.weights if weight.name == "kernel"]
    return [float(keras.ops.sum(keras.ops.cast(kernel, "float32"))) for kernel in kernels]
