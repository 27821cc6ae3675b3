import pytest

from anyir.apps.time_left import TimeLeft, in_words


@pytest.fixture
def sources(tmp_path):
    """sources(a=10, ...) → files of so many bytes: a.jpg, or with b_png=10, b.png."""

    def make(**sizes):
        paths = []
        for name, size in sizes.items():
            stem, _, kind = name.partition("_")
            paths.append(tmp_path / f"{stem}.{kind or 'jpg'}")
            paths[-1].write_bytes(b"x" * size)
        return paths

    return make


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def restore(left, clock, source, seconds, *, restored=True):
    left.begin(source)
    clock.now += seconds
    left.end(restored=restored)


def test_nothing_is_said_before_anything_is_known(sources, clock):
    a, _ = sources(a=10, b=10)
    left = TimeLeft([a], clock)
    assert left.seconds() is None
    left.begin(a)
    clock.now += 5
    assert left.seconds() is None


def test_larger_files_take_longer(sources, clock):
    a, b, c = sources(a=10, b=30, c=60)
    left = TimeLeft([a, b, c], clock)
    restore(left, clock, a, 2)
    assert left.seconds() == pytest.approx(18)
    restore(left, clock, b, 6)
    assert left.seconds() == pytest.approx(12)


def test_tiles_of_the_picture_in_hand_count(sources, clock):
    a, b = sources(a=100, b=300)
    left = TimeLeft([a, b], clock)
    left.begin(a)
    clock.now += 3
    left.advance(0.25)
    assert left.seconds() == pytest.approx(9 + 36)


def test_what_is_skipped_or_fails_says_nothing_of_the_speed(sources, clock):
    a, b, c, d = sources(a=1000, b=10, c=10, d=500)
    left = TimeLeft([a, b, c, d], clock)
    restore(left, clock, a, 0.01, restored=False)
    restore(left, clock, b, 4)
    restore(left, clock, d, 0.01, restored=False)
    assert left.seconds() == pytest.approx(4)
    restore(left, clock, c, 4)
    assert left.seconds() == 0


def test_each_format_has_its_own_rate_once_it_is_known(sources, clock):
    a, b, c, d = sources(a=10, b_png=100, c_png=100, d=10)
    left = TimeLeft([a, b, c, d], clock)
    restore(left, clock, a, 10)
    assert left.seconds() == pytest.approx(210), "until then as all others"
    restore(left, clock, b, 10)
    assert left.seconds() == pytest.approx(20)


def test_files_that_are_not_there_or_empty_do_no_harm(sources, clock, tmp_path):
    (a,) = sources(a=0)
    left = TimeLeft([a, tmp_path / "nowhere.jpg"], clock)
    restore(left, clock, a, 1)
    assert left.seconds() is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (None, ""),
        (0, "a few seconds left"),
        (12, "about 10 s left"),
        (54, "about 50 s left"),
        (58, "about 1 min left"),
        (89 * 60, "about 89 min left"),
        (5.4 * 3600, "about 5 h left"),
        (72 * 3600, "about 3 days left"),
    ],
)
def test_no_more_is_said_than_is_known(seconds, words):
    assert in_words(seconds) == words
