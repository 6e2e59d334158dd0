"""Sessions and graphs of TensorFlow 1 around Mask R-CNN."""

import numpy as np
import pytest

from mrcnn_plus import model as modellib
from mrcnn_plus.errors import ConfigError

from ..support.tiny import FiveConvolutions, step_by_step

SESSIONS = """
import numpy as np
import tensorflow as tf
import keras
import keras.backend as K
from keras.backend.tensorflow_backend import set_session

config = tf.ConfigProto(device_count={"GPU": 0})
config.gpu_options.allow_growth = True
config.gpu_options.per_process_gpu_memory_fraction = 0.5
set_session(tf.Session(config=config))
K.set_session(tf.InteractiveSession())
K.clear_session()
graph = tf.get_default_graph()
tf.set_random_seed(3)
tf.logging.set_verbosity(tf.logging.ERROR)
tf.reset_default_graph()
with tf.Session() as sess, sess.as_default(), graph.as_default(), tf.device("/gpu:0"):
    sess.run(tf.global_variables_initializer())
    eager = tf.executing_eagerly()
    value = sess.run(tf.constant(3) + 4)
    model = keras.Sequential([keras.layers.Input((2,)), keras.layers.Dense(1)])
    model._make_predict_function()
    answer = model.predict(np.zeros((1, 2)), verbose=0)
logarithm = float(tf.log(1.0))
phase = K.learning_phase()
"""


def test_sessions_and_graphs_of_tensorflow_1_are_taken_and_left_alone(run_text):
    found, used = run_text(SESSIONS)
    assert found["eager"] and found["value"] == 7 and found["logarithm"] == 0.0 and found["phase"] == 0
    assert found["answer"].shape == (1, 1)
    for name in ("tf.ConfigProto", "tf.Session", "K.set_session", "tf.get_default_graph", "tf.log"):
        assert name in used
    assert "keras_model._make_predict_function" in used


def test_the_same_calls_through_compat_v1_as_programs_for_the_forks_write_them(run_text):
    found, used = run_text(
        """
        import tensorflow as tf
        config = tf.compat.v1.ConfigProto()
        config.gpu_options.allow_growth = True
        session = tf.compat.v1.InteractiveSession(config=config)
        tf.compat.v1.disable_eager_execution()
        tf.compat.v1.keras.backend.set_session(session)
        with tf.compat.v1.get_default_graph().as_default():
            eager = tf.executing_eagerly()
        """
    )
    assert found["eager"] and "tf.compat.v1.disable_eager_execution" in used
    import tensorflow as tf

    assert tf.compat.v1.Session.__name__ == "Session" and isinstance(tf.compat.v1.Session, type)


@pytest.mark.parametrize(
    "call, words",
    [
        ("tf.contrib.slim", "tf.contrib is gone"),
        ("K.get_session().graph.as_graph_def()", "keras_model.export"),
        ("keras.Input((3,)).op.inputs", "keras_model.export"),
        ("K.get_session().run(keras.Input((3,)))", "run_graph"),
    ],
)
def test_what_cannot_work_names_the_way_out(run_text, call, words):
    with pytest.raises(ConfigError, match=words):
        run_text(f"import keras\nimport tensorflow as tf\nimport keras.backend as K\n{call}\n")


def test_freezing_a_network_ends_where_its_graph_is_asked_for(run_text):
    with pytest.raises(ConfigError, match=r"graph.as_graph_def: .*keras_model.export"):
        run_text(
            """
            import keras
            import keras.backend as K
            import tensorflow as tf

            inputs = keras.Input((3,), name="image")
            model = keras.Model(inputs, keras.layers.Dense(2, name="answer")(inputs))
            names = [output.op.name for output in model.outputs] + [tensor.op.name for tensor in model.inputs]
            assert names[1] == "image", names
            graph = K.get_session().graph
            with graph.as_default():
                kept = [v.op.name for v in tf.global_variables()]
                graph.as_graph_def()
            """
        )


WITHIN = """
import numpy as np
import tensorflow as tf
from mrcnn_plus import model as modellib

graph = tf.Graph()
with graph.as_default(), tf.Session(graph=graph) as session:
    model = modellib.MaskRCNN("inference", config, folder)
    found = model.detect([np.zeros((64, 64, 3), np.uint8)], allow_untrained=True)
    images, metas, _ = model.mold_inputs([np.zeros((64, 64, 3), np.uint8)])
    again = model.keras_model.predict([images, metas, model.get_anchors(images[0].shape)[None]], verbose=0)
    x = tf.placeholder(tf.float32, name="x")
    count = tf.get_variable("count", initializer=2.0)
    session.run(tf.global_variables_initializer())
    session.run(tf.assign_add(count, 1.0))
    seven = session.run(x + count, feed_dict={x: 4.0})
    names = session.run("x:0", feed_dict={"x:0": 5.0}), tf.get_default_graph() is graph
"""


def test_mask_rcnn_works_within_a_graph_that_the_program_has_entered(run_text, tmp_path):
    with step_by_step():
        found, used = run_text(WITHIN, config=FiveConvolutions(), folder=str(tmp_path))
    assert found["found"][0]["rois"].shape[1] == 4 and len(found["again"]) == 7
    assert found["seven"] == 7 and found["names"] == (5, True)
    assert used["Mask R-CNN in `with graph.as_default():`"] == 7


def test_without_the_shims_a_graph_is_an_error_that_names_the_way_out(tmp_path):
    import tensorflow as tf

    with tf.Graph().as_default(), pytest.raises(ConfigError, match="Leave out .with tf.Graph"):
        modellib.MaskRCNN("inference", FiveConvolutions(), str(tmp_path))
    model = modellib.MaskRCNN("inference", FiveConvolutions(), str(tmp_path))
    model._initial_fingerprint = None  # as if weights had been loaded
    with tf.Graph().as_default(), pytest.raises(ConfigError, match="detect: expected TensorFlow's eager mode"):
        model.detect([np.zeros((64, 64, 3), np.uint8)])
