"""The stream of images: every image once before any twice, the same from any starting point."""

import pickle

import numpy as np
import pytest

from mrcnn_plus.data.sampling import ImageStream
from mrcnn_plus.errors import DatasetError


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("count", [1, 2, 7, 50])
def test_each_pass_visits_every_image_once(count, shuffle):
    ids = np.arange(count) * 3
    stream = ImageStream(ids, seed=5, shuffle=shuffle)
    assert len(stream) == count
    for pass_number in range(40):
        visited = [stream[pass_number * count + place] for place in range(count)]
        assert sorted(visited) == ids.tolist()


def test_without_shuffle_images_come_in_order_again_and_again():
    stream = ImageStream([4, 2, 9], shuffle=False)
    assert [int(stream[position]) for position in range(7)] == [4, 2, 9, 4, 2, 9, 4]


def test_passes_differ_and_seeds_differ():
    def order(seed, pass_number):
        stream = ImageStream(np.arange(50), seed=seed)
        return [int(stream[50 * pass_number + place]) for place in range(50)]

    orders = [order(seed, pass_number) for seed in (0, 1) for pass_number in (0, 1)]
    assert len({tuple(one) for one in orders}) == 4
    assert order(0, 1) == orders[1]


def test_a_position_means_the_same_whatever_was_asked_before():
    forwards, fresh = ImageStream(np.arange(9), seed=3), ImageStream(np.arange(9), seed=3)
    walked = [int(forwards[position]) for position in range(400)]
    assert [int(fresh[position]) for position in reversed(range(400))] == walked[::-1]
    assert int(pickle.loads(pickle.dumps(forwards))[123]) == walked[123]


def test_the_documented_rule_gives_the_order():
    stream = ImageStream(np.arange(6), seed=8)
    expected = np.random.default_rng([8, 2]).permutation(6)
    assert [int(stream[12 + place]) for place in range(6)] == expected.tolist()


def test_without_a_seed_numpys_global_state_decides():
    def order(state):
        np.random.seed(state)
        stream = ImageStream(np.arange(30))
        return [int(stream[place]) for place in range(30)]

    assert order(1) == order(1) != order(2)


def test_no_images_and_negative_positions_are_errors():
    with pytest.raises(DatasetError, match=r"image_ids=\[\].*prepare"):
        ImageStream([])
    with pytest.raises(IndexError, match="position=-1"):
        ImageStream([1])[-1]
