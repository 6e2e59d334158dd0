"""Streams of images: each image once before any twice, or rare classes more often; the same from any starting point."""

import pickle

import numpy as np
import pytest

from mrcnn_plus.data.sampling import (
    ClassBalancedStream,
    ImageStream,
    RepeatFactorStream,
    make_stream,
    repeat_factors,
)
from mrcnn_plus.errors import ConfigError, DatasetError


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


# ---- samplers for rare classes ----

# Of 100 images 96 hold class 1 alone, 2 classes 1 and 2, 1 class 3 alone, and 1 none. Image ids are 7, 10, 13, ...
IMAGE_IDS = np.arange(100) * 3 + 7
CLASS_IDS = [[1, 1]] * 96 + [[2, 1, 2]] * 2 + [[3]] + [[]]
SAMPLERS = {
    "class_balanced": lambda seed=0: ClassBalancedStream(IMAGE_IDS, CLASS_IDS, seed),
    "repeat_factor": lambda seed=0: RepeatFactorStream(IMAGE_IDS, CLASS_IDS, seed, threshold=0.1),
}
each_sampler = pytest.mark.parametrize("sampler", SAMPLERS)


def visits(stream, count, start=0):
    """How often each image stands in so many positions, in the order of the image ids."""
    found = [int(stream[position]) for position in range(start, start + count)]
    return np.array([found.count(image_id) for image_id in IMAGE_IDS])


@each_sampler
def test_a_position_of_a_sampler_means_the_same_whatever_was_asked_before(sampler):
    forwards, fresh = SAMPLERS[sampler](), SAMPLERS[sampler]()
    walked = [int(forwards[position]) for position in range(500)]
    assert [int(fresh[position]) for position in reversed(range(500))] == walked[::-1]
    assert int(pickle.loads(pickle.dumps(forwards))[123]) == walked[123]


@each_sampler
def test_samplers_shuffle_by_their_seed(sampler):
    one, same, other = (SAMPLERS[sampler](seed) for seed in (0, 0, 1))
    rows = [[int(stream[position]) for position in range(200)] for stream in (one, same, other)]
    assert rows[0] == rows[1] != rows[2]
    assert rows[0][:100] != rows[0][100:]
    assert one.shuffle and one.seed == 0
    with pytest.raises(IndexError, match="position=-1"):
        one[-1]


@each_sampler
def test_samplers_without_a_seed_follow_numpys_global_state(sampler):
    def order(state):
        np.random.seed(state)
        stream = SAMPLERS[sampler](None)
        return [int(stream[place]) for place in range(30)]

    assert order(1) == order(1) != order(2)


def test_class_balanced_gives_every_class_the_same_number_of_turns():
    """Three classes: in 300 turns 100 for each; those of class 2 fall on its two images, 50 each."""
    stream = ClassBalancedStream(IMAGE_IDS, CLASS_IDS, seed=4)
    counts = visits(stream, 300)
    assert counts[98] == 100, "class 3 has one image"
    assert counts[96:98].sum() in range(100, 108), "class 2, and now and then a turn of class 1"
    assert counts[:96].max() <= 2 and counts[:98].sum() == 200
    assert counts[99] == 0
    assert len(stream) == 99


def test_class_balanced_shows_every_image_of_a_class_before_any_twice():
    stream = ClassBalancedStream(IMAGE_IDS, [[1]] * 99 + [[2]], seed=1)
    common = [image_id for position in range(198) if (image_id := int(stream[position])) != IMAGE_IDS[99]]
    assert len(common) == 99 == len(set(common))


def test_images_without_a_class_take_turns_if_they_are_wanted():
    stream = ClassBalancedStream(IMAGE_IDS, CLASS_IDS, seed=0, with_empty=True)
    assert len(stream) == 100
    assert visits(stream, 400)[99] == 100


def test_class_balanced_without_any_instance_is_an_error():
    with pytest.raises(DatasetError, match="instances of a class"):
        ClassBalancedStream([1, 2], [[], []])


def test_repeat_factors_are_those_of_lvis():
    """Shares 0.98, 0.02 and 0.01 against a threshold of 0.1: 1, sqrt(5), sqrt(10)."""
    found = repeat_factors(CLASS_IDS, 0.1)
    np.testing.assert_allclose(found, [1.0] * 96 + [np.sqrt(5)] * 2 + [np.sqrt(10)] + [1.0])
    np.testing.assert_array_equal(repeat_factors(CLASS_IDS, 0.001), np.ones(100))


def test_every_pass_of_a_repeat_factor_stream_has_every_image_and_rare_ones_more_often():
    """96 + 2 sqrt(5) + sqrt(10) + 1 = 104.6, so 105 positions."""
    stream = SAMPLERS["repeat_factor"]()
    assert len(stream) == 105
    passes = np.array([visits(stream, 105, start=105 * number) for number in range(60)])
    expected = repeat_factors(CLASS_IDS, 0.1) * 105 / 104.634
    assert passes.min() >= 1
    assert np.all(np.abs(passes - expected) < 1), "rounded up or down"
    np.testing.assert_allclose(passes.mean(axis=0)[96:99], expected[96:99], atol=0.2)


def test_a_threshold_that_no_class_falls_below_gives_passes_of_all_images():
    stream = RepeatFactorStream(IMAGE_IDS, CLASS_IDS, seed=0)
    assert len(stream) == 100
    np.testing.assert_array_equal(visits(stream, 100), np.ones(100))


def test_streams_are_made_by_the_name_of_the_sampler_and_count_only_where_needed():
    def refuse():
        raise AssertionError("counting is not needed")

    arguments = {"threshold": 0.1, "with_empty": True}
    assert type(make_stream("shuffle", IMAGE_IDS, refuse, 3)) is ImageStream
    repeated = make_stream("repeat_factor", IMAGE_IDS, lambda: CLASS_IDS, 3, **arguments)
    assert len(repeated) == 105 and repeated.seed == 3
    assert len(make_stream("class_balanced", IMAGE_IDS, lambda: CLASS_IDS, 3, **arguments)) == 100
    with pytest.raises(ConfigError, match="SAMPLER.*'class_balanced'.*SAMPLER='balanced'"):
        make_stream("balanced", IMAGE_IDS, refuse)


@pytest.mark.parametrize("start", [0, 3, 50])
def test_so_many_positions_hold_every_image(start):
    """What stands in for images that cannot be used is looked for among so many."""
    stream = ClassBalancedStream(range(12), [[1]] * 10 + [[2]] * 2, seed=1)
    found = {int(stream[position]) for position in range(start, start + stream.positions_of_all)}
    assert found == set(range(12))
