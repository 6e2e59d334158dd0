"""Every option of the losses against a slow version in NumPy, from settings, and in training steps."""

import json

import keras
import numpy as np
import pytest
from keras import ops

from mrcnn_plus.constants import LOSS_DIVISORS, LOSS_NAMES
from mrcnn_plus.errors import ConfigError
from mrcnn_plus.mask_rcnn import MaskRCNN
from mrcnn_plus.training.config_checks import check_config
from mrcnn_plus.training.loss_options import LossOptions
from mrcnn_plus.training.model import TrainingModel
from mrcnn_plus.training.multi_task_loss import compute_losses

from ..support.tiny import Figures, FiveConvolutions, batch_of, step_by_step

WEIGHTS = (0.5, 2.0, 7.0)
EVERYTHING = {
    "class_weights": WEIGHTS,
    "class_weights_losses": ("mrcnn_class_loss", "mrcnn_bbox_loss", "mrcnn_mask_loss"),
    "rpn_positive_weight": 5.0,
    "roi_positive_weight": 3.0,
    "rpn_class_loss": "focal",
    "class_loss": "focal",
    "focal_gamma": 1.5,
    "focal_alpha": 0.4,
    "roi_hard_examples": 4,
    "normalization": {name: choices[-1] for name, choices in LOSS_DIVISORS.items()},
}
CASES = {
    "Matterport's": {},
    "class weights": {"class_weights": WEIGHTS},
    "class weights in boxes": {"class_weights": WEIGHTS, "class_weights_losses": ("mrcnn_bbox_loss",)},
    "positive weights": {"rpn_positive_weight": 5.0, "roi_positive_weight": 3.0},
    "focal": {"rpn_class_loss": "focal", "class_loss": "focal", "focal_alpha": 0.3},
    "focal in the heads only": {"class_loss": "focal"},
    "hard examples by number": {"roi_hard_examples": 3},
    "hard examples by share": {"roi_hard_examples": 0.5},
    "sampled": {"normalization": dict.fromkeys(LOSS_NAMES[:4], "sampled")},
    "positives": {"normalization": dict.fromkeys(LOSS_NAMES, "positives")},
    "everything": EVERYTHING,
}


# ---- the slow version ----


def class_term(class_id, logits, weight, positive_weight, focal):
    """One row."""
    probabilities = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    right = probabilities[class_id]
    loss = -np.log(right)
    if focal:
        gamma, alpha = focal
        loss *= (1 - right) ** gamma
        if alpha is not None:
            loss *= alpha if class_id > 0 else 1 - alpha
    return loss * weight * (positive_weight if class_id > 0 else 1)


def huber(target, prediction):
    return [0.5 * d * d if d < 1 else d - 0.5 for d in np.abs(np.subtract(target, prediction))]


def divided(total, count):
    return total / max(count, 1)


def slow_losses(out, active, options):
    """The five losses, row by row."""
    focal = (options.focal_gamma, options.focal_alpha)
    result = dict.fromkeys(LOSS_NAMES, 0.0)
    count = dict.fromkeys(LOSS_NAMES, 0)
    by = {name: options.normalization.get(name, LOSS_DIVISORS[name][0]) for name in LOSS_NAMES}

    def weight_of(name, class_id):
        return options.class_weights[class_id] if options.class_weights and name in options.class_weights_losses else 1

    for image in range(len(active)):
        for row, label in enumerate(out["target_anchor_labels"][image]):
            if label < 0:
                continue
            anchor = out["target_anchor_indices"][image, row]
            result["rpn_class_loss"] += class_term(
                *(label, out["rpn_class_logits"][image, anchor], 1, options.rpn_positive_weight),
                focal if options.rpn_class_loss == "focal" else None,
            )
            count["rpn_class_loss"] += label == 1 if by["rpn_class_loss"] == "positives" else 1
            boxes = by["rpn_bbox_loss"]
            count["rpn_bbox_loss"] += 1 if boxes == "sampled" else 4 * (label == 1)
            if label == 1:
                result["rpn_bbox_loss"] += sum(
                    huber(out["target_rpn_bbox"][image, row], out["rpn_bbox"][image, anchor])
                )

        rows = []
        for row, class_id in enumerate(out["target_class_ids"][image]):
            logits = out["mrcnn_class_logits"][image, row]
            real = bool(np.any(out["rois"][image, row]))
            counts = active[image, logits.argmax()] > 0
            term = class_term(
                *(class_id, logits, weight_of("mrcnn_class_loss", class_id), options.roi_positive_weight),
                focal if options.class_loss == "focal" else None,
            )
            box = [0.0] * 4
            if class_id > 0:
                box = np.array(huber(out["target_bbox"][image, row], out["mrcnn_bbox"][image, row, class_id]))
                box = box * weight_of("mrcnn_bbox_loss", class_id)
            rows.append((class_id, real, counts, term, box))
        if options.roi_hard_examples is not None:
            number = options.roi_hard_examples
            number = round(number * len(rows)) if isinstance(number, float) else number
            candidates = [row for row in rows if row[1] and row[2]]
            rows = sorted(candidates, key=lambda row: -(row[3] + np.mean(row[4])))[:number]
        for class_id, real, counts, term, box in rows:
            kind = by["mrcnn_class_loss"]
            if counts and (real or kind == "rows"):
                result["mrcnn_class_loss"] += term
                count["mrcnn_class_loss"] += class_id > 0 if kind == "positives" else 1
            result["mrcnn_bbox_loss"] += sum(box)
            count["mrcnn_bbox_loss"] += 4 * (class_id > 0) if by["mrcnn_bbox_loss"] == "positives" else real

        for row, mask in enumerate(out["target_mask"][image]):
            class_id = out["target_class_ids"][image, row]
            if class_id > 0:
                found = np.clip(out["mrcnn_mask"][image, row, ..., class_id], 1e-7, 1 - 1e-7)
                pixels = -(mask * np.log(found) + (1 - mask) * np.log(1 - found))
                result["mrcnn_mask_loss"] += pixels.sum() * weight_of("mrcnn_mask_loss", class_id)
                count["mrcnn_mask_loss"] += mask.size
    return {name: divided(result[name], count[name]) for name in LOSS_NAMES}


B, A, S, R, Q, C = 3, 50, 12, 8, 4, 3


def make_outputs():
    """What a training graph gives for three images, at random, and the active classes.

    Image 0 has padding ROIs, image 2 no object. Class 2 is not active in image 1.
    """
    rng = np.random.default_rng(0)
    outputs = {
        "rpn_class_logits": rng.normal(size=(B, A, 2)),
        "rpn_bbox": rng.normal(size=(B, A, 4)),
        "target_anchor_indices": rng.integers(0, A, (B, S)),
        "target_anchor_labels": np.array([[1] * 4 + [-1] * 2 + [0] * 6, [1] + [-1] * 5 + [0] * 6, [-1] * 6 + [0] * 6]),
        "target_rpn_bbox": rng.normal(size=(B, S, 4)),
        "rois": rng.uniform(0.1, 0.9, (B, R, 4)),
        "target_class_ids": np.array([[1, 2, 1, 0, 0, 0, 0, 0], [2, 2, 0, 0, 0, 0, 0, 0], [0] * 8]),
        "mrcnn_class_logits": rng.normal(size=(B, R, C)),
        "target_bbox": rng.normal(size=(B, R, 4)),
        "mrcnn_bbox": rng.normal(size=(B, R, C, 4)),
        "target_mask": rng.integers(0, 2, (B, Q, 6, 6)),
        "mrcnn_mask": rng.uniform(0.01, 0.99, (B, Q, 6, 6, C)),
    }
    outputs["rois"][0, -2:] = 0
    whole = ("target_anchor_indices", "target_anchor_labels", "target_class_ids")
    active = np.array([[1, 1, 1], [1, 1, 0], [1, 1, 1]], "float32")
    assert (outputs["mrcnn_class_logits"][1].argmax(axis=-1) == 2).any()
    return {name: value.astype("int32" if name in whole else "float32") for name, value in outputs.items()}, active


@pytest.mark.backend
@pytest.mark.parametrize("case", CASES)
def test_every_option_equals_the_slow_version(case):
    arrays, active = make_outputs()
    options = LossOptions(**CASES[case])
    tensors = {name: ops.convert_to_tensor(values) for name, values in arrays.items()}
    found = compute_losses(tensors, active_class_ids=active, options=options)
    expected = slow_losses(arrays, active, options)
    assert all(expected[name] > 0 for name in LOSS_NAMES)
    assert {name: float(found[name]) for name in LOSS_NAMES} == pytest.approx(expected, rel=1e-4)


def test_every_case_but_the_first_changes_a_loss():
    arrays, active = make_outputs()
    plain = slow_losses(arrays, active, LossOptions())
    for case, values in list(CASES.items())[1:]:
        assert slow_losses(arrays, active, LossOptions(**values)) != pytest.approx(plain, rel=0.01), case


# ---- from the settings ----


class Steered(FiveConvolutions):
    """Every setting at another value than the default."""

    CLASS_WEIGHTS = {"square": 1, "disc": 3, "BG": 0.5}
    CLASS_WEIGHTS_LOSSES = ("mrcnn_class_loss", "mrcnn_bbox_loss")
    RPN_POSITIVE_WEIGHT = 5
    ROI_POSITIVE_WEIGHT = 3
    RPN_CLASS_LOSS = "focal"
    CLASS_LOSS = "focal"
    FOCAL_GAMMA = 1
    FOCAL_ALPHA = 0.5
    ROI_HARD_EXAMPLES = 4
    LOSS_NORMALIZATION = {"mrcnn_class_loss": "sampled", "rpn_bbox_loss": "sampled"}
    LOSS_BALANCING = "uncertainty"
    RPN_MIN_SIZE = 2
    SAMPLER = "class_balanced"


def test_the_defaults_of_the_settings_are_matterports_losses():
    assert LossOptions.from_config(FiveConvolutions()) == LossOptions()


def test_every_setting_reaches_its_option():
    assert LossOptions.from_config(Steered()) == LossOptions(
        class_weights_losses=("mrcnn_class_loss", "mrcnn_bbox_loss"),
        rpn_positive_weight=5.0,
        roi_positive_weight=3.0,
        rpn_class_loss="focal",
        class_loss="focal",
        focal_gamma=1.0,
        focal_alpha=0.5,
        roi_hard_examples=4,
        normalization={"mrcnn_class_loss": "sampled", "rpn_bbox_loss": "sampled"},
    )


def test_options_survive_json():
    options = LossOptions(**EVERYTHING)
    assert LossOptions.from_dict(json.loads(json.dumps(options.to_dict()))) == options


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("CLASS_WEIGHTS", "balance", "'balanced', 'effective'"),
        ("CLASS_WEIGHTS", [1, 2, 3], "a dict"),
        ("CLASS_WEIGHTS_BETA", 1.0, "below 1"),
        ("CLASS_WEIGHTS_LOSSES", "mrcnn_class_loss", "a tuple of names"),
        ("CLASS_WEIGHTS_LOSSES", ("rpn_class_loss",), "mrcnn_mask_loss"),
        ("RPN_POSITIVE_WEIGHT", 0, "above 0"),
        ("ROI_POSITIVE_WEIGHT", float("inf"), "above 0"),
        ("ROI_POSITIVE_WEIGHT", None, "above 0"),
        ("RPN_CLASS_LOSS", "bce", "'focal'"),
        ("CLASS_LOSS", True, "'focal'"),
        ("FOCAL_GAMMA", -1, "from 0"),
        ("FOCAL_ALPHA", 1.0, "between 0 and 1"),
        ("ROI_HARD_EXAMPLES", 0, "a whole number"),
        ("ROI_HARD_EXAMPLES", 1.5, "a share"),
        ("ROI_HARD_EXAMPLES", True, "a whole number"),
        ("LOSS_NORMALIZATION", "sampled", "a dict"),
        ("LOSS_NORMALIZATION", {"mrcnn_clas_loss": "rows"}, "Nearest to 'mrcnn_clas_loss': 'mrcnn_class_loss'"),
        ("LOSS_NORMALIZATION", {"mrcnn_bbox_loss": "rows"}, r"\('positives', 'sampled'\) for 'mrcnn_bbox_loss'"),
        ("LOSS_BALANCING", "learnt", "'uncertainty'"),
        ("SAMPLER", "balanced", "'class_balanced'"),
        ("REPEAT_THRESHOLD", 0, "above 0"),
        ("RPN_MIN_SIZE", -1, "a number of pixels, or 0"),
    ],
)
def test_a_value_that_cannot_work_is_refused_before_the_network_is_built(name, value, message):
    config = FiveConvolutions()
    setattr(config, name, value)
    with pytest.raises(ConfigError, match=f"{name}.*: expected .*{message}"):
        check_config(config)


# ---- in training ----


# On JAX compiling all options together takes minutes; each one is compared with the slow version there.
def test_a_training_step_with_every_option_has_finite_losses_that_add_up(tmp_path):
    """Two real steps, compiled where the backend compiles; class weights as `fit` would set them."""
    config = Steered()
    model = MaskRCNN(mode="training", config=config, model_dir=str(tmp_path))
    keras_model = model.keras_model
    batch = batch_of(Figures([2, 0]), config)
    model.compile(0.01, 0.9)
    assert keras_model.loss_balancing == "uncertainty"
    keras_model.loss_options = LossOptions(**{**keras_model.loss_options.to_dict(), "class_weights": WEIGHTS})
    for _ in range(2):
        before = np.array(ops.convert_to_numpy(keras_model.log_variances))
        keras_model.reset_metrics()
        logs = keras_model.train_on_batch(batch, return_dict=True)
        assert all(np.isfinite(logs[name]) and logs[name] >= 0 for name in LOSS_NAMES)
        expected = sum(np.exp(-s) * logs[name] + s / 2 for name, s in zip(LOSS_NAMES, before, strict=True))
        assert logs["loss"] == pytest.approx(expected + logs["l2_loss"], rel=1e-4)
        assert np.all(ops.convert_to_numpy(keras_model.log_variances) != before)
    assert all(np.isfinite(ops.convert_to_numpy(weight)).all() for weight in keras_model.trainable_weights)


@pytest.fixture(scope="module")
def steered_run(tmp_path_factory):
    """One epoch of `train` with every setting; 5 images, of which the fourth alone holds a disc."""
    squares = [[(1, 20, 20, 16), (1, 44, 44, 20)]] * 5
    dataset = Figures([*squares[:3], [(2, 30, 30, 24)], *squares[3:]])
    model = MaskRCNN(mode="training", config=Steered(), model_dir=str(tmp_path_factory.mktemp("runs")))
    logs = {}
    keep = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, values: logs.update(values))
    with step_by_step():
        model.train(dataset, Figures([1]), 0.01, epochs=1, layers="heads", custom_callbacks=[keep])
    return model, logs


def test_train_resolves_the_class_weights_and_stores_the_table(steered_run):
    """10 squares and 1 disc at 1 : 3 with mean 1: 11 / 13 and 33 / 13."""
    model, _ = steered_run
    np.testing.assert_allclose(model.keras_model.loss_options.class_weights, [0.5, 11 / 13, 33 / 13])
    with open(f"{model.log_dir}/class_weights.csv", encoding="utf-8") as file:
        lines = file.read().splitlines()
    assert lines[0] == "class_id,name,instances,weight"
    assert [line.split(",")[:3] for line in lines[1:]] == [["0", "BG", "0"], ["1", "square", "10"], ["2", "disc", "1"]]


def test_train_has_finite_losses_in_training_and_validation(steered_run):
    _, logs = steered_run
    assert all(np.isfinite(logs[prefix + name]) for name in LOSS_NAMES for prefix in ("", "val_"))


def test_the_learnt_weights_are_logged_and_kept_with_the_run(steered_run):
    model, logs = steered_run
    values = ops.convert_to_numpy(model.keras_model.log_variances)
    assert [logs[f"{name}_weight"] for name in LOSS_NAMES] == pytest.approx(np.exp(-values).tolist(), rel=1e-5)
    with open(f"{model.log_dir}/losses.csv", encoding="utf-8") as file:
        assert "mrcnn_mask_loss_weight" in file.readline()


def test_a_resumed_run_takes_up_the_learnt_weights_of_its_epoch(steered_run):
    model, _ = steered_run
    learnt = ops.convert_to_numpy(model.keras_model.log_variances)
    other = MaskRCNN(mode="training", config=Steered(), model_dir=model.model_dir)
    other.load_weights(model.find_last(), by_name=True)
    assert other.epoch == 1 and not ops.convert_to_numpy(other.keras_model.log_variances).any()
    assert learnt.any()
    seen = []
    keep = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, logs: seen.append(ops.convert_to_numpy(other.keras_model.log_variances).copy())
    )
    with step_by_step():
        other.train(Figures([2, 2]), None, 0.01, epochs=2, layers="heads", custom_callbacks=[keep], resume=True)
    np.testing.assert_allclose(seen[0], learnt, rtol=1e-6)


def test_weights_files_hold_nothing_of_the_balancing(steered_run, tmp_path):
    """A file of a balanced run loads into a model without, in full."""
    model, _ = steered_run
    for name in ("x.h5", "x.weights.h5"):
        model.keras_model.save_weights(tmp_path / name)
        plain = MaskRCNN(mode="training", config=FiveConvolutions(), model_dir=str(tmp_path))
        assert plain.keras_model.log_variances is None
        plain.load_weights(str(tmp_path / name), by_name=True)
        kernels = [m.keras_model.get_layer("fpn_p2").kernel for m in (model, plain)]
        np.testing.assert_array_equal(*(ops.convert_to_numpy(kernel) for kernel in kernels))


def test_a_saved_training_model_keeps_its_losses(steered_run, tmp_path):
    model = steered_run[0].keras_model
    model.save(tmp_path / "x.keras")
    loaded = keras.saving.load_model(tmp_path / "x.keras")
    assert isinstance(loaded, TrainingModel)
    assert loaded.loss_options == model.loss_options
    assert loaded.loss_balancing == "uncertainty"
    np.testing.assert_array_equal(*(ops.convert_to_numpy(one.log_variances) for one in (loaded, model)))
    roi = [one.get_layer("ROI").get_config()["min_size"] for one in (loaded, model)]
    assert roi == [2.0, 2.0]


def test_balancing_can_be_switched_off_again(tmp_path):
    """Then the total is that of the fixed weights, and the optimizer does not know the variable."""
    config = Steered()
    model = MaskRCNN(mode="training", config=config, model_dir=str(tmp_path))
    config.LOSS_BALANCING = "fixed"
    with step_by_step():
        model.compile(0.001, 0.9)
        logs = model.keras_model.test_on_batch(batch_of(Figures([2]), config), return_dict=True)
    assert logs["loss"] == pytest.approx(sum(logs[name] for name in LOSS_NAMES) + logs["l2_loss"], rel=1e-4)
    names = {weight.name for weight in model.keras_model.trainable_weights}
    assert "kernel" in names and "loss_log_variances" not in names


def test_a_wrong_name_in_class_weights_is_told_before_the_first_step(tmp_path):
    class Misspelt(FiveConvolutions):
        CLASS_WEIGHTS = {"sqare": 1, "*": 2}

    model = MaskRCNN(mode="training", config=Misspelt(), model_dir=str(tmp_path))
    with pytest.raises(ConfigError, match="'sqare'.*Nearest: 'square'"):
        model.train(Figures([2]), None, 0.01, epochs=1, layers="heads", lint="off")


def test_the_sampler_decides_which_images_are_loaded(tmp_path):
    """One image of six has the disc; with the class-balanced sampler it has every second turn."""

    class Balanced(FiveConvolutions):
        SAMPLER = "class_balanced"
        STEPS_PER_EPOCH = 6

    from mrcnn_plus.training.fitting import _training_sequence
    from mrcnn_plus.training.resuming import StartingPoint

    dataset = Figures([[(1, 30, 30, 20)]] * 5 + [[(2, 30, 30, 20)]])
    config = Balanced()
    sequence = _training_sequence(dataset, config, StartingPoint())
    ids = [batch["input_image_meta"][:, 0] for (batch,) in (sequence[step] for step in range(6))]
    assert (np.concatenate(ids) == 5).sum() == 6
    config.SAMPLER, config.REPEAT_THRESHOLD = "repeat_factor", 1.0
    stream = _training_sequence(dataset, config, StartingPoint()).builder.stream
    np.testing.assert_allclose(stream.repeat_factors[[0, 5]], np.sqrt([6 / 5, 6]), rtol=0.1)
    assert stream.seed == config.SEED
