"""What `mrcnn-plus migrate` makes of an idiom, what it leaves to a person, and that the rest of the text stays."""

import json
import textwrap

import pytest

from mrcnn_plus.errors import ConfigError
from mrcnn_plus.migration.rewrite import rewrite
from mrcnn_plus.migration.source import read


@pytest.fixture
def migrated(tmp_path):
    """A function from a program's text to its new text and the list of what is left to decide."""

    def migrate(text):
        path = tmp_path / "program.py"
        path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")
        changed, undecided = rewrite(read(str(path)))
        return changed[0], [words for _, words in undecided]

    return migrate


@pytest.mark.parametrize(
    "before, after",
    [
        ("from mrcnn.config import Config", "from mrcnn_plus.config import Config"),
        ("from mrcnn import model as modellib, utils", "from mrcnn_plus import model as modellib, utils"),
        ("import mrcnn.model as modellib", "from mrcnn_plus import model as modellib"),
        ("from Mask_RCNN.mrcnn import utils", "from mrcnn_plus import utils"),
        ("import imgaug", "from mrcnn_plus.data.augmentation import import_imgaug\nimgaug = import_imgaug()"),
        (
            "from imgaug import augmenters as iaa",
            "from mrcnn_plus.data.augmentation import import_imgaug\niaa = import_imgaug().augmenters",
        ),
        ("from keras.engine import Layer", "from keras.layers import Layer"),
        ("from scipy.misc import imread", "from skimage.io import imread as imread"),
        ("from collections import Iterable", "from collections.abc import Iterable"),
    ],
)
def test_imports(migrated, before, after):
    assert migrated(before + "  # why\n") == (after + "  # why\n", [])


@pytest.mark.parametrize(
    "before, after",
    [
        (
            "import mrcnn.config\nimport mrcnn.model\nx = mrcnn.model.MaskRCNN\n",
            "import mrcnn_plus.config\nimport mrcnn_plus.model\nx = mrcnn_plus.model.MaskRCNN\n",
        ),
        (
            "import numpy as n\nx = n.zeros(3, n.int), n.float_(1), n.Inf, n.bool\n",
            "import numpy as n\nx = n.zeros(3, int), n.float64(1), n.inf, bool\n",
        ),
        (
            "import xml.etree\nx = xml.etree.ElementTree\n",
            "import xml.etree\nimport xml.etree.ElementTree\nx = xml.etree.ElementTree\n",
        ),
        (
            "model.load_weights(model.find_last()[1], by_name=True)\n",
            "model.load_weights(model.find_last(), by_name=True)\n",
        ),
        (
            "import keras\nx = keras.optimizers.SGD(lr=0.1)\n",
            "import keras\nx = keras.optimizers.SGD(learning_rate=0.1)\n",
        ),
        (
            "import skimage.io\nx = skimage.io.imread(p, as_grey=True)\n",
            "import skimage.io\nx = skimage.io.imread(p, as_gray=True)\n",
        ),
        (
            "import skimage.draw\nfor i, p in enumerate(ps):\n    rr, cc = skimage.draw.polygon(p['y'],\n"
            "                                  p['x'])  # corners\n    mask[rr, cc, i] = 1\n",
            "import skimage.draw\nfor i, p in enumerate(ps):\n    rr, cc = skimage.draw.polygon(p['y'],\n"
            "                                  p['x'], shape=mask.shape[:2])  # corners\n    mask[rr, cc, i] = 1\n",
        ),
        (
            "from skimage.draw import circle\nimport skimage.draw as d\nrr, cc = d.circle(y, x, 3)\nm[rr, cc] = 1\n",
            "from skimage.draw import circle\nimport skimage.draw as d\n"
            "rr, cc = d.disk((y, x), 3, shape=m.shape[:2])\nm[rr, cc] = 1\n",
        ),
    ],
)
def test_names_and_arguments(migrated, before, after):
    assert migrated(before)[0] == after


def test_sessions_are_removed_with_all_that_only_serves_them(migrated):
    text, undecided = migrated(
        '''
        import tensorflow as tf
        from keras.backend.tensorflow_backend import set_session
        from mrcnn import model as modellib

        config = tf.ConfigProto()
        config.gpu_options.allow_growth = True
        set_session(tf.Session(config=config))
        graph = tf.get_default_graph()


        def detect(model, image):
            global graph
            with graph.as_default():  # for threads
                # the result
                text = """
            keeps its spaces
            """
                return model.detect([image])


        def load(model):
            model.keras_model._make_predict_function()


        with tf.Session() as sess, tf.device("/cpu:0"):
            sess.run(tf.global_variables_initializer())
            tf.set_random_seed(1)
        '''
    )
    assert undecided == []
    assert text == textwrap.dedent(
        '''\
        import tensorflow as tf
        from mrcnn_plus import model as modellib

        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)


        def detect(model, image):
            # the result
            text = """
            keeps its spaces
            """
            return model.detect([image])


        def load(model):
            pass


        with tf.device("/cpu:0"):
            tf.random.set_seed(1)
        '''
    )


@pytest.mark.parametrize(
    "text, words",
    [
        ("import keras.backend as K\ns = K.get_session()\nprint(s.graph)\n", "K.get_session"),
        ("import tensorflow as tf\nx = tf.contrib.slim\n", "tf.contrib is gone"),
        ("from scipy.misc import imresize\n", "scipy.misc.imresize: write np.asarray(PIL"),
        ("from mrcnn import model as modellib\nmodellib.my_own()\n", "mrcnn_plus.model has no my_own"),
        ("from mrcnn.utils import my_own\n", "mrcnn_plus.utils has no my_own"),
        ("import skimage.draw\nrr, cc = skimage.draw.polygon(y, x)\nuse(rr, cc)\n", "shape=mask.shape[:2]"),
        ("model.keras_model.add_loss(x)\n", "add_loss: losses are computed"),
        ("folder, path = model.find_last()\n", "it returns the path alone"),
        ("a, b, c, d = utils.resize_image(x, min_dim=1, max_dim=2)\n", "write image, window, scale, padding, crop"),
        ("x = utils.resize_image(y, padding=True)\n", "write image, window, scale, padding, crop"),
        ("utils.compute_ap(a, b, r['rois'], r['class_ids'], r['scores'])\n", "compute_ap without masks"),
        ("x = config.BACKBONE_SHAPES\n", "write modellib.compute_backbone_shapes"),
    ],
)
def test_what_cannot_be_decided_is_listed(migrated, text, words):
    assert any(words in line for line in migrated(text)[1])


def test_a_clean_program_stays_as_it_is(migrated):
    text = "from mrcnn_plus import utils\nimport numpy as np\nfrom PIL import Image\n"
    text += "\nimage, window, scale, padding, crop = utils.resize_image(x, mode='square')\npath = model.find_last()\n"
    text += "AP, *rest = utils.compute_ap(a, b, gt_masks, c, d, e, pred_masks)\n"
    text += "\n\nclass A(utils.Dataset):\n    x = np.int64, Image\n"
    assert migrated(text) == (text, [])


def test_modules_of_the_users_own_are_not_taken_for_matterports(tmp_path):
    (tmp_path / "utils.py").write_text("def mine(): pass\n")
    (tmp_path / "program.py").write_text("import utils\nfrom config import Config\nimport model as modellib\n")
    changed, _ = rewrite(read(str(tmp_path / "program.py")))
    assert (
        changed[0] == "import utils\nfrom mrcnn_plus.config import Config\nfrom mrcnn_plus import model as modellib\n"
    )


def test_cells_of_a_notebook_are_changed_each_by_itself(tmp_path):
    path = tmp_path / "a.ipynb"
    sources = [["%matplotlib inline\n", "import numpy as np\n", "from mrcnn import utils"], ["x = np.int(3)\n", "!ls"]]
    cells = [{"cell_type": "code", "metadata": {}, "outputs": [], "source": source} for source in sources]
    path.write_text(json.dumps({"cells": cells, "metadata": {"ü": 1}, "nbformat": 4}, indent=1, ensure_ascii=False))
    source = read(str(path))
    changed, _ = rewrite(source)
    source.write(changed)
    written = json.loads(path.read_text())
    assert written["cells"][0]["source"] == [
        "%matplotlib inline\n",
        "import numpy as np\n",
        "from mrcnn_plus import utils",
    ]
    assert written["cells"][1]["source"] == ["x = int(3)\n", "!ls"]
    assert "ü" in path.read_text()


def test_python_2_is_an_error_with_its_place(tmp_path):
    (tmp_path / "old.py").write_text("x = 1\nprint 'x'\n")
    with pytest.raises(ConfigError, match="old.py:2: .*Python 2"):
        read(str(tmp_path / "old.py"))


def test_the_old_file_is_kept_and_never_overwritten(tmp_path):
    path = tmp_path / "program.py"
    path.write_bytes("# -*- coding: latin-1 -*-\r\nimport mrcnn.config  # ä\r\n".encode("latin-1"))
    path.chmod(0o755)
    for expected in ("program.py.bak", "program.py.bak2"):
        before = path.read_bytes()
        source = read(str(path))
        backup = source.write([source.texts[0].replace("mrcnn.", "mrcnn_plus.").replace("plus_plus", "plus")])
        assert backup == str(tmp_path / expected) and (tmp_path / expected).read_bytes() == before
    assert path.read_bytes() == "# -*- coding: latin-1 -*-\r\nimport mrcnn_plus.config  # ä\r\n".encode("latin-1")
    assert path.stat().st_mode & 0o777 == 0o755


def test_a_file_that_changed_meanwhile_is_not_overwritten(tmp_path):
    path = tmp_path / "program.py"
    path.write_text("import mrcnn.config\n")
    source = read(str(path))
    path.write_text("new = 1\n")
    with pytest.raises(ConfigError, match="changed while it was read"):
        source.write(["x"])
    assert path.read_text() == "new = 1\n"
