"""How the learning rate moves within a stage."""

import keras
import numpy as np
import pytest
from keras.optimizers.schedules import CosineDecay, ExponentialDecay

from mrcnn_plus.errors import ConfigError
from mrcnn_plus.training.schedules import WarmUp, learning_rate_of_stage

from ..support.tiny import TinyConfig


def rates(steps, total, **settings):
    """The learning rate at some steps of a stage of `total` steps, from 0.1."""
    config = TinyConfig()
    for name, value in settings.items():
        setattr(config, name, value)
    rate = learning_rate_of_stage(config, 0.1, total)
    return [float(rate(step)) if callable(rate) else rate for step in steps]


def test_without_settings_the_rate_is_a_number_that_callbacks_can_move():
    assert learning_rate_of_stage(TinyConfig(), 0.1, 100) == 0.1


def test_steps_fall_at_their_shares_of_the_stage():
    found = rates([0, 49, 50, 89, 90, 99], 100, LR_SCHEDULE="step", LR_STEPS=(0.5, 0.9), LR_STEP_FACTOR=0.2)
    assert found == pytest.approx([0.1, 0.1, 0.02, 0.02, 0.004, 0.004])


def test_shares_that_meet_in_a_short_stage_are_two_falls_at_once():
    assert rates([0, 1, 2], 3, LR_SCHEDULE="step", LR_STEPS=(0.6, 0.7)) == pytest.approx([0.1, 0.1, 0.001])


def test_a_cosine_falls_to_nothing_at_the_end_of_the_stage():
    assert rates([0, 50, 100], 100, LR_SCHEDULE="cosine") == pytest.approx([0.1, 0.05, 0.0], abs=1e-8)


def test_warm_up_rises_linearly_to_the_rate_that_the_schedule_has_by_then():
    assert rates([0, 1, 3, 4, 50], 100, WARMUP_STEPS=4) == pytest.approx([0.025, 0.05, 0.1, 0.1, 0.1])
    cosine = [float(CosineDecay(0.1, 100)(step)) for step in (1, 50)]
    assert rates([1, 50], 100, WARMUP_STEPS=4, LR_SCHEDULE="cosine") == pytest.approx([cosine[0] / 2, cosine[1]])


def test_schedules_of_keras_and_functions_that_make_them():
    decay = ExponentialDecay(0.3, 10, 0.5)
    assert rates([10], 100, LR_SCHEDULE=decay) == pytest.approx([0.15])
    assert rates([25], 100, LR_SCHEDULE=lambda rate, steps: CosineDecay(rate, steps // 2)) == pytest.approx([0.05])


def test_a_schedule_in_the_call_comes_before_the_setting():
    config = TinyConfig()
    config.LR_SCHEDULE = "cosine"
    decay = ExponentialDecay(0.3, 10, 0.5)
    assert learning_rate_of_stage(config, decay, 100) is decay


@pytest.mark.parametrize("inner", [0.1, CosineDecay(0.1, 100)], ids=["number", "schedule"])
def test_warm_up_survives_serialization(inner):
    first = WarmUp(inner, 7)
    second = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(first))
    assert [float(second(step)) for step in (0, 3, 60)] == [float(first(step)) for step in (0, 3, 60)]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("LR_SCHEDULE", "linear"),
        ("LR_SCHEDULE", 3),
        ("LR_STEPS", (0.9, 0.5)),
        ("LR_STEPS", (0.5, 1.0)),
        ("LR_STEPS", 0.5),
        ("LR_STEP_FACTOR", 1.5),
        ("WARMUP_STEPS", -1),
        ("WARMUP_STEPS", 2.5),
    ],
)
def test_what_is_no_schedule_names_the_setting(setting, value):
    with pytest.raises(ConfigError, match=f"^{setting}: expected"):
        rates([0], 100, **{"LR_SCHEDULE": "step", setting: value})


@pytest.mark.parametrize("rate", [0, -1.0, float("nan"), float("inf"), "0.1", None, True])
def test_a_rate_has_to_be_a_number_above_0(rate):
    with pytest.raises(ConfigError, match="learning_rate: expected a number above 0"):
        learning_rate_of_stage(TinyConfig(), rate, 100)


def test_numbers_of_numpy_are_numbers():
    assert learning_rate_of_stage(TinyConfig(), np.float32(0.5), 100) == 0.5
