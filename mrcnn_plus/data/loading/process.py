"""A process of its own that builds batches, so that the Python code of a data set runs on several cores at once.

The process is a new interpreter, not a fork: the threads of TensorFlow or JAX, which a training program has loaded, do
not survive a fork, and a lock that one of them held would hang the copy for ever. So everything that loads images
travels to it as a pickle. Batches come back through a pipe, not through shared memory, of which containers have little.
"""

import io
import logging
import multiprocessing.process
import os
import pickle
import signal
import subprocess
import sys

from mrcnn_plus.data.dataset import describe_image
from mrcnn_plus.data.loading.service import receive, refuse_to_train_in_loader, send, write
from mrcnn_plus.errors import ConfigError, DatasetError

logger = logging.getLogger(__name__)

_TRIES = 2
_START = "import sys; sys.path[:] = {path!r}; from mrcnn_plus.data.loading.service import serve; serve()"
# A program that loads a framework for its data set must not take the accelerator's memory in every process.
_ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}


class LoaderProcess:
    """Builds batches in a process, which starts with the first of them; to be used by one thread at a time.

    builder: a `BatchBuilder`; payload: what `pack(builder)` returned, shared by several processes.
    """

    def __init__(self, builder, payload):
        self.builder, self.payload = builder, payload
        self._process = None
        self._closed = False

    def build(self, positions):
        """`builder.build(positions)`, computed there.

        A process that dies is started anew and builds the batch again. Raises `DatasetError` if it dies of the same
        batch again, and what the builder raised, with the traceback of the other process as its cause.
        """
        for _ in range(_TRIES):
            try:
                process = self._start()
                send(process.stdin, positions)
                answer = receive(process.stdout)
            except (OSError, EOFError) as error:
                reason = describe_exit(self._stop(patience_s=1))
                if self._closed:
                    raise RuntimeError("The process that loads images was closed.") from error
                logger.warning(
                    "A process that loads images ended while it built a batch: %s. It is started anew and the batch is "
                    "built again, so nothing is lost.",
                    reason,
                )
            else:
                return self._take(answer)
        raise DatasetError(self._explain_death(positions, reason))

    def close(self):
        """End the process, also from another thread while it builds; that one gets a RuntimeError."""
        self._closed = True
        self._stop()

    def _start(self):
        """The running `Popen`, started if need be."""
        if self._closed:
            raise EOFError
        if self._process is not None:
            return self._process
        # In a session of its own: Ctrl-C is for the parent, which ends this one.
        process = self._process = subprocess.Popen(
            [sys.executable, "-c", _START.format(path=sys.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, **_ENVIRONMENT},
            start_new_session=True,
        )
        if self._closed:  # in the meantime
            self._stop()
        write(process.stdin, self.payload)
        answer = receive(process.stdout)
        if "error" in answer:
            raise _with_cause(answer)
        return process

    def _stop(self, patience_s=0):
        """End the process, which may do so itself for a while; returns its exit code, None if there was none."""
        process, self._process = self._process, None
        if process is None:
            return None
        try:
            return process.wait(patience_s)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def _take(self, answer):
        for name, level, message in answer["log"]:
            logging.getLogger(name).log(level, "%s", message)
        for incident in answer["incidents"]:
            self.builder.incidents.note(*incident)
        if "error" in answer:
            raise _with_cause(answer)
        return answer["batch"]

    def _explain_death(self, positions, reason):
        stream, dataset = self.builder.stream, self.builder.dataset
        images = ", ".join(describe_image(dataset, int(stream[position])) for position in positions)
        return (
            f"{self.builder.name}: the process that loads images ended {_TRIES} times over the same batch: {reason}. "
            f"Images of the batch: {images}. If memory ran out, use fewer WORKERS, mini masks or smaller images; if "
            "load_image or load_mask crashes in a library, call them for these images in a program of their own."
        )


def describe_exit(code):
    """Words for the exit code of a process that should not have ended."""
    if code is None or code >= 0:
        return f"the process ended with exit code {code}"
    name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
    meaning = {
        "SIGKILL": " (killed from outside; usually memory ran out)",
        "SIGSEGV": " (a crash in a C library)",
        "SIGABRT": " (a C library gave up)",
    }
    return f"the process was ended by {name}{meaning.get(name, '')}"


def pack(builder):
    """The first message to a process: how to become like this one, and the builder. Returns bytes.

    Raises `ConfigError` that names what cannot travel.
    """
    refuse_to_train_in_loader()
    try:
        content = pickle.dumps(builder, protocol=5)
    except Exception as error:
        raise ConfigError(_explain_unpicklable(builder, error)) from error
    preparation = {"sys_path": sys.path, "sys_argv": sys.argv, "dir": os.getcwd()}
    if b"__main__" in content:
        preparation.update(_program() or _refuse_notebook(builder))
    message = io.BytesIO()
    level = logging.getLogger("mrcnn_plus").getEffectiveLevel()
    send(message, {"preparation": preparation, "level": level, "builder": content})
    return message.getvalue()


def _program():
    """Where the running program can be imported from, in words of `multiprocessing.spawn.prepare`; {} if nowhere."""
    main = sys.modules["__main__"]
    if getattr(main, "__spec__", None) is not None:
        return {"init_main_from_name": main.__spec__.name}
    path = getattr(main, "__file__", None)
    return {"init_main_from_path": os.path.join(multiprocessing.process.ORIGINAL_DIR, path)} if path else {}


def _refuse_notebook(builder):
    parts = {"dataset": type(builder.dataset), "augmentation": builder.augmentation}
    own = [name for name, part in parts.items() if getattr(part, "__module__", None) == "__main__"]
    raise ConfigError(
        "USE_MULTIPROCESSING = True: the processes that load images import the classes and functions that they need; "
        f"those of a notebook or console cannot be imported, received {' and '.join(own) or 'some'} from there. Move "
        "them to a file (in a notebook: %%writefile my_data.py) and import them, or set USE_MULTIPROCESSING = False."
    )


def _explain_unpicklable(builder, error):
    """Which attribute of the data set, or the augmentation, is to blame."""
    parts = {"the class of the data set": type(builder.dataset), "augmentation": builder.augmentation}
    parts |= {f"dataset.{name}": value for name, value in vars(builder.dataset).items()}
    parts |= {"dataset": builder.dataset, "stream": builder.stream}
    name, value, error = next(filter(None, map(_why_not, parts.items())), ("batch builder", builder, error))
    text = repr(value)
    return (
        "USE_MULTIPROCESSING = True: expected a data set and an augmentation that can be pickled, because they go to "
        f"the processes that load images, received {name}={text[:80]}{'...' if len(text) > 80 else ''} "
        f"({type(error).__name__}: {error}). Define classes and functions at the top level of a module (no lambda), "
        "open files and databases in load_mask instead of keeping them, or set USE_MULTIPROCESSING = False to load in "
        "threads."
    )


def _why_not(part):
    """`(name, value, error)` of a part that cannot be pickled, None of one that can."""
    try:
        pickle.dumps(part[1], protocol=5)
    except Exception as error:
        return (*part, error)
    return None


class TracebackOfProcess(Exception):
    """Stands as the cause of an exception that was raised in another process, and prints as it did there."""

    def __str__(self):
        return f"\n{self.args[0]}"


def _with_cause(answer):
    error = answer["error"]
    error.__cause__ = TracebackOfProcess(answer["traceback"])
    return error
