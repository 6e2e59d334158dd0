import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from mrcnn_plus.errors import WeightsError
from mrcnn_plus.weights.download import download

CONTENT = np.random.default_rng(0).bytes(3_000_000)
MD5, SHA256 = hashlib.md5(CONTENT).hexdigest(), hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server(server):
    server.content = CONTENT
    return server


def fetch(server, path, **options):
    return download(server.url, path, **{"wait_s": 0.01, "verbose": 0, **options})


def test_file_arrives_whole_and_nothing_else_is_left(server, tmp_path):
    path = tmp_path / "new" / "folder" / "weights.h5"
    assert fetch(server, path, md5=MD5, sha256=SHA256.upper()) == str(path)
    assert path.read_bytes() == CONTENT
    assert os.listdir(path.parent) == ["weights.h5"]
    assert server.requests == [None]


@pytest.mark.parametrize("send_length", [True, False])
def test_file_without_checksum_or_length_arrives(send_length, server, tmp_path):
    server.send_length = send_length
    fetch(server, tmp_path / "weights.h5")
    assert (tmp_path / "weights.h5").read_bytes() == CONTENT


def test_cut_connection_is_resumed_where_it_ended(server, tmp_path):
    server.misbehave(cut_after=(1_000_000, 500_000))
    fetch(server, tmp_path / "weights.h5", md5=MD5)
    assert (tmp_path / "weights.h5").read_bytes() == CONTENT
    assert server.requests == [None, "bytes=1000000-", "bytes=1500000-"]


def test_server_without_ranges_starts_again(server, tmp_path):
    server.ranges = False
    server.misbehave(cut_after=(1_000_000,))
    fetch(server, tmp_path / "weights.h5", md5=MD5)
    assert (tmp_path / "weights.h5").read_bytes() == CONTENT
    assert server.requests == [None, "bytes=1000000-"]


@pytest.mark.parametrize("range_error", [-1000, 1000])
def test_answer_with_another_range_than_asked_for_is_put_in_its_place(range_error, server, tmp_path):
    server.range_error = range_error
    server.misbehave(cut_after=(1_000_000,))
    fetch(server, tmp_path / "weights.h5")
    assert (tmp_path / "weights.h5").read_bytes() == CONTENT


def test_interrupted_call_leaves_no_target_and_the_next_call_goes_on(server, tmp_path):
    path = tmp_path / "weights.h5"
    server.misbehave(cut_after=(700_000, 700_000))
    with pytest.raises(
        WeightsError, match=r"ended after 1,400,000 of 3,000,000 bytes \(tried 2 times\); what arrived is kept"
    ):
        fetch(server, path, attempts=2)
    assert os.listdir(tmp_path) == ["weights.h5.part"]
    fetch(server, path, md5=MD5)
    assert server.requests[-1] == "bytes=1400000-"
    assert path.read_bytes() == CONTENT


def test_old_file_stays_when_a_download_fails(server, tmp_path):
    path = tmp_path / "weights.h5"
    path.write_bytes(b"old")
    server.misbehave(statuses=(404,))
    with pytest.raises(WeightsError):
        fetch(server, path)
    assert path.read_bytes() == b"old"


def test_part_of_another_version_is_thrown_away_and_fetched_anew(server, tmp_path):
    (tmp_path / "weights.h5.part").write_bytes(b"?" * 1000)
    fetch(server, tmp_path / "weights.h5", md5=MD5)
    assert (tmp_path / "weights.h5").read_bytes() == CONTENT
    assert server.requests == ["bytes=1000-", None]


@pytest.mark.parametrize("surplus", [b"", b"more"])
def test_complete_or_too_long_part_is_settled_by_the_server(surplus, server, tmp_path):
    (tmp_path / "weights.h5.part").write_bytes(CONTENT + surplus)
    fetch(server, tmp_path / "weights.h5", md5=MD5)
    assert (tmp_path / "weights.h5").read_bytes() == CONTENT
    assert len(server.requests) == (2 if surplus else 1)


@pytest.mark.parametrize(("name", "wrong"), [("md5", "0" * 32), ("sha256", "0" * 64)])
def test_wrong_checksum_is_an_error_with_both_and_leaves_nothing(name, wrong, server, tmp_path):
    with pytest.raises(WeightsError, match=f"expected {name} {wrong}, received {dict(md5=MD5, sha256=SHA256)[name]}"):
        fetch(server, tmp_path / "weights.h5", **{name: wrong})
    assert os.listdir(tmp_path) == []


def test_missing_page_is_an_error_at_once_that_says_what_to_do(server, tmp_path):
    server.misbehave(statuses=(404, 404))
    with pytest.raises(WeightsError) as error:
        fetch(server, tmp_path / "weights.h5")
    assert server.url in str(error.value) and "404 Not Found" in str(error.value)
    assert f"put it at {str(tmp_path / 'weights.h5')!r}" in str(error.value)
    assert len(server.requests) == 1
    assert os.listdir(tmp_path) == []


def test_mirror_may_be_a_file(tmp_path):
    (tmp_path / "mirror.h5").write_bytes(CONTENT)
    download((tmp_path / "mirror.h5").as_uri(), tmp_path / "weights.h5", md5=MD5, verbose=0)
    assert (tmp_path / "weights.h5").read_bytes() == CONTENT


def test_busy_server_is_asked_again(server, tmp_path):
    server.misbehave(statuses=(503, 429))
    fetch(server, tmp_path / "weights.h5", md5=MD5)
    assert len(server.requests) == 3


def test_silent_server_is_an_error_after_the_time_limit(tmp_path):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        with pytest.raises(WeightsError, match="timed out"):
            download(url, tmp_path / "x", attempts=1, timeout_s=0.2, verbose=0)


def test_no_network_is_an_error_with_url_reason_and_path(server, tmp_path):
    url = server.url
    server.shutdown()
    server.server_close()
    with pytest.raises(WeightsError, match=r"Connection refused \(tried 2 times\)") as error:
        download(url, tmp_path / "weights.h5", attempts=2, wait_s=0.01, verbose=0)
    assert url in str(error.value) and repr(str(tmp_path / "weights.h5")) in str(error.value)
    assert os.listdir(tmp_path) == []


def test_address_that_is_none_is_an_error(tmp_path):
    with pytest.raises(WeightsError, match="unknown url type"):
        download("weights.h5", tmp_path / "weights.h5", verbose=0)


def test_folder_that_cannot_be_made_is_an_error_with_its_name(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(WeightsError, match="file"):
        fetch(server, tmp_path / "file" / "weights.h5")


def test_progress_without_a_terminal_is_lines_on_stderr(server, tmp_path, capsys):
    fetch(server, tmp_path / "weights.h5", verbose=1)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines()[0] == "weights.h5: downloading, 3.0 MB"
    assert printed.err.splitlines()[-1] == "weights.h5: 100%"


def test_progress_on_a_terminal_is_a_bar(server, tmp_path):
    import pty

    code = "import sys; from mrcnn_plus.weights.download import download; download(*sys.argv[1:], verbose=1)"
    main, terminal = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    subprocess.run(
        [sys.executable, "-c", code, server.url, str(tmp_path / "weights.h5")],
        stderr=terminal,
        check=True,
        env=environment,
    )
    os.close(terminal)
    shown = os.read(main, 1 << 16).decode()
    os.close(main)
    assert "weights.h5" in shown and "\x1b[" in shown and "3.0/3.0 MB" in shown
