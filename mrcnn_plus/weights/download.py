"""Download one file: with progress, resumed after an interruption, checked, and at its place complete or not at all."""

import hashlib
import http.client
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager

from mrcnn_plus.errors import WeightsError

_CHUNK = 1 << 18  # bytes
_TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)  # HTTP answers that may differ a moment later


class _Interrupted(Exception):
    """The transfer stopped early for a reason that may pass; what arrived is kept for the next attempt."""


def download(url, path, *, md5=None, sha256=None, check=None, attempts=4, wait_s=1.0, timeout_s=30.0, verbose=1):
    """Fetch `url` to `path`.

    Until it is complete the file is `path + ".part"`; a later call goes on where it stopped, if the server allows that.
    md5, sha256: expected checksums in hexadecimal. check: function of the finished file's path that raises WeightsError
    if the content is not what it should be; it runs before the file gets its name.
    attempts: how often to try; the pause between doubles from `wait_s` seconds. timeout_s: silence after which an
    attempt ends.
    verbose: 0 shows no progress.

    Returns `path`. Raises WeightsError that names the URL, the reason and what to do by hand.
    """
    path = os.fspath(path)
    part = path + ".part"
    try:
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        resumed = _size(part) > 0
        _fetch_with_retries(url, path, part, attempts=attempts, wait_s=wait_s, timeout_s=timeout_s, verbose=verbose)
        problem = _find_problem(part, md5, sha256, check)
        if problem and resumed:  # the file may have changed on the server since the first half was fetched
            os.remove(part)
            _fetch_with_retries(url, path, part, attempts=attempts, wait_s=wait_s, timeout_s=timeout_s, verbose=verbose)
            problem = _find_problem(part, md5, sha256, check)
        if problem:
            os.remove(part)
            raise WeightsError(_message(url, path, problem))
        os.replace(part, path)
    except OSError as error:  # the disk: network errors have become WeightsErrors further down
        raise WeightsError(_message(url, path, f"{error.strerror or error}: {error.filename or path!r}")) from error
    return path


def _fetch_with_retries(url, path, part, *, attempts, wait_s, timeout_s, verbose):
    for attempt in range(1, attempts + 1):
        try:
            _fetch(url, part, timeout_s, verbose)
            return
        except _Interrupted as error:
            if attempt == attempts:
                tries = f" (tried {attempts} times)" if attempts > 1 else ""
                kept = f"; what arrived is kept in {part!r} and the next call goes on from there" if _size(part) else ""
                raise WeightsError(_message(url, path, f"{error}{tries}{kept}")) from error
            time.sleep(wait_s * 2 ** (attempt - 1))
        except urllib.error.HTTPError as error:
            raise WeightsError(_message(url, path, f"the server answers {error.code} {error.reason}")) from error
        except ValueError as error:  # no URL at all
            raise WeightsError(_message(url, path, str(error))) from error


def _fetch(url, part, timeout_s, verbose):
    """One attempt: bring `part` to its full size. Raises `_Interrupted` if that may work later."""
    have = _size(part)
    request = urllib.request.Request(url, headers={"User-Agent": "mrcnn_plus"})
    if have:
        request.add_header("Range", f"bytes={have}-")
    try:
        with urllib.request.urlopen(request, timeout=timeout_s) as answer:
            start = _range_start(answer) if getattr(answer, "status", None) == 206 else 0
            if not 0 <= start <= have:
                os.remove(part)
                raise _Interrupted("the server sent another part of the file than asked for")
            length = answer.headers.get("Content-Length")
            total = start + int(length) if length else None
            _receive(answer, part, start, total, verbose)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416 and have:
            # Nothing to send from there on: `part` is complete, or it is longer than the file.
            if error.headers.get("Content-Range", "").rpartition("/")[2] == str(have):
                return
            os.remove(part)
            raise _Interrupted("the unfinished download did not match the file on the server") from error
        if error.code in _TRY_AGAIN:
            raise _Interrupted(f"the server answers {error.code} {error.reason}") from error
        raise
    except urllib.error.URLError as error:
        raise _Interrupted(_reason(error.reason)) from error
    except (http.client.HTTPException, ConnectionError, TimeoutError, ssl.SSLError) as error:
        raise _Interrupted(_reason(error)) from error


def _receive(answer, part, start, total, verbose):
    """Write the answer's body to `part` from byte `start` on."""
    if os.path.exists(part):
        os.truncate(part, start)
    with (
        open(part, "ab") as file,
        _progress(os.path.basename(part).removesuffix(".part"), start, total, verbose) as advance,
    ):
        while chunk := answer.read(_CHUNK):
            file.write(chunk)
            advance(len(chunk))
    if total is not None and _size(part) < total:
        raise _Interrupted(f"the connection ended after {_size(part):,} of {total:,} bytes")


def _find_problem(part, md5, sha256, check):
    """What is wrong with the finished file, or None."""
    try:
        if check:
            check(part)
    except WeightsError as error:
        return f"what the server sent is not the file: {error}"
    for name, expected in (("md5", md5), ("sha256", sha256)):
        if expected and (received := checksum(part, name)) != expected.lower():
            return f"what the server sent has another checksum: expected {name} {expected}, received {received}"
    return None


def checksum(path, name):
    """Checksum of a file in hexadecimal. name: "md5", "sha256", ..."""
    digest = hashlib.new(name, usedforsecurity=False)
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@contextmanager
def _progress(name, start, total, verbose):
    """Yields a function to call with the number of bytes that came. On stderr: a bar on a terminal, else lines."""
    if not verbose:
        yield lambda count: None
    elif sys.stderr.isatty():
        from rich import progress
        from rich.console import Console

        columns = (
            progress.TextColumn(name),
            progress.BarColumn(),
            progress.DownloadColumn(),
            progress.TransferSpeedColumn(),
        )
        with progress.Progress(*columns, progress.TimeRemainingColumn(), console=Console(stderr=True)) as bar:
            task = bar.add_task(name, total=total, completed=start)
            yield lambda count: bar.advance(task, count)
    else:
        yield _PlainProgress(name, start, total)


class _PlainProgress:
    """Progress for log files: one line at the start and one per tenth of the file."""

    def __init__(self, name, start, total):
        self.name, self.done, self.total = name, start, total
        size = f"{total / 1e6:.1f} MB" if total else "unknown size"
        self._line(f"downloading, {size}" + (f", from {start / 1e6:.1f} MB on" if start else ""))

    def __call__(self, count):
        before, self.done = self.done, self.done + count
        if self.total and self.done * 10 // self.total > before * 10 // self.total:
            self._line(f"{self.done * 100 // self.total}%")

    def _line(self, text):
        sys.stderr.write(f"{self.name}: {text}\n")
        sys.stderr.flush()


def _range_start(answer):
    """First byte of a partial answer, from `Content-Range: bytes 100-199/200`; -1 without that header."""
    value = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("-")[0]
    return int(value) if value.isdigit() else -1


def _size(path):
    return os.path.getsize(path) if os.path.exists(path) else 0


def _reason(error):
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _message(url, path, reason):
    return (
        f"Download of {url} failed: {reason}. Check the network (proxies are taken from the environment variable "
        f"HTTPS_PROXY), or fetch the file on another machine and put it at {path!r}."
    )
