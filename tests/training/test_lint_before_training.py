"""`train` asks the linter first: errors stop it, warnings are logged once, the same data are not looked at twice."""

import dataclasses
import time
from types import SimpleNamespace

import numpy as np
import pytest

from mrcnn_plus import lint
from mrcnn_plus.errors import ConfigError, DatasetError
from mrcnn_plus.mask_rcnn import MaskRCNN
from mrcnn_plus.training import fitting, lint_before_training
from mrcnn_plus.training.lint_before_training import check_before_training

from ..support.tiny import Figures, FiveConvolutions, TinyConfig

CALL = {"mode": "training", "learning_rate": 0.001, "epochs": 3, "layers": "all"}


class Counting(Figures):
    """Counts how often images and masks are asked for."""

    calls = 0

    def load_image(self, image_id):
        self.calls += 1
        return super().load_image(image_id)


class Unmasked(Figures):
    """Has one mask fewer than class ids."""

    def load_mask(self, image_id):
        masks, class_ids = super().load_mask(image_id)
        return masks[..., 1:], class_ids


@pytest.fixture(autouse=True)
def nothing_was_logged_before(monkeypatch):
    monkeypatch.setattr(lint_before_training, "_logged", set())


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A model whose `fit` does nothing but count epochs."""

    def count(*args, progress, tell, **kwargs):
        tell(SimpleNamespace(epoch=progress.last_epoch, stage=dataclasses.replace(progress, ended=True)))

    monkeypatch.setattr(fitting, "fit", count)
    return MaskRCNN("training", FiveConvolutions(), str(tmp_path))


def check(train, val=None, action="error", config=None, **call):
    check_before_training(config or TinyConfig(), train, val, run=lint.Run(**{**CALL, **call}), action=action)


def test_clean_data_and_settings_train():
    check(Figures([2] * 4), Figures([2] * 2), pretrained=True)


def test_an_error_in_the_data_stops_training_and_says_how_to_go_on():
    with pytest.raises(DatasetError, match="DAT009(.|\n)*LINT_IGNORE = \\('DAT009'.*lint='warn'"):
        check(Unmasked([2] * 4))


def test_an_error_in_the_settings_is_a_config_error():
    class OneClassMore(TinyConfig):
        NUM_CLASSES = 4

    with pytest.raises(ConfigError, match="CFG021"):
        check(Figures([2] * 4), config=OneClassMore())


def test_with_warn_errors_are_logged_and_do_not_stop(caplog):
    check(Unmasked([2] * 4), action="warn")
    assert "DAT009 error" in caplog.text


def test_off_does_not_even_look(caplog):
    data = Counting([2] * 4)
    check(data, action="off")
    assert data.calls == 0 and not caplog.text


def test_a_rule_that_the_settings_ignore_does_not_stop_training():
    class Lenient(TinyConfig):
        LINT_IGNORE = ("DAT",)

    check(Unmasked([2] * 4), config=Lenient())


def test_warnings_are_logged_in_one_block_and_once(caplog):
    for _ in range(2):
        check(Figures([2] * 4), layers="heads", pretrained=False)
    assert caplog.text.count("TRN021 warning") == 1
    assert len([record for record in caplog.records if "The linter found" in record.message]) == 1


def test_an_unknown_action_is_named():
    with pytest.raises(ConfigError, match="expected lint to be 'error', 'warn' or 'off', received: lint='no'"):
        check(Figures([2]), action="no")


def test_a_call_that_says_nothing_follows_the_environment(monkeypatch, caplog):
    with pytest.raises(DatasetError, match="DAT009"):
        check(Unmasked([2] * 4), action=None)
    monkeypatch.setenv("MRCNN_PLUS_LINT", "warn")
    check(Unmasked([2] * 4), action=None)
    assert "DAT009 error" in caplog.text
    with pytest.raises(DatasetError, match="DAT009"):
        check(Unmasked([2] * 4), action="error")
    monkeypatch.setenv("MRCNN_PLUS_LINT", "loud")
    with pytest.raises(ConfigError, match="received: MRCNN_PLUS_LINT='loud'"):
        check(Unmasked([2] * 4), action=None)


def test_random_numbers_are_those_of_a_run_without_the_linter():
    class Random(Figures):
        def load_image(self, image_id):
            np.random.rand()
            return super().load_image(image_id)

    np.random.seed(3)
    expected = np.random.rand()
    np.random.seed(3)
    check(Random([2] * 4))
    assert np.random.rand() == expected


def test_only_a_few_images_of_a_large_set_are_looked_at():
    data = Counting([1] * 300)
    check(data)
    assert 0 < data.calls < 40


def test_a_slow_data_set_is_looked_at_less(monkeypatch):
    monkeypatch.setattr(lint_before_training, "_SECONDS_FOR_SAMPLES", 0.1)

    class Slow(Counting):
        def load_mask(self, image_id):
            time.sleep(0.1)
            return super().load_mask(image_id)

    data = Slow([1] * 50)
    check(data)
    assert data.calls < 8


def test_a_tiny_data_set_takes_no_time():
    check(Figures([2] * 5), Figures([2] * 3))  # the first call imports
    started = time.process_time()
    check(Figures([2] * 5), Figures([2] * 3))
    assert time.process_time() - started < 0.5


def test_train_runs_the_linter_before_it_changes_the_model(model):
    before = [layer.trainable for layer in model.get_trainable_layers()]
    with pytest.raises(DatasetError, match="DAT009"):
        model.train(Unmasked([2] * 4), None, 0.001, 1, "heads")
    assert [layer.trainable for layer in model.get_trainable_layers()] == before
    model.train(Unmasked([2] * 4), None, 0.001, 1, "heads", lint="off")
    assert model.epoch == 1


def test_a_second_call_looks_only_at_the_call(model, caplog):
    train, val = Counting([2] * 4), Figures([2] * 2)
    model.train(train, val, 0.001, 1, "heads")
    looked_at = train.calls
    model.train(train, val, 0.001, 2, "all")
    assert train.calls == looked_at
    with pytest.raises(ConfigError, match="TRN024"):
        model.train(train, val, 0, 3, "all")
    model.train(Counting([2] * 4), val, 0.001, 3, "all")
    assert model.epoch == 3


def test_an_augmentation_that_leaves_masks_behind_stops_training(model):
    def mirror(image, masks):
        return image[:, ::-1], masks

    with pytest.raises(ConfigError, match="TRN004.*mirror.*leaves the masks where they were"):
        model.train(Figures([2] * 4), None, 0.001, 1, "heads", augmentation=mirror)


def test_layers_that_do_not_exist_are_named_by_rule_and_nearest_preset(model):
    with pytest.raises(ConfigError, match="TRN002.*layers='head' matches no layer.*Did you mean 'heads'"):
        model.train(Figures([2] * 4), None, 0.001, 1, "head")
