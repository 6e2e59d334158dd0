"""The table of class weights: hand-computed numbers, a mean of 1, and what a wrong setting is told."""

import csv

import numpy as np
import pytest

from mrcnn_plus.errors import ConfigError
from mrcnn_plus.training.class_weights import class_weight_table, format_table, write_table

NAMES = ["BG", "cell", "spore", "hypha"]
COUNTS = [0, 1000, 50, 10]


def weights(setting, instances=COUNTS, names=NAMES, **options):
    return [row.weight for row in class_weight_table(setting, names, instances, **options)]


def mean_over_instances(found, instances=COUNTS):
    return np.dot(found[1:], instances[1:]) / np.sum(instances[1:])


def test_no_setting_gives_no_table():
    assert class_weight_table(None, NAMES, COUNTS) is None


def test_balanced_gives_every_class_the_same_share():
    """1060 instances, 3 classes: 1060 / (3 n)."""
    found = weights("balanced")
    np.testing.assert_allclose(found, [1, 1060 / 3000, 1060 / 150, 1060 / 30])
    assert mean_over_instances(found) == pytest.approx(1)


def test_effective_is_the_formula_of_the_paper_with_mean_one():
    raw = [0.1 / (1 - 0.9**n) for n in COUNTS[1:]]
    scale = 1060 / np.dot(raw, COUNTS[1:])
    found = weights("effective", beta=0.9)
    np.testing.assert_allclose(found, [1, *(scale * weight for weight in raw)])
    assert mean_over_instances(found) == pytest.approx(1)


def test_effective_lies_between_no_weights_and_balanced():
    np.testing.assert_allclose(weights("effective", beta=0.0), np.ones(4))
    np.testing.assert_allclose(weights("effective", beta=1 - 1e-9), weights("balanced"), rtol=1e-5)
    ratios = [found[3] / found[1] for found in (weights("effective", beta=b) for b in (0.9, 0.99, 0.999, 0.9999))]
    assert ratios == sorted(ratios) and ratios[0] > 1 and ratios[-1] < 100


def test_given_weights_keep_their_ratios_and_get_mean_one():
    found = weights({"cell": 1, 2: 4.0, "hypha": 10})
    np.testing.assert_allclose(np.divide(found[1:], found[1]), [1, 4, 10])
    assert mean_over_instances(found) == pytest.approx(1)
    assert found[0] == 1


@pytest.mark.parametrize("key", ["BG", 0, np.int64(0)])
def test_the_background_keeps_the_weight_that_it_is_given(key):
    found = weights({key: 0.25, "*": 3})
    np.testing.assert_allclose(found, [0.25, 1, 1, 1])


def test_a_star_stands_for_all_classes_that_are_not_named():
    assert weights({"hypha": 8, "*": 2}) == weights({"cell": 2, "spore": 2, "hypha": 8})


def test_two_classes_of_one_name_share_a_weight_and_ids_tell_them_apart():
    names = ["BG", "car", "car"]
    np.testing.assert_allclose(weights({"car": 5}, [0, 1, 1], names), [1, 1, 1])
    np.testing.assert_allclose(weights({1: 1, 2: 3}, [0, 1, 1], names), [1, 0.5, 1.5])


def test_a_class_without_instances_counts_once_and_moves_no_mean():
    counts = [0, 30, 10, 0]
    for mode in ("balanced", "effective"):
        found = weights(mode, counts)
        assert found[3] == 1 and mean_over_instances(found, counts) == pytest.approx(1)
    np.testing.assert_allclose(weights("balanced", counts)[1:3], [40 / 60, 40 / 20])


def test_without_any_instance_weights_are_finite():
    assert weights("balanced", [0, 0, 0, 0]) == [1, 1, 1, 1]
    assert weights({"*": 2, "hypha": 4}, [0, 0, 0, 0]) == [1, 2, 2, 4]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"cel": 2, "*": 1}, "key 'cel'.*Nearest: 'cell'"),
        ({"SPORE": 2, "*": 1}, "'cell', 'spore'.*key 'SPORE'.*Nearest: 'spore'"),
        ({"submarine": 2, "*": 1}, "key 'submarine'.$"),
        ({4: 2, "*": 1}, "ids from 0 to 3, received the key 4"),
        ({-1: 2, "*": 1}, "received the key -1"),
        ({True: 2, "*": 1}, "received the key True"),
        ({1.5: 2, "*": 1}, "received the key 1.5"),
        ({"cell": 0, "*": 1}, r"above 0 for class 'cell'.*CLASS_WEIGHTS\['cell'\]=0"),
        ({"cell": -2, "*": 1}, "-2"),
        ({"cell": float("nan"), "*": 1}, "nan"),
        ({"cell": float("inf"), "*": 1}, "inf"),
        ({"cell": "2", "*": 1}, "'2'"),
        ({"cell": 1, "*": 0}, r"'\*'"),
        ({"cell": 1}, r"none for 2 of 3: 'spore', 'hypha'. Add them, or '\*'"),
        ({}, "none for 3 of 3"),
        ({"cell": 1, 1: 2, "*": 1}, "both 1 and 2"),
        ("balance", "CLASS_WEIGHTS='balance'"),
        ([1, 2, 3, 4], "a list is not taken"),
        (3.0, "CLASS_WEIGHTS=3.0"),
    ],
)
def test_a_setting_that_does_not_fit_is_an_error_that_says_why(setting, message):
    with pytest.raises(ConfigError, match=message):
        class_weight_table(setting, NAMES, COUNTS)


@pytest.mark.parametrize("beta", [1, 1.5, -0.1, "0.9", None])
def test_a_beta_outside_zero_to_one_is_an_error(beta):
    with pytest.raises(ConfigError, match="CLASS_WEIGHTS_BETA"):
        class_weight_table("effective", NAMES, COUNTS, beta=beta)


def test_the_setting_is_not_changed():
    setting = {"cell": 1, "*": 2}
    class_weight_table(setting, NAMES, COUNTS)
    assert setting == {"cell": 1, "*": 2}


def test_the_table_reads_as_text_and_is_stored_with_the_run(tmp_path):
    table = class_weight_table({"cell": 1, "spore": 2, "hypha": 4, "BG": 0.5}, NAMES, COUNTS)
    lines = format_table(table).splitlines()
    assert lines[0].split() == ["id", "class", "instances", "weight"]
    assert lines[3].split()[:3] == ["2", "spore", "50"]
    path = write_table(table, tmp_path / "run")
    with open(path, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [(row["class_id"], row["name"], row["instances"]) for row in rows] == [
        ("0", "BG", "0"),
        ("1", "cell", "1000"),
        ("2", "spore", "50"),
        ("3", "hypha", "10"),
    ]
    assert [float(row["weight"]) for row in rows] == [row.weight for row in table]
