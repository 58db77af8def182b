"""Streams of JSON lines."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.client.core import json_lines


@given(st.lists(st.binary(max_size=20)), st.lists(st.integers(0, 300), max_size=20))
def test_lines_do_not_depend_on_how_the_stream_is_chunked(
    lines: list[bytes], cuts: list[int]
) -> None:
    lines = [line.replace(b"\n", b"") for line in lines]
    stream = b"".join(line + b"\n" for line in lines) + b"unfinished"
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    reader = json_lines.LineSplitter()
    pieces = [stream[start:end] for start, end in itertools.pairwise(edges)]
    assert [line for piece in pieces for line in reader.feed(piece)] == lines


def test_an_endless_line_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_lines, "LINE_BYTES_MAX", 100)
    reader = json_lines.LineSplitter()
    assert reader.feed(b"x" * 100) == []
    with pytest.raises(json_lines.MalformedResponse):
        reader.feed(b"x")
