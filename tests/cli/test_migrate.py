"""`mrcnn-plus migrate`: a diff, a list of what is left, files with a copy; what it writes runs without shims."""

from mrcnn_plus.cli import main

from ..support.running import python, run

PROGRAM = """
import os, sys
import numpy as np
import skimage.draw
ROOT_DIR = os.path.abspath("../../")
sys.path.append(ROOT_DIR)  # To find local version of the library
from mrcnn.config import Config
from mrcnn import utils


class PartsConfig(Config):
    NAME = "parts"


class PartsDataset(utils.Dataset):
    def load_mask(self, image_id):
        info = self.image_info[image_id]
        mask = np.zeros([8, 9, 1], dtype=np.uint8)
        rr, cc = skimage.draw.polygon(info["ys"], info["xs"])
        mask[rr, cc, 0] = 1
        return mask.astype(np.bool), np.ones([1], dtype=np.int)


data = PartsDataset()
data.add_class("parts", 1, "part")
data.add_image("parts", 0, None, ys=[2, 8, 8, 2], xs=[3, 9, 9, 3])
data.prepare()
masks, ids = data.load_mask(0)
print(masks.shape, ids.dtype, PartsConfig().NAME)
"""


def test_a_migrated_program_runs_without_shims_as_the_old_one_ran_with_them(tmp_path, capsys):
    before = run(tmp_path, PROGRAM)
    assert before.returncode == 0, before.stderr
    assert python(tmp_path, "program.py").returncode == 1
    path = str(tmp_path / "program.py")
    assert main(["migrate", path]) == 0
    output = capsys.readouterr().out
    assert "+from mrcnn_plus import utils" in output
    assert "+        return mask.astype(bool), np.ones([1], dtype=int)" in output
    assert main(["migrate", "--write", path]) == 0
    after = python(tmp_path, "program.py")
    assert after.returncode == 0, after.stderr
    assert after.stdout == before.stdout
    assert (tmp_path / "program.py.bak").read_text().strip() == PROGRAM.strip()
    assert main(["migrate", path]) == 0
    assert "nothing to change" in capsys.readouterr().err


def test_what_is_left_to_decide_sets_the_exit_status_and_names_the_line(tmp_path, capsys):
    path = tmp_path / "a.py"
    path.write_text("import os\nfrom scipy.misc import imresize\n")
    assert main(["migrate", str(path)]) == 1
    assert f"{path}:2: to decide: scipy.misc.imresize" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_an_error_before_anything_is_written(tmp_path, capsys):
    path = tmp_path / "a.py"
    path.write_text("from mrcnn import utils\n")
    assert main(["migrate", "--write", str(path), str(tmp_path / "b.py")]) == 2
    assert path.read_text() == "from mrcnn import utils\n"
    assert "b.py: there is no such file" in capsys.readouterr().err
