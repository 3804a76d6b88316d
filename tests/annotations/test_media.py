"""Types by content."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leasing.annotations import media
from schemas.annotations import MediaType
from tests.annotations import files


@pytest.mark.parametrize("media_type", MediaType)
def test_a_file_of_each_type_is_recognised(media_type):
    detected = media.detect(files.OF_TYPE[media_type])
    if media_type in (MediaType.TEXT, MediaType.CSV):
        assert detected == {MediaType.TEXT, MediaType.CSV}
    else:
        assert detected == {media_type}


def test_a_picture_of_a_phone_is_recognised_by_a_compatible_brand():
    assert media.detect(files.MIF1) == {MediaType.HEIC}


@pytest.mark.parametrize("name", files.REFUSED)
def test_what_may_not_be_attached_is_of_no_type(name):
    assert media.detect(files.REFUSED[name]) == frozenset()


def test_a_signature_counts_at_the_beginning_only():
    for content in (files.PDF, files.PNG, files.JPEG, files.WEBP):
        assert media.detect(b"\0" + content) == frozenset()


@given(st.binary(max_size=400))
def test_any_bytes_get_a_verdict(content):
    found = media.detect(content)
    assert len(found) <= 2
    for prefix in (b"PK\x03\x04", b"%PDF-1.4", b"\x89PNG"):
        media.detect(prefix + content)


@given(st.binary(max_size=60), st.integers(0, len(files.XLSX)))
def test_a_damaged_workbook_gets_a_verdict(damage, at):
    content = files.XLSX[:at] + damage + files.XLSX[at + len(damage) :]
    assert media.detect(content) <= set(MediaType)


def test_the_verdict_over_the_largest_file_is_quick():
    texts = (b"a" * 10_000_000, b" " * 10_000_000, b"<" * 10_000_000, "中".encode() * 3_000_000)
    started = time.perf_counter()
    for text in texts:
        assert media.detect(text)
    assert time.perf_counter() - started < 10
