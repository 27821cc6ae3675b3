import pytest

from anyir.errors import reason, shown


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Größe [1].png", "Größe [1].png"),
        ("ä\n\x1b[31m.png", "ä\\n\\x1b[31m.png"),
        ("\udcff.png", "\\udcff.png"),  # how Python names a file whose name is not UTF-8
    ],
)
def test_only_what_would_break_the_line_is_escaped(name, expected):
    assert shown(name) == expected


def test_a_reason_is_one_line_and_never_empty():
    assert reason(ValueError("first line,\n   second")) == "first line, second"
    assert reason(ValueError()) == "ValueError"
