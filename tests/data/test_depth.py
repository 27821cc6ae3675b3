import numpy as np

from anyir.data.depth import depth_from_segments, depth_from_street


def test_segments_higher_up_are_farther_and_the_sky_is_farthest():
    labels = np.repeat([1, 2, 3], 40).reshape(120, 1).repeat(50, 1).astype(np.uint8)
    depth = depth_from_segments(labels)
    assert depth.shape == labels.shape and depth.dtype == np.uint8
    sky, middle, near = (depth[labels == label].mean() for label in (1, 2, 3))
    assert sky > middle > near and sky > 0.9 * 255 and near < 0.25 * 255


def test_an_upright_segment_is_nearer_than_what_it_hides():
    labels = np.ones((100, 60), np.uint8)
    labels[50:] = 2
    labels[20:95, 20:40] = 3  # a person who stands near and reaches above the horizon
    depth = depth_from_segments(labels)
    assert depth[30, 30] < depth[30, 5] - 100


def test_streets_have_sky_at_the_end_and_a_road_that_recedes():
    labels = np.full((100, 40), 3, np.uint8)
    labels[:40] = 0
    labels[30:60, 10:20] = 8
    depth = depth_from_street(labels)
    assert (depth[:30] == 255).all()
    road = depth[41:, 30].astype(int)
    assert (np.diff(road) <= 0).all() and road[0] > 200 and road[-1] < 10
    assert len(np.unique(depth[30:60, 10:20])) == 1


def test_a_street_without_a_road_still_has_depth():
    assert depth_from_street(np.full((20, 20), 1, np.uint8)).min() > 0
