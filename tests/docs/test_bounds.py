"""Every bound of the code is in the table of docs/operations.md, with its value."""

from collections import Counter

from tests.docs import bounds


def test_the_table_of_bounds_is_up_to_date() -> None:
    assert bounds.PAGE.read_text() == bounds.page(), "run `make reference`"
    assert bounds.table() in bounds.PAGE.read_text()


def test_every_bound_of_the_code_is_in_the_table() -> None:
    """A new constant that ends in _MAX needs a line in bounds.txt."""
    listed = Counter([each.place for each in bounds.bounds()]) + Counter(bounds.no_buffers())
    assert listed == Counter(bounds.in_the_code())


def test_every_row_says_what_it_bounds() -> None:
    for bound in bounds.bounds():
        assert bound.what.endswith("."), bound
        assert bounds.shown(bound)
