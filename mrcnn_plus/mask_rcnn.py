"""`MaskRCNN`, the object a user holds: builds, loads, trains, detects. It delegates; the work is done elsewhere."""

import functools
import logging
import os

import keras
import numpy as np

from mrcnn_plus.config_adapter import as_config
from mrcnn_plus.config_record import SettingsRecord
from mrcnn_plus.config_values import anchor_cache, detection_resize_settings
from mrcnn_plus.diagnosis.report import report_at_the_end
from mrcnn_plus.diagnosis.watcher import make_watcher
from mrcnn_plus.errors import ConfigError, WeightsError
from mrcnn_plus.inference import inputs as detection_inputs
from mrcnn_plus.inference import inspection
from mrcnn_plus.inference import outputs as detection_outputs
from mrcnn_plus.inference.model import DetectionModel, detection_model
from mrcnn_plus.inference.weight_changes import fingerprint
from mrcnn_plus.network.assembly import Network, require_eager_mode
from mrcnn_plus.training import fitting, stages
from mrcnn_plus.training.config_checks import check_config
from mrcnn_plus.training.course import Course
from mrcnn_plus.training.devices import Devices, devices_of
from mrcnn_plus.training.fitting import Inputs
from mrcnn_plus.training.model import make_training_model
from mrcnn_plus.training.stages import Stage
from mrcnn_plus.verbose import log
from mrcnn_plus.weights import checkpoints, pretrained

logger = logging.getLogger(__name__)

MODES = ("training", "inference")


class MaskRCNN:
    """Mask R-CNN for one configuration. compat: MaskRCNN, with the same methods and attributes.

    mode: 'training' or 'inference'. A model made for training can detect as well, with the weights it has then.
    config: an instance of a `Config` subclass, or any object with the settings as attributes.
    model_dir: folder under which every run gets its log folder.

    keras_model is the Keras model of the mode; epoch, the epochs trained so far; log_dir, the folder of this run.
    """

    # Here, because subclasses may have an __init__ of their own that does not call this one.
    _anchors_of_settings = _initial_fingerprint = None

    def __init__(self, mode, config, model_dir):
        config = as_config(config)
        if isinstance(config, type):
            raise ConfigError(
                f"config: expected an instance, received the class {config.__name__}. Write {config.__name__}()."
            )
        check_config(config, mode)
        if not isinstance(model_dir, str | os.PathLike):
            raise ConfigError(
                f"model_dir: expected the folder for logs and checkpoints, received: model_dir={model_dir!r}. Give a "
                "path such as 'logs'; the folder is made when training starts."
            )
        self.mode = mode
        self.config = config
        self.model_dir = model_dir
        self.set_log_dir()
        # Here and in `build`, for subclasses have one or the other of their own.
        with _devices(mode, config).building():
            self.keras_model = self.build(mode=mode, config=config)
        self._initial_fingerprint = _fingerprint(self.keras_model)

    # ---- building ------------------------------------------------------------------------------------------------

    def build(self, mode, config):
        """Make a network with new weights and return its Keras model of that mode.

        The model of the other mode, made when it is needed, has the same layers.
        """
        if mode not in MODES:
            raise ConfigError(f"mode: expected 'training' or 'inference', received: mode={mode!r}.")
        if config.SEED is not None:
            keras.utils.set_random_seed(config.SEED)
        with _devices(mode, config).building():
            network = Network(config)
            return make_training_model(network, config) if mode == "training" else detection_model(network, config)

    @property
    def detection_model(self):
        """The Keras model that detects: `keras_model` in inference mode, else a second graph of the same layers.

        If settings of detection (`DETECTION_MIN_CONFIDENCE`, ...) have changed since it was made, it is made anew for
        them, and `keras_model` in inference mode with it. Raises ConfigError if settings of the layers have changed.
        """
        network = getattr(self.keras_model, "network", None)
        if network is None and self.mode == "training":
            raise ConfigError(
                "detect: expected a keras_model made by MaskRCNN, received one that was set by the program, which has "
                "no graph for detection. Build a MaskRCNN with mode='inference', and load the weights into it."
            )
        if network is None:
            return self.keras_model
        network.settings.require_unchanged(self.config, "detect")
        model = detection_model(network, self.config)
        if isinstance(self.keras_model, DetectionModel):
            self.keras_model = model
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
        self._course.weights_loaded(filepath, report)
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
        *,
        lint=None,
        resume=False,
    ):
        """Train layers of the model.

        train_dataset, val_dataset: prepared `Dataset` objects; val_dataset may be None.
        learning_rate: a number or a Keras learning rate schedule.
        epochs: the epoch to stop after, counted from the beginning of all training, so a second call with the
            same number trains nothing.
        layers: 'heads' (everything but the backbone), '3+', '4+', '5+' (backbone stages from there on, and the heads),
            'all', or a regular expression of layer names.
        augmentation: an imgaug augmenter, an Albumentations transform, Keras layers for image augmentation, or a
            function `(image, masks) -> (image, masks)`.
        custom_callbacks: further Keras callbacks. They run when the checkpoint of an epoch is written, and before its
            logs are: what they put into `logs` stands in losses.csv. Resuming does not bring back what they count.
        no_augmentation_sources: sources of images not to augment.
        lint: what becomes of what the linter finds in settings, data, augmentation and this call. "error" stops for
            errors and logs warnings, "warn" logs both, "off" leaves the linter out. None is "error", or what the
            environment variable MRCNN_PLUS_LINT says; `mrcnn-plus run` sets it to "warn".
        resume: go on where the checkpoint given to `load_weights`, or else the newest one of this configuration's
            name, was written: same weights, optimizer, stage, epoch and random numbers, so that the result is that of
            a run without interruption. A program may pass True in all its calls: what is trained already is passed
            over, and without a checkpoint training starts at its beginning.
        """
        inputs = Inputs(train_dataset, val_dataset, augmentation, custom_callbacks, no_augmentation_sources, lint)
        self._course.train(Stage(layers, epochs, learning_rate), inputs, resume=resume)

    def train_stages(
        self,
        train_dataset,
        val_dataset,
        stages=None,
        augmentation=None,
        custom_callbacks=None,
        no_augmentation_sources=None,
        *,
        lint=None,
        resume=False,
    ):
        """Train several stages, one after the other. stages: a list of `Stage`; None takes `TRAIN_STAGES`.

        The other arguments are those of `train`. With resume=True training goes on in the stage where it was
        interrupted.
        """
        inputs = Inputs(train_dataset, val_dataset, augmentation, custom_callbacks, no_augmentation_sources, lint)
        self._course.train_stages(stages, inputs, resume=resume)

    @functools.cached_property
    def _course(self):
        return Course(self, make_watcher=make_watcher, write_report=report_at_the_end)

    def _has_pretrained_weights(self):
        """Whether weights were loaded, or trained before; None for a backbone that may have loaded its own."""
        if self.epoch or self._initial_fingerprint is None:
            return True
        if _fingerprint(self.keras_model) != self._initial_fingerprint:
            return True
        return None if callable(self.config.BACKBONE) else False

    def compile(self, learning_rate, momentum):
        """Prepare the training step with a new optimizer; `train` calls it for every stage.

        Raises ConfigError if settings that the network was built from have changed since.
        """
        require_eager_mode("train")
        network = getattr(self.keras_model, "network", None)
        if network is not None:
            for settings in filter(None, (network.settings, network.training_settings)):
                settings.require_unchanged(self.config, "train")
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

    def detect(self, images, verbose=0, *, allow_untrained=False, return_masks="full"):
        """Find the instances in images.

        images: a list of any number of arrays `[height, width, channels]` of any sizes, RGB uint8.
        allow_untrained: detect also with a network of which nothing was loaded or trained.
        return_masks: "full"; or, for many instances in large images, "crop": a list with what lies in each box, bool
            `[y2 - y1, x2 - x1]`; or "rle": a list of COCO's run lengths, `{"size": [height, width], "counts": bytes}`.

        Returns a list with a dict for each image: 'rois' int32 `[N, (y1, x1, y2, x2)]` pixels, 'class_ids' int32 `[N]`,
        'scores' float32 `[N]`, 'masks' bool `[height, width, N]`.
        """
        self._check_trained(allow_untrained)
        possible = ("full",) if self._unmolds_by_itself() else detection_outputs.MASK_FORMS
        if return_masks not in possible:
            raise ConfigError(
                f"detect: expected return_masks to be one of {possible}, received: return_masks={return_masks!r}."
            )
        images = detection_inputs.as_images(images, self.config.IMAGE_CHANNEL_COUNT, place="detect")
        if verbose:
            log(f"Processing {len(images)} images")
            for image in images:
                log("image", image)
        results, waiting, full = [None] * len(images), {}, set()
        for index, image in enumerate(images):
            molded = self.mold_inputs([image])
            if self.config.DETECTION_CROP_PADDING:
                molded = detection_inputs.crop_padding(*molded)
            shape = molded[0].shape
            waiting.setdefault(shape, []).append((index, image.shape, molded))
            if len(waiting[shape]) == self.config.BATCH_SIZE:
                full.add(shape)
                self._detect_batch(waiting.pop(shape), results, verbose, return_masks)
        for shape, batch in waiting.items():
            self._detect_batch(batch, results, verbose, return_masks, fill_up=shape in full)
        return results

    def _detect_batch(self, batch, results, verbose, return_masks, *, fill_up=False):
        """Detect in images that mold to one size, given as `(index, original shape, molded inputs)`, into `results`."""
        molded_images, metas, windows = (np.concatenate([molded[part] for _, _, molded in batch]) for part in range(3))
        unmold = self._predict(molded_images, metas, verbose, fill_up=fill_up)
        for row, (index, original_shape, _) in enumerate(batch):
            results[index] = unmold(row, original_shape, windows[row], return_masks)

    def detect_molded(self, molded_images, image_metas, verbose=0):
        """As `detect`, for images `[B, H, W, channels]` that are molded already; results are in molded pixels."""
        self._check_trained(False)
        molded_images, image_metas = self._as_molded(molded_images, image_metas, "detect_molded")
        unmold = self._predict(molded_images, image_metas, verbose)
        window = np.array([0, 0, *molded_images.shape[1:3]])
        return [unmold(row, molded_images.shape[1:], window, "full") for row in range(len(molded_images))]

    def mold_inputs(self, images):
        """Molded images `[B, H, W, channels]`, metas `[B, 12 + C]`, windows `[B, 4]`; all must mold to one size."""
        config, place = self.config, "mold_inputs"
        molded = detection_inputs.mold_images(
            detection_inputs.as_images(images, config.IMAGE_CHANNEL_COUNT, place=place),
            resize=detection_resize_settings(config),
            mean_pixel=config.MEAN_PIXEL,
            num_classes=config.NUM_CLASSES,
        )
        return detection_inputs.stack_molded(molded, place=place)

    def unmold_detections(self, detections, mrcnn_mask, original_image_shape, image_shape, window):
        """Boxes, class ids, scores and masks of one image in its own pixels; see `inference.outputs`."""
        return detection_outputs.unmold_detections(detections, mrcnn_mask, original_image_shape, image_shape, window)

    def get_anchors(self, image_shape):
        """Anchors `[A, 4]`, normalized, for a molded image of this shape. `anchors` then holds them in pixels."""
        settings, anchors = self._anchors_of_settings or (None, None)
        if anchors is None or settings.changes(self.config):
            settings = SettingsRecord(self.config)
            anchors = anchor_cache(settings)
            self._anchors_of_settings = settings, anchors  # at once, for other threads
        self.anchors = anchors.pixels(image_shape)
        return anchors.normalized(image_shape)

    def _predict(self, molded_images, image_metas, verbose=0, *, fill_up=False):
        """Run the network. Returns a function `(row, original shape, window, form of the masks) -> result` of an image.

        fill_up: to BATCH_SIZE, where a graph was compiled for that.
        """
        require_eager_mode("detect")
        model, shape, count = self.detection_model, molded_images.shape[1:], len(molded_images)
        detector = None if model.network is None or self._unmolds_by_itself() else model.detector
        fill_up = fill_up and (detector is None or detector.fills_batches)
        missing = max(self.config.BATCH_SIZE - count, 0) if fill_up else 0
        rows = np.concatenate([np.arange(count), np.zeros(missing, int)])
        anchors = self.get_anchors(shape)
        anchors = np.broadcast_to(anchors, (len(rows), *anchors.shape))
        if verbose:
            log("molded_images", molded_images)
            log("image_metas", image_metas)
            log("anchors", anchors)
        inputs = [molded_images[rows], image_metas[rows].astype(np.float32), anchors]
        if detector is None:
            outputs = [np.asarray(output) for output in model.predict_on_batch(inputs)]
            return lambda row, original_shape, window, form: _result(
                *self.unmold_detections(outputs[0][row], outputs[3][row], original_shape, shape, window)
            )
        detections, masks = detector(*inputs)
        return lambda row, original_shape, window, form: _result(
            *detection_outputs.unmold_instances(detections[row], masks[row], original_shape, shape, window, form=form)
        )

    def _unmolds_by_itself(self):
        """Whether the program has its own `unmold_detections`, which wants the masks of all classes."""
        own = vars(self).get("unmold_detections") or type(self).unmold_detections
        return own is not MaskRCNN.unmold_detections

    def _as_molded(self, molded_images, image_metas, place):
        channels, num_classes = self.config.IMAGE_CHANNEL_COUNT, self.config.NUM_CLASSES
        return detection_inputs.as_molded(
            molded_images, image_metas, channels=channels, num_classes=num_classes, place=place
        )

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
            molded_images, image_metas = self._as_molded(images, image_metas, "run_graph")
        anchors = self.get_anchors(molded_images.shape[1:])
        anchors = np.broadcast_to(anchors, (len(molded_images), *anchors.shape))
        values = inspection.run(
            self.detection_model, outputs, [molded_images, np.asarray(image_metas, np.float32), anchors]
        )
        for name, value in values.items():
            log(name, value)
        return values


def _result(rois, class_ids, scores, masks):
    return {"rois": rois, "class_ids": class_ids, "scores": scores, "masks": masks}


def _devices(mode, config):
    """The devices that share the work; detection takes one."""
    return devices_of(config) if mode == "training" else Devices()


def _fingerprint(model):
    """Numbers that change as soon as any kernel of the model does."""
    kernels = [weight for weight in model.weights if weight.name == "kernel"]
    return fingerprint(kernels).tolist()
