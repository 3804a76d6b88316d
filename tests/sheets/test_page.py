"""The page about imports, and the tables behind it."""

from tests.sheets.page import FILE, TABLES, page


def test_the_columns_on_the_page_are_those_of_the_code():
    text = FILE.read_text("utf-8")
    assert TABLES.search(text)
    assert text == page(text), "run `make columns`"
