"""One idiom of old programs after the other: it runs, does what it did, and is listed with its line."""

import numpy as np

from mrcnn_plus.compat.scikit_image import fill_polygon


def test_names_that_numpy_has_lost(run_text):
    found, used = run_text(
        """
        import numpy as np
        from numpy import float as number
        kinds = np.int, np.object, np.float_, np.str
        values = np.Inf, np.product([2, 3]), np.asscalar(np.array([4])), np.in1d([1], [1]).all()
        data = np.fromstring(b"ab", np.uint8)
        """
    )
    assert found["kinds"] == (int, object, np.float64, str) and found["number"] is float
    assert found["values"] == (float("inf"), 6, 4, True) and found["data"].tolist() == [97, 98]
    assert used["np.float"] == 2 and used["np.int"] == 3 and used["np.fromstring"] == 5


def test_libraries_do_not_see_the_shims(run_text, monkeypatch):
    import skimage._shared.utils as library

    monkeypatch.setattr(library, "ask", eval("lambda: hasattr(np, 'int')", vars(library)), raising=False)
    asks = compile("def ask():\n    return hasattr(np, 'int')\n", library.__file__, "exec")
    exec(asks, vars(library))
    found, used = run_text("import skimage._shared.utils as library\nanswer = library.ask()\n")
    assert found["answer"] is False and used == {}


def test_imgaug_can_be_imported_and_used(run_text):
    found, used = run_text(
        """
        import numpy as np
        import imgaug
        from imgaug import augmenters as iaa
        flipped = iaa.Fliplr(1.0)(image=np.arange(12, dtype=np.uint8).reshape(2, 2, 3))
        """
    )
    assert found["flipped"][0, 0, 0] == 3
    assert set(used) <= {"np.sctypes"}  # nothing if another test has imported it before


def test_corners_of_polygons_on_the_border_stay_in_the_image(run_text):
    found, used = run_text(
        """
        import numpy as np
        import skimage.draw
        mask = np.zeros([10, 12], np.uint8)
        rr, cc = skimage.draw.polygon([0, 10, 10, 0], [-3, -3, 12, 12])
        mask[rr, cc] = 1
        """
    )
    assert found["mask"].all() and used == {"skimage.draw.polygon": 4}


def test_polygons_are_filled_by_the_even_odd_rule():
    rng = np.random.default_rng(0)
    for _ in range(20):
        rows, cols = rng.uniform(-5, 25, (2, 7))
        mask = np.zeros((40, 40), int)
        np.add.at(mask, fill_polygon(rows, cols), 1)
        for y in range(40):
            for x in range(40):
                inside = False
                for (y0, x0), (y1, x1) in zip(
                    zip(rows, cols, strict=True), zip(np.roll(rows, -1), np.roll(cols, -1), strict=True), strict=True
                ):
                    if (y0 <= y) != (y1 <= y) and x < x0 + (y - y0) * (x1 - x0) / (y1 - y0):
                        inside = not inside
                assert mask[y, x] == inside


def test_functions_of_scikit_image_that_answer_otherwise_today(run_text, tmp_path):
    found, used = run_text(
        f"""
        import numpy as np
        import skimage.color, skimage.draw, skimage.io, skimage.transform
        half = skimage.transform.resize(np.eye(4, dtype=bool), (2, 2), order=1, anti_aliasing=False)
        grey = skimage.color.rgb2gray(np.ones((2, 2), float))
        rgba = skimage.color.rgb2gray(np.ones((2, 2, 4), float))
        rgb = skimage.color.gray2rgb(np.ones((2, 2, 3), np.uint8))
        rr, cc = skimage.draw.circle(5, 5, 3)
        skimage.io.imsave({str(tmp_path / "a.png")!r}, np.full((2, 2), 0.5), check_contrast=False)
        read = skimage.io.imread({str(tmp_path / "a.png")!r}, as_grey=False)
        """
    )
    assert found["half"].dtype == float and found["half"][0, 0] > 0.4
    assert found["grey"].shape == found["rgba"].shape == (2, 2) and found["rgb"].shape == (2, 2, 3)
    assert len(found["rr"]) == 25 and found["read"].max() == 128
    assert len(used) == 6


def test_pictures_by_scipy(run_text, tmp_path):
    found, used = run_text(
        f"""
        import numpy as np
        import scipy.misc
        from scipy.misc import imread, imresize
        scipy.misc.imsave({str(tmp_path / "a.png")!r}, np.arange(12, dtype=np.uint8).reshape(3, 4))
        image = imread({str(tmp_path / "a.png")!r})
        large = imresize(image, (6, 8), interp="nearest")
        double = imresize(image, 2.0)
        """
    )
    assert found["image"].tolist() == np.arange(12).reshape(3, 4).tolist()
    assert found["large"].shape == found["double"].shape == (6, 8) and found["large"][5, 7] == 11
    assert used == {"scipy.misc.imread": 3, "scipy.misc.imresize": 3, "scipy.misc.imsave": 4}


def test_names_that_python_itself_has_lost(run_text):
    found, used = run_text(
        """
        import collections, time
        from collections import Iterable
        took = time.clock()
        ok = isinstance([], Iterable) and isinstance([], collections.Sequence)
        """
    )
    assert found["ok"] and set(used) == {"collections.Iterable", "collections.Sequence", "time.clock"}


def test_three_results_of_opencv_3_or_two(run_text):
    found, used = run_text(
        """
        import cv2
        import numpy as np
        image = np.zeros((20, 20), np.uint8)
        image[5:9, 5:9] = 1
        same, contours, hierarchy = cv2.findContours(image, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        others, _ = cv2.findContours(image, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        last = cv2.findContours(image, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[-2]
        """
    )
    assert len(found["contours"]) == len(found["others"]) == len(found["last"]) == 1 and len(used) == 1


def test_modules_that_keras_has_moved(run_text):
    found, used = run_text(
        """
        import keras, keras.engine as KE, keras.layers as KL
        from keras.engine import Layer
        from keras.layers.normalization import BatchNormalization
        from keras.utils.np_utils import to_categorical
        same = KE.Layer is Layer is KL.Layer and BatchNormalization is KL.BatchNormalization
        """
    )
    assert found["same"]
    assert {"keras.engine", "keras.layers.normalization", "keras.utils.np_utils"} <= set(used)


def test_arguments_that_keras_has_renamed_or_dropped(run_text, tmp_path):
    found, used = run_text(
        f"""
        import keras
        from keras.callbacks import ModelCheckpoint, TensorBoard
        optimizer = keras.optimizers.SGD(lr=0.25, momentum=0.9)
        rate = float(optimizer.lr)
        plain = keras.optimizers.Adam(0.5)
        checkpoint = ModelCheckpoint({str(tmp_path / "w_{epoch}.h5")!r}, save_weights_only=True, period=2)
        board = TensorBoard(log_dir={str(tmp_path)!r}, write_grads=False)
        same = isinstance(optimizer, keras.optimizers.SGD) and isinstance(checkpoint, ModelCheckpoint)
        """
    )
    import keras

    assert found["rate"] == 0.25 and found["same"]
    assert isinstance(found["optimizer"], keras.optimizers.SGD) and isinstance(found["plain"], keras.optimizers.Adam)
    assert {"keras.optimizers.SGD(lr=)", "optimizer.lr"} <= set(used) and "keras.optimizers.Adam(lr=)" not in used
    assert not hasattr(keras.optimizers.SGD(0.1), "lr")


def test_checkpoints_of_an_old_name_are_written_every_so_many_epochs(run_text, tmp_path):
    found, _ = run_text(
        f"""
        from keras.callbacks import ModelCheckpoint
        checkpoint = ModelCheckpoint({str(tmp_path / "w_{epoch}.h5")!r}, save_weights_only=True, period=2)
        """
    )
    written = []

    class Model:
        def save_weights(self, path, overwrite):
            written.append(path)

    checkpoint = found["checkpoint"]
    checkpoint.set_model(Model())
    for epoch in range(5):
        checkpoint.on_epoch_begin(epoch)
        checkpoint.on_epoch_end(epoch, {})
    assert written == [str(tmp_path / f"w_{epoch}.h5") for epoch in (2, 4)]


def test_k_function_computes_tensors_of_a_model(run_text):
    found, _ = run_text(
        """
        import numpy as np
        import keras, keras.backend as K
        x = keras.Input((2,))
        y = keras.layers.Rescaling(3.0)(x)
        values = K.function([x, K.learning_phase()], [y])([np.ones((1, 2), np.float32), 0])
        """
    )
    assert np.asarray(found["values"][0]).tolist() == [[3.0, 3.0]]
