"""`mrcnn-plus lint` as a user calls it."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from mrcnn_plus.cli import main
from tests.support.programs import DATA, SETTINGS, TRAINING, write

GOOD_SETTINGS = SETTINGS.replace("600", "512")


def lint(capsys, *arguments):
    """`(exit status, standard output, standard error)`."""
    status = main(["lint", *map(str, arguments)])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def run_process(*arguments, **options):
    command = [sys.executable, "-m", "mrcnn_plus", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, **options)


def test_a_broken_setting_is_shown_with_its_line_and_fix(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "parts.py", SETTINGS)
    status, out, err = lint(capsys, "parts.py")
    assert status == 1
    assert "CFG002 PartsConfig.IMAGE_MAX_DIM" in out
    assert "parts.py:10" in out
    assert "10 | IMAGE_MAX_DIM = 600" in out
    assert "Fix: " in out and "640" in out
    assert "1 error" in out
    assert err == ""


def test_a_clean_program_exits_with_0(tmp_path, capsys):
    status, out, _ = lint(capsys, write(tmp_path, "parts.py", GOOD_SETTINGS), "--select", "CFG002,CFG020")
    assert status == 0
    assert "Nothing found." in out


def test_data_of_the_program_are_checked_by_themselves(tmp_path, capsys):
    status, out, _ = lint(capsys, write(tmp_path, "parts.py", SETTINGS, DATA, TRAINING), "--workers", "1")
    assert status == 1
    assert "4 training images, 3 validation images" in out
    assert "DAT" in out


def test_no_data_leaves_the_data_alone(tmp_path, capsys):
    _, out, _ = lint(capsys, write(tmp_path, "parts.py", SETTINGS, DATA, TRAINING), "--no-data")
    assert "without data" in out
    assert "DAT" not in out


def test_data_that_cannot_be_built_are_a_note_on_stderr(tmp_path, capsys):
    training = TRAINING.replace("train.load_parts(4)", "train.load_parts(unknown_number)")
    status, out, err = lint(capsys, write(tmp_path, "parts.py", SETTINGS, DATA, training))
    assert status == 1
    assert "The data were not checked" in err and "unknown_number" in err and "--train" in err
    assert "not checked" not in out


def test_the_level_of_failure_can_be_chosen(tmp_path, capsys):
    path = write(tmp_path, "parts.py", SETTINGS.replace("600", "512"), TRAINING)
    assert lint(capsys, path, "--no-data", "--ignore", "CFG101")[0] == 0
    assert lint(capsys, path, "--no-data", "--fail-on", "warning")[0] == 1


def test_select_and_ignore_choose_rules(tmp_path, capsys):
    path = write(tmp_path, "parts.py", SETTINGS)
    assert "CFG002" not in lint(capsys, path, "--ignore", "cfg002")[1]
    assert lint(capsys, path, "--select", "CFG02")[0] == 0
    status, _, err = lint(capsys, path, "--select", "XYZ")
    assert status == 2 and "XYZ" in err


@pytest.mark.parametrize("text", ["x = (", "x = 1"])
def test_programs_that_cannot_be_read_exit_with_2(tmp_path, capsys, text):
    status, out, err = lint(capsys, write(tmp_path, "a.py", text))
    assert (status, out) == (2, "")
    assert err.startswith("mrcnn-plus lint: ") and "a.py" in err


def test_an_unknown_option_or_no_program_exits_with_2(capsys):
    assert lint(capsys, "--nope")[0] == 2
    assert lint(capsys)[0] == 2


def test_one_class_can_be_chosen(tmp_path, capsys):
    path = write(tmp_path, "a.py", SETTINGS, "class Small(PartsConfig):\n    IMAGE_MIN_DIM = IMAGE_MAX_DIM = 256")
    assert lint(capsys, f"{path}:Small")[0] == 0
    assert lint(capsys, f"{path}:PartsConfig")[0] == 1
    assert lint(capsys, f"{path}:Nope")[0] == 2


def test_what_a_class_inherits_is_told_once(tmp_path, capsys):
    path = write(tmp_path, "a.py", SETTINGS, "class InferenceConfig(PartsConfig):\n    GPU_COUNT = 1")
    assert lint(capsys, path)[1].count("CFG002 PartsConfig.IMAGE_MAX_DIM") == 1


def test_json_is_an_object_with_findings(tmp_path, capsys):
    path = write(tmp_path, "parts.py", SETTINGS, "print('the program says hello')")
    status, out, _ = lint(capsys, path, "--format", "json")
    content = json.loads(out)
    finding = next(item for item in content["findings"] if item["code"] == "CFG002")
    assert status == 1
    assert finding["file"] == str(path) and finding["line"] == 10 and finding["value"] == 600
    assert finding["severity"] == "error" and finding["fix"] and finding["message"]


def test_sarif_points_to_the_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my folder").mkdir()
    write(tmp_path / "my folder", "parts.py", SETTINGS)
    lint(capsys, "my folder/parts.py", "--format", "sarif", "--output", "out.sarif")
    log = json.loads((tmp_path / "out.sarif").read_text())
    (run,) = log["runs"]
    result = next(item for item in run["results"] if item["ruleId"] == "CFG002")
    place = result["locations"][0]["physicalLocation"]
    assert log["version"] == "2.1.0"
    assert place == {"artifactLocation": {"uri": "my%20folder/parts.py"}, "region": {"startLine": 10}}
    assert result["level"] == "error"
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == "CFG002"


def test_markdown_has_a_table(tmp_path, capsys):
    _, out, _ = lint(capsys, write(tmp_path, "parts.py", SETTINGS), "--format", "markdown")
    assert out.startswith("## mrcnn-plus lint")
    assert "| CFG002 | PartsConfig.IMAGE\\_MAX\\_DIM<br>" in out


def test_fix_preview_is_python_with_the_old_value(tmp_path, capsys):
    _, out, _ = lint(capsys, write(tmp_path, "parts.py", SETTINGS), "--fix-preview", "--select", "CFG002")
    assert "class PartsConfig(Config):" in out
    assert "# was 600 (CFG002)" in out
    names = {"Config": object}
    exec(out, names)
    assert names["PartsConfig"].IMAGE_MAX_DIM % 64 == 0


def test_static_runs_nothing_and_finds_the_same(tmp_path, capsys):
    path = write(tmp_path, "a.py", SETTINGS, "raise SystemExit(5)", "import no_such_package")
    status, out, err = lint(capsys, path, "--static")
    assert status == 1 and "CFG002 PartsConfig.IMAGE_MAX_DIM" in out and "a.py:10" in out
    assert err == ""


def test_static_names_settings_that_it_cannot_read(tmp_path, capsys):
    path = write(tmp_path, "a.py", SETTINGS.replace("1 + 1", "count()"))
    _, out, err = lint(capsys, path, "--static")
    assert "PartsConfig.NUM_CLASSES could not be read" in err
    assert "CFG020" not in out and "LNT001" not in out


def test_rules_are_listed_and_explained(capsys):
    status, out, _ = lint(capsys, "--list-rules")
    assert status == 0
    assert any(line.startswith("CFG002 error") for line in out.splitlines())
    status, out, _ = lint(capsys, "--explain", "cfg101")
    assert status == 0
    assert "CFG101" in out and "Thresholds" in out and "LINT_THRESHOLDS" in out and "Why" in out
    status, _, err = lint(capsys, "--explain", "CFG9999")
    assert status == 2 and "CFG9999" in err


def test_arguments_after_two_dashes_are_the_programs(tmp_path, capsys):
    training = TRAINING.replace("train.load_parts(4)", "train.load_parts(int(sys.argv[1]))")
    path = write(tmp_path, "a.py", "import sys", SETTINGS, DATA, training)
    _, out, _ = lint(capsys, path, "--select", "DAT001", "--workers", "1", "--", "6")
    assert "6 training images" in out


@pytest.mark.parametrize("width", [80, 120])
def test_lines_fit_the_terminal(tmp_path, capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    folder = tmp_path / ("a_folder_with_a_rather_long_name_" * 2)
    folder.mkdir()
    _, out, _ = lint(capsys, write(folder, "parts.py", SETTINGS, TRAINING), "--no-data")
    lines = [line for line in out.splitlines() if str(tmp_path) not in line]
    assert max(map(len, lines)) <= width
    assert max(map(len, lines)) > width - 30


def test_output_is_plain_when_it_is_no_terminal(tmp_path, capsys):
    assert "\x1b" not in lint(capsys, write(tmp_path, "parts.py", SETTINGS))[1]


def test_a_file_that_cannot_be_written_exits_with_2(tmp_path, capsys):
    path = write(tmp_path, "parts.py", SETTINGS)
    status, _, err = lint(capsys, path, "--output", tmp_path / "no" / "out.txt")
    assert status == 2 and "cannot be written" in err


def test_the_process_has_the_exit_status_and_imports_no_backend(tmp_path):
    path = write(tmp_path, "parts.py", "import tensorflow, keras, torch", SETTINGS, TRAINING)
    code = (
        "import sys; from mrcnn_plus.cli import main; status = main(sys.argv[1:]); "
        "print(sorted({'keras', 'tensorflow', 'torch', 'jax', 'skimage', 'scipy', 'matplotlib'} & set(sys.modules))); "
        "sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code, "lint", str(path), "--no-data"], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout.splitlines()[-1] == "[]"


def test_help_and_version_answer_without_numpy():
    code = "import sys; from mrcnn_plus.cli import main; main(['--help']); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "lint" in done.stdout and "check-data" in done.stdout
    assert done.stdout.splitlines()[-1] == "False"
    assert run_process("--version").stdout.startswith("mrcnn-plus ")


def test_a_reader_that_stops_reading_gets_no_traceback():
    command = f"{sys.executable} -m mrcnn_plus lint --list-rules | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.startswith("CFG001")


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_ctrl_c_exits_with_130_and_no_traceback(tmp_path):
    path = write(tmp_path, "slow.py", SETTINGS, "import time\nmarker = open('started', 'w')\nx = time.sleep(60)")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(part for part in sys.path if part)}
    command = [sys.executable, "-m", "mrcnn_plus", "lint", str(path)]
    process = subprocess.Popen(
        command,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored where tests run in the background
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Interrupted." in err and "Traceback" not in err
