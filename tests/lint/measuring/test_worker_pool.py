"""Functions on all cores: order, failures, processes that die, Ctrl-C, threads where nothing can be forked."""

import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from mrcnn_plus.lint.measuring import worker_pool
from mrcnn_plus.lint.measuring.worker_pool import Died, map_items


def square(number):
    return number * number


def die_at_three(number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGSEGV)
    return number


@pytest.fixture
def forking(monkeypatch):
    """Other tests of the process may have loaded TensorFlow, which forbids to fork."""
    if not sys.platform.startswith("linux"):
        pytest.skip("processes are forked on Linux only")
    monkeypatch.setattr(worker_pool, "can_fork", lambda: True)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_answers_come_in_the_order_of_the_items(workers):
    assert map_items(square, list(range(20)), workers=workers) == [number * number for number in range(20)]


def test_nothing_to_do_needs_no_process():
    assert map_items(square, []) == []


def test_each_answer_is_counted(forking):
    steps = []
    map_items(square, list(range(7)), workers=2, advance=steps.append)
    assert sum(steps) == 7


def test_the_work_is_done_in_other_processes(forking):
    assert os.getpid() not in map_items(lambda _: os.getpid(), list(range(4)), workers=2)


def test_a_process_that_dies_is_an_answer_and_the_others_go_on(forking):
    answers = map_items(die_at_three, list(range(8)), workers=2)
    assert isinstance(answers[3], Died)
    assert "SIGSEGV" in answers[3].reason
    assert [answer for number, answer in enumerate(answers) if number != 3] == [0, 1, 2, 4, 5, 6, 7]


def test_a_process_that_is_killed_hints_at_memory(forking):
    (answer,) = map_items(lambda _: os.kill(os.getpid(), signal.SIGKILL), [0], workers=1)
    assert "memory" in answer.reason


def test_after_many_deaths_the_rest_is_not_tried(forking):
    answers = map_items(lambda _: os._exit(3), list(range(60)), workers=2)
    assert all(isinstance(answer, Died) for answer in answers)
    assert "exit code 3" in answers[0].reason
    assert "not tried" in answers[-1].reason


def test_threads_do_the_work_where_nothing_can_be_forked(monkeypatch):
    monkeypatch.setattr(worker_pool, "can_fork", lambda: False)
    assert set(map_items(lambda _: os.getpid(), list(range(4)), workers=2)) == {os.getpid()}


def test_nothing_is_forked_where_tensorflow_is_loaded(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    assert not worker_pool.can_fork()


def test_processes_that_never_begin_are_replaced_by_threads(forking, monkeypatch):
    monkeypatch.setattr(worker_pool, "_SECONDS_TO_START", 0.2)
    monkeypatch.setattr(worker_pool, "_serve", lambda *_: time.sleep(60))
    start = time.monotonic()
    assert map_items(square, [1, 2, 3], workers=2) == [1, 4, 9]
    assert time.monotonic() - start < 30


PROGRAM = """
import time
from mrcnn_plus.lint.measuring.worker_pool import map_items
print("begins", flush=True)
try:
    map_items(lambda _: time.sleep(60), [1, 2, 3], workers=2)
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""


def heed_interrupts():
    """Tests that run in the background of a shell inherit that Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="processes are forked on Linux only")
def test_ctrl_c_ends_at_once_and_leaves_no_process():
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heed_interrupts,
    )
    assert program.stdout.readline() == "begins\n"
    time.sleep(1)
    os.killpg(program.pid, signal.SIGINT)  # a terminal sends it to the whole group
    output, _ = program.communicate(timeout=30)
    assert output == "interrupted\n"
    with pytest.raises(ProcessLookupError):
        os.killpg(program.pid, 0)


def draw(_):
    return float(np.random.random()), random.random()


def test_processes_do_not_draw_the_same_random_numbers(forking):
    drawn = map_items(draw, range(8), workers=2)
    assert len({numbers[0] for numbers in drawn}) == 8
    assert len({numbers[1] for numbers in drawn}) == 8
