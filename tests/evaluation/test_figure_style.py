import pytest
from matplotlib import rc_context
from matplotlib.figure import Figure

from anyir.errors import UsageError
from anyir.evaluation.figure_style import PHOTOGRAPH_FORMATS, TASK_STYLES, check_format, file_content
from anyir.evaluation.sets import SETS


def diagonal() -> Figure:
    figure = Figure(figsize=(1, 1))
    figure.add_subplot().plot([0, 1], [0, 1], label="a line")
    return figure


@pytest.mark.parametrize(
    ("suffix", "head"), [(".png", b"\x89PNG"), (".JPG", b"\xff\xd8"), (".svg", b"<?xml"), (".pdf", b"%PDF")]
)
def test_each_format_is_what_it_says_and_the_same_bytes_each_time(suffix, head):
    content = file_content(diagonal, suffix, PHOTOGRAPH_FORMATS)
    assert content.startswith(head)
    assert content == file_content(diagonal, suffix, PHOTOGRAPH_FORMATS)


def test_a_users_own_settings_change_nothing():
    wanted = file_content(diagonal, ".svg")
    with rc_context({"font.size": 20, "axes.facecolor": "red", "savefig.bbox": "tight"}):
        assert file_content(diagonal, ".svg") == wanted


def test_charts_are_not_written_as_jpeg():
    with pytest.raises(UsageError, match=r"'\.jpg'; choose \.png, \.svg, \.pdf"):
        check_format(".jpg")
    with pytest.raises(UsageError, match=r"'\.gif'; choose \.jpg, \.png"):
        file_content(diagonal, ".gif", PHOTOGRAPH_FORMATS)


def test_every_task_has_a_colour_and_a_marker_of_its_own():
    assert TASK_STYLES.keys() == {each.task for each in SETS.values()}
    colours, markers = zip(*TASK_STYLES.values(), strict=True)
    assert len(set(colours)) == len(set(markers)) == len(TASK_STYLES)
