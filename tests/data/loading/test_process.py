"""Batches from a process: the same as here, and what becomes of errors, crashes, logs, and of what cannot travel."""

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from mrcnn_plus.data.batches import BatchBuilder
from mrcnn_plus.data.loading.process import LoaderProcess, TracebackOfProcess, describe_exit, pack
from mrcnn_plus.data.loading.threads import LoaderThreads
from mrcnn_plus.errors import ConfigError, DatasetError
from mrcnn_plus.geometry.resizing import ResizeSettings
from tests.data.data_sets import Rectangles
from tests.support.loading import Moody, Slow, small
from tests.support.processes import children_of, is_alive, wait_for

ROOT = Path(__file__).parents[3]


def builder_of(dataset, **settings):
    defaults = dict(batch_size=2, num_classes=4, resize=ResizeSettings(64, 64), mean_pixel=[0.0], seed=0, shuffle=False)
    return BatchBuilder(dataset, **{**defaults, **settings})


def moody(mood, **attributes):
    return small(5, Moody, mood=mood, special=2, **attributes)


@pytest.fixture
def start():
    """Makes a `LoaderProcess` from a builder; all are closed at the end."""
    processes = []

    def make(builder):
        processes.append(LoaderProcess(builder, pack(builder)))
        return processes[-1]

    yield make
    for process in processes:
        process.close()


def test_a_batch_from_a_process_is_the_same_and_can_be_written_to(start):
    builder = builder_of(Rectangles([3, 1, 2]), mini_mask_shape=(28, 28))
    there, here = start(builder).build(range(1, 3)), builder.build(range(1, 3))
    assert list(there) == list(here)
    for name, array in here.items():
        assert np.array_equal(there[name], array) and there[name].dtype == array.dtype
        there[name][:] = 0


def test_what_the_process_finds_out_about_images_is_known_here_and_said_once(start, caplog):
    builder = builder_of(Rectangles([9, 0, 1]), max_gt_instances=6)
    first, second = start(builder), start(builder)
    for process in (first, second, first):
        process.build(range(3))
    assert list(builder.incidents.without_instances) == [1] and builder.incidents.over_limit == {0: 3}
    assert sorted(record.getMessage()[:7] for record in caplog.records) == ["image 0", "image 1"]


def test_an_error_has_the_traceback_of_the_process_as_its_cause(start):
    process = start(builder_of(moody("raise")))
    with pytest.raises(DatasetError, match="image 2 .*KeyError: 'regions'") as caught:
        process.build(range(2, 4))
    assert isinstance(caught.value.__cause__, TracebackOfProcess)
    assert "in misbehave" in str(caught.value.__cause__)
    assert len(process.build(range(0, 2))["input_image"]) == 2, "the process goes on"


def test_an_error_keeps_the_rule_of_the_linter(start):
    dataset = small(1)
    dataset.class_ids_of_image = [77]
    with pytest.raises(DatasetError) as caught:
        start(builder_of(dataset)).build([0])
    assert caught.value.rule == "DAT011"


def test_a_process_that_dies_once_loses_nothing_and_that_is_said(start, tmp_path, caplog):
    builder = builder_of(moody("die once", folder=str(tmp_path)))
    batch = start(builder).build(range(2, 4))
    assert np.array_equal(batch["input_image"], builder.build(range(2, 4))["input_image"])
    assert "SIGKILL" in caplog.text and "memory ran out" in caplog.text and "nothing is lost" in caplog.text


def test_a_process_that_dies_again_over_the_same_batch_is_an_error_that_names_the_images(start):
    with pytest.raises(DatasetError, match=r"ended 2 times .*SIGKILL.*image 2 .*image 3 .*fewer WORKERS"):
        start(builder_of(moody("die always"))).build(range(2, 4))


def test_what_the_process_logs_and_prints_reaches_the_user(start, caplog, capfd):
    start(builder_of(moody("notice"))).build(range(2, 4))
    assert "this is image 2" in [record.getMessage() for record in caplog.records]
    assert "printed by load_mask" in capfd.readouterr().err


def test_the_level_of_the_log_holds_there_too(start, caplog):
    with caplog.at_level(logging.ERROR, logger="mrcnn_plus"):
        process = start(builder_of(moody("notice")))
    process.build(range(2, 4))
    assert "this is image 2" not in caplog.text


def test_whoever_waits_is_woken_when_the_process_is_closed(start):
    process = start(builder_of(small(2, Slow, seconds=60)))
    timer = threading.Timer(2, process.close)
    timer.start()
    begin = time.perf_counter()
    with pytest.raises(RuntimeError, match="was closed"):
        process.build([0])
    assert time.perf_counter() - begin < 60


def test_a_process_that_cannot_start_says_what_to_do(start, monkeypatch):
    builder = builder_of(small(1))
    message = pack(builder).replace(b"tests.support.loading", b"tests.support.nothing")
    assert message == pack(builder), "the data set of this test comes from another module"
    process = LoaderProcess(builder, message.replace(b"tests.data.data_sets", b"tests.data.no_module"))
    with pytest.raises(ConfigError, match=r"could not take over.*no_module.*USE_MULTIPROCESSING = False"):
        process.build([0])
    process.close()


# ---- What cannot travel ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["file", "lock", "function"])
def test_an_attribute_of_the_data_set_that_cannot_be_pickled_is_named(name):
    things = {"file": sys.stdout, "lock": threading.Lock(), "function": lambda: 0}
    with pytest.raises(ConfigError, match=rf"USE_MULTIPROCESSING.*dataset\.{name}=<.*USE_MULTIPROCESSING = False"):
        pack(builder_of(moody("", **{name: things[name]})))


def test_an_augmentation_that_cannot_be_pickled_is_named():
    with pytest.raises(ConfigError, match=r"augmentation=<function .*lambda.*top level of a module"):
        pack(builder_of(small(1), augmentation=lambda image, masks: (image, masks)))


def test_a_class_defined_in_a_function_is_named():
    class Inner(Rectangles):
        pass

    with pytest.raises(ConfigError, match=r"the class of the data set=<class .*Inner"):
        pack(builder_of(small(1, Inner)))


def test_classes_of_a_notebook_have_to_move_to_a_file(monkeypatch):
    notebook = type(sys)("__main__")
    notebook.Own = type("Own", (Rectangles,), {"__module__": "__main__", "__qualname__": "Own"})
    monkeypatch.setitem(sys.modules, "__main__", notebook)
    with pytest.raises(ConfigError, match="received dataset from there.*writefile"):
        pack(builder_of(small(1, notebook.Own)))


# ---- Programs -------------------------------------------------------------------------------------------------------

PROGRAM = """
from tests.data.loading.test_process import LoaderProcess, builder_of, pack
from tests.support.loading import Moody, small

class Own(Moody):
    pass

{guard}
    builder = builder_of(small(3, Own, mood={mood!r}, special=2, folder="."))
    process = LoaderProcess(builder, pack(builder))
    print(process.build([0, 2])["input_image_meta"][:, 0], flush=True)
    process.close()
"""


def run(tmp_path, *, mood="", guard='if __name__ == "__main__":'):
    (tmp_path / "program.py").write_text(PROGRAM.format(mood=mood, guard=guard))
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, "program.py"], env=environment, cwd=tmp_path, **pipes)


def test_a_program_with_a_main_guard_can_define_its_data_set_itself(tmp_path):
    out, err = run(tmp_path).communicate(timeout=100)
    assert "[0. 2.]" in out, err


def test_a_program_that_trains_while_it_is_imported_is_told_to_guard_that(tmp_path):
    program = run(tmp_path, guard="if True:")
    _, err = program.communicate(timeout=100)
    assert program.returncode == 1
    assert "Put everything that builds and trains the model under" in err.strip().splitlines()[-1]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_processes_end_with_a_parent_that_is_killed(tmp_path):
    program = run(tmp_path, mood="sleep")
    assert wait_for((tmp_path / "asleep").exists, 100), "the process is loading an image"
    (child,) = children_of(program.pid)
    program.kill()
    program.wait()  # not communicate(): the process has the same pipes, and would be waited for
    assert wait_for(lambda: not is_alive(child), 20)


def test_exit_codes_are_put_into_words():
    assert "exit code 3" in describe_exit(3)
    assert "SIGSEGV (a crash in a C library)" in describe_exit(-signal.SIGSEGV)
    assert "SIGTERM" in describe_exit(-signal.SIGTERM) and "signal 63" in describe_exit(-63)


def test_the_module_needs_no_keras():
    code = "import sys, mrcnn_plus.data.loading.service as _; print({'keras', 'tensorflow', 'jax'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"


# ---- Threads --------------------------------------------------------------------------------------------------------


def test_threads_answer_whatever_was_asked_and_raise_what_was_raised():
    threads = LoaderThreads([lambda number: 1 / number] * 3)
    futures = [threads.submit(number) for number in range(30)]
    assert [future.result(5) for future in futures[1:]] == [1 / number for number in range(1, 30)]
    with pytest.raises(ZeroDivisionError):
        futures[0].result(5)
    threads.close()
