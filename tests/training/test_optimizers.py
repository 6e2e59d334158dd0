"""Optimizers by name, by object and by function."""

import keras
import numpy as np
import pytest
from keras.optimizers.schedules import CosineDecay

from mrcnn_plus.errors import ConfigError
from mrcnn_plus.training.optimizers import (
    NORM_NAMES,
    GuardedOptimizer,
    averages_weights,
    build_optimizer,
    by_part,
    decays_weights,
    schedule_of,
)


def test_sgd_with_momentum_and_clipping_is_the_default_of_matterport():
    optimizer = build_optimizer("SGD", 0.002, momentum=0.8, clip_norm=3.0)
    assert isinstance(optimizer, keras.optimizers.SGD)
    assert float(optimizer.learning_rate) == pytest.approx(0.002)
    assert (optimizer.momentum, optimizer.clipnorm, optimizer.weight_decay) == (0.8, 3.0, None)
    assert not decays_weights(optimizer)


@pytest.mark.parametrize(("name", "kind"), [("adam", "Adam"), ("ADAMW", "AdamW"), ("sgd", "SGD")])
def test_names_are_found_in_any_case(name, kind):
    assert isinstance(build_optimizer(name, 0.1), getattr(keras.optimizers, kind))


def test_no_clipping_without_a_norm():
    assert build_optimizer("Adam", 0.1, clip_norm=None).clipnorm is None


def test_adamw_decays_kernels_but_no_biases_and_no_normalization():
    optimizer = build_optimizer("AdamW", 0.1, weight_decay=0.5)
    assert decays_weights(optimizer)
    variables = [keras.Variable(np.ones(2), name=name) for name in ("kernel", "bias", "gamma", "beta")]
    optimizer.build(variables)
    optimizer.apply([np.zeros(2, "float32")] * 4)
    values = [float(np.asarray(variable)[0]) for variable in variables]
    assert values == pytest.approx([1 - 0.1 * 0.5, 1, 1, 1])


@pytest.mark.parametrize("first_rate", [0.5, CosineDecay(0.5, 10)], ids=["number", "schedule"])
@pytest.mark.parametrize("rate", [0.01, CosineDecay(0.01, 10)], ids=["number", "schedule"])
def test_an_optimizer_object_is_copied_with_the_rate_of_the_call(first_rate, rate):
    given = keras.optimizers.RMSprop(first_rate, rho=0.77, clipvalue=2.0)
    variable = keras.Variable(np.ones(2))
    given.build([variable])
    built = build_optimizer(given, rate)
    assert isinstance(built, keras.optimizers.RMSprop) and built is not given
    assert (built.rho, built.clipvalue) == (0.77, 2.0)
    assert float(built.learning_rate) == pytest.approx(0.01)
    assert not built.built, "no state of an earlier stage"
    assert float(given.learning_rate) == pytest.approx(0.5), "the given one is as before"


def test_a_function_makes_the_optimizer_from_the_rate():
    optimizer = build_optimizer(lambda rate: keras.optimizers.Adagrad(2 * rate), 0.01)
    assert isinstance(optimizer, keras.optimizers.Adagrad) and float(optimizer.learning_rate) == pytest.approx(0.02)


@pytest.mark.parametrize("optimizer", ["Adamax", None, 3])
def test_anything_else_lists_what_is_possible(optimizer):
    with pytest.raises(ConfigError, match=rf"OPTIMIZER.*'SGD', 'Adam', 'AdamW'.*received: OPTIMIZER={optimizer!r}"):
        build_optimizer(optimizer, 0.1)


# ---- clipping, accumulation, averages ----


def step(optimizer, gradients, values=1.0, names=("conv1/kernel", "mrcnn_mask/kernel")):
    """One update of variables that hold `values`; returns what they hold then."""
    variables = [Named(name, np.full(np.shape(g), values, "float32")) for name, g in zip(names, gradients, strict=True)]
    optimizer.build(variables)
    update(optimizer, gradients, variables)
    return [keras.ops.convert_to_numpy(variable) for variable in variables]


def update(optimizer, gradients, variables):
    """One update, in the way in which `fit` does it on this backend."""
    gradients = [keras.ops.convert_to_tensor(np.asarray(gradient, "float32")) for gradient in gradients]
    if keras.backend.backend() != "jax":
        optimizer.apply(gradients, variables)
        return
    state = [variable.value for variable in optimizer.variables]
    moved, state = optimizer.stateless_apply(state, gradients, [variable.value for variable in variables])
    for variable, value in zip([*variables, *optimizer.variables], [*moved, *state], strict=True):
        variable.assign(value)


class Named(keras.Variable):
    """A variable with the path of one in a layer."""

    def __init__(self, path, value):
        layer, name = path.rsplit("/", 1)
        with keras.name_scope(layer):
            super().__init__(value, name=name)


def test_clipping_by_variable_and_by_the_norm_of_all():
    gradients = [[3.0, 4.0], [0.6, 0.8]]  # norms 5 and 1
    first, second = step(build_optimizer("SGD", 1.0, momentum=0.0, clip_norm=2.0), gradients)
    assert [*first, *second] == pytest.approx([1 - 1.2, 1 - 1.6, 1 - 0.6, 1 - 0.8])
    first, second = step(build_optimizer("SGD", 1.0, momentum=0.0, clip_norm=2.0, clip_by="global"), gradients)
    scale = 2.0 / np.sqrt(26.0)
    assert [*first, *second] == pytest.approx([1 - 3 * scale, 1 - 4 * scale, 1 - 0.6 * scale, 1 - 0.8 * scale])


def test_accumulated_steps_make_one_update_with_their_mean():
    optimizer = build_optimizer("SGD", 1.0, momentum=0.0, clip_norm=None, accumulation_steps=2)
    variable = keras.Variable(np.zeros(1, "float32"))
    optimizer.build([variable])
    found = []
    for gradient in (1.0, 3.0, 5.0):
        update(optimizer, [[gradient]], [variable])
        found.append(float(keras.ops.convert_to_numpy(variable)[0]))
    assert found == pytest.approx([0.0, -2.0, -2.0])


def test_settings_of_the_stage_reach_objects_and_functions_too():
    for given in (keras.optimizers.RMSprop(0.1), keras.optimizers.RMSprop):
        optimizer = build_optimizer(given, 0.01, accumulation_steps=4, ema_momentum=0.9)
        assert (optimizer.gradient_accumulation_steps, optimizer.use_ema, optimizer.ema_momentum) == (4, True, 0.9)


@pytest.mark.parametrize(
    ("argument", "value", "setting"),
    [
        ("clip_by", "value", "GRADIENT_CLIP_BY"),
        ("accumulation_steps", 0, "GRADIENT_ACCUMULATION_STEPS"),
        ("accumulation_steps", 1.5, "GRADIENT_ACCUMULATION_STEPS"),
        ("ema_momentum", 1.0, "EMA_MOMENTUM"),
        ("ema_momentum", True, "EMA_MOMENTUM"),
    ],
)
def test_values_that_cannot_be_are_named(argument, value, setting):
    with pytest.raises(ConfigError, match=f"{setting}: expected .*{value}"):
        build_optimizer("SGD", 0.1, **{argument: value})


# ---- learning rates by part ----


@pytest.mark.parametrize("rate", [0.5, CosineDecay(0.5, 1000)], ids=["number", "schedule"])
def test_each_part_moves_with_its_own_rate(rate):
    optimizer = by_part(build_optimizer("SGD", rate, momentum=0.9, clip_norm=None), {"backbone": 0.1, "heads": 2.0})
    backbone, mask_head, fpn = step(
        optimizer, [[1.0], [1.0], [1.0]], names=("conv1/kernel", "mrcnn_mask/kernel", "fpn_p2/kernel")
    )
    assert [*backbone, *mask_head, *fpn] == pytest.approx([1 - 0.05, 1 - 1.0, 1 - 0.5])


def test_adam_moves_by_the_rate_of_the_part_whatever_the_size_of_the_gradient():
    optimizer = by_part(build_optimizer("Adam", 0.01, clip_norm=None), {"backbone": 0.1})
    backbone, mask_head = step(optimizer, [[100.0], [1e-3]])
    assert [*backbone, *mask_head] == pytest.approx([1 - 0.001, 1 - 0.01], rel=1e-4)


def test_decoupled_decay_follows_the_rate_of_the_part_and_leaves_out_biases():
    optimizer = by_part(build_optimizer("AdamW", 0.1, weight_decay=0.5), {"backbone": 0.1})
    names = ("conv1/kernel", "mrcnn_mask/kernel", "mrcnn_mask/bias", "bn_conv1/gamma")
    values = step(optimizer, [[0.0]] * 4, names=names)
    assert np.concatenate(values) == pytest.approx([1 - 0.1 * 0.1 * 0.5, 1 - 0.1 * 0.5, 1.0, 1.0])
    assert float(optimizer.learning_rate) == pytest.approx(0.1), "the rate itself is as before"


def test_the_norm_of_all_gradients_is_clipped_before_rates_by_part():
    optimizer = by_part(build_optimizer("SGD", 1.0, momentum=0.0, clip_norm=1.0, clip_by="global"), {"backbone": 0.1})
    backbone, mask_head = step(optimizer, [[3.0], [4.0]])
    assert [*backbone, *mask_head] == pytest.approx([1 - 0.06, 1 - 0.8])


def test_an_optimizer_by_part_survives_serialization():
    optimizer = by_part(build_optimizer("SGD", 0.5, momentum=0.7), {"backbone": 0.1})
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert (copy.multipliers, copy.momentum, type(copy)) == ({"backbone": 0.1}, 0.7, type(optimizer))


def test_rates_by_part_of_one_leave_the_numbers_of_every_optimizer():
    """Nadam moves a number of its own at every update, however many parts there are."""
    plain, steered = keras.optimizers.Nadam(0.1), by_part(keras.optimizers.Nadam(0.1), {"heads": 1 + 1e-9})
    variables = [Named("conv1/kernel", np.ones(1, "float32")), Named("mrcnn_mask/kernel", np.ones(1, "float32"))]
    found = []
    for optimizer in (plain, steered):
        for variable in variables:
            variable.assign(np.ones(1, "float32"))
        optimizer.build(variables)
        for _ in range(3):
            update(optimizer, [[1.0], [1.0]], variables)
        found.append([float(keras.ops.convert_to_numpy(variable)[0]) for variable in variables])
    assert found[0] == pytest.approx(found[1], abs=1e-7)


def test_what_is_excluded_from_decay_stays_excluded_in_a_copy():
    given = keras.optimizers.AdamW(0.1, weight_decay=0.5)
    given.exclude_from_weight_decay(var_names=["bias"])
    kernel, bias = step(build_optimizer(given, 0.1), [[0.0], [0.0]], names=("conv1/kernel", "conv1/bias"))
    assert [*kernel, *bias] == pytest.approx([1 - 0.1 * 0.5, 1.0])


def test_a_schedule_of_a_class_that_keras_does_not_know_is_taken_as_it_is():
    class Halved(keras.optimizers.schedules.LearningRateSchedule):
        def __call__(self, step):
            return 0.5

        def get_config(self):
            return {}

    schedule = Halved()
    optimizer = by_part(build_optimizer(keras.optimizers.SGD, schedule, ema_momentum=0.9), {"rpn": 2.0})
    assert schedule_of(optimizer) is schedule and averages_weights(optimizer)


def test_steering_twice_makes_one_class():
    assert type(by_part(keras.optimizers.SGD(0.1), {})) is type(by_part(keras.optimizers.SGD(0.1), {"rpn": 2.0}))


# ---- the guard ----


def guarded(**scale):
    return GuardedOptimizer(
        keras.optimizers.SGD(1.0), **(scale or {"initial_scale": 1.0, "dynamic_growth_steps": 10**9})
    )


def norms(optimizer):
    last, total, largest = keras.ops.convert_to_numpy(optimizer.gradient_norms)
    return [dict(zip(NORM_NAMES, row.tolist(), strict=True)) for row in (last, total, largest)]


def test_gradient_norms_are_measured_by_part():
    optimizer = guarded()
    step(optimizer, [[3.0, 4.0], [12.0]])
    last, total, largest = norms(optimizer)
    assert last == total == largest
    assert (last["gradient_norm"], last["gradient_norm_backbone"], last["gradient_norm_mask_head"]) == (13.0, 5.0, 12.0)
    assert last["gradient_norm_rpn"] == 0.0


def test_sums_and_largest_norms_run_until_they_are_reset():
    optimizer, variable = guarded(), Named("conv1/kernel", np.zeros(1, "float32"))
    optimizer.build([variable])
    for gradient in (2.0, 5.0, 1.0):
        update(optimizer, [[gradient]], [variable])
    last, total, largest = norms(optimizer)
    assert [entry["gradient_norm"] for entry in (last, total, largest)] == [1.0, 8.0, 5.0]
    optimizer.reset_norms()
    assert not keras.ops.convert_to_numpy(optimizer.gradient_norms).any()


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_gradient_that_is_not_finite_moves_nothing_and_can_be_seen(bad):
    optimizer = guarded()
    values = step(optimizer, [[1.0, bad], [1.0]])
    assert [*values[0], *values[1]] == [1.0, 1.0, 1.0]
    last, total, largest = norms(optimizer)
    assert not np.isfinite(last["gradient_norm"]) and not np.isfinite(last["gradient_norm_backbone"])
    assert total["gradient_norm"] == largest["gradient_norm"] == 0.0, "the means of an epoch stay finite"
    assert int(optimizer.iterations) == 0


def test_norms_are_those_before_the_loss_was_scaled_for_float16():
    optimizer = guarded(initial_scale=1024.0)
    values = step(optimizer, [[3.0 * 1024, 4.0 * 1024], [0.0]])
    assert norms(optimizer)[0]["gradient_norm"] == pytest.approx(5.0)
    assert values[0] == pytest.approx([-2.0, -3.0])


def test_a_guarded_optimizer_survives_serialization():
    copy = keras.optimizers.deserialize(keras.optimizers.serialize(guarded()))
    assert type(copy) is GuardedOptimizer and copy.initial_scale == 1.0


# ---- what Keras does not promise ----


def test_the_private_names_of_keras_that_are_used_are_still_there():
    """A new Keras may drop them without a word: then this says which, and ARCHITECTURE.md where they are used."""
    optimizer = keras.optimizers.AdamW(0.1)
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    wanted = {
        optimizer: (
            *("_learning_rate", "_iterations", "_trainable_variables", "_get_variable_index", "_apply_weight_decay"),
            *("_get_current_learning_rate", "_exclude_from_weight_decay"),
        ),
        model: ("_compute_loss", "_call_has_training_arg"),
    }
    if keras.backend.backend() == "tensorflow":
        wanted[optimizer] += ("_all_reduce_sum_gradients", "_distribution_strategy")
        wanted[model] += ("_maybe_symbolic_build",)
    if keras.backend.backend() == "jax":
        wanted[model] += ("_jax_state_synced",)
    for owner, names in wanted.items():
        gone = [name for name in names if not hasattr(owner, name)]
        assert not gone, f"{type(owner).__name__} of this Keras has no {gone}"
