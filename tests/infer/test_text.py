"""Text while it comes: whole characters, stop strings wherever the pieces are cut."""

from bytes_tokenizer import StreamDecoder
from hypothesis import given
from hypothesis import strategies as st

from hornbook.infer.text import Writer, overlap


def stream(text: str, stop: tuple[str, ...]):
    writer = Writer(StreamDecoder(), stop)
    pieces = []
    for byte in text.encode():
        pieces.append(writer.push(byte))
        if writer.stopped:
            break
    return [*pieces, writer.flush()], writer


@given(st.text(alphabet="ab\n😀é"), st.lists(st.text(alphabet="ab\né", max_size=3)))
def test_streamed_text_ends_before_the_first_stop_string(text, stops):
    pieces, writer = stream(text, tuple(stops))
    places = [text.find(stop) for stop in stops if stop and stop in text]
    whole = "".join(pieces)
    if places:
        # The stop string that is complete first wins, so one that starts earlier but
        # ends later may be cut into; no stop string is ever shown.
        assert writer.stopped
        assert text.startswith(whole)
        assert not any(stop in whole for stop in stops if stop)
    else:
        assert whole == text


def test_what_may_become_a_stop_string_is_held_back():
    writer = Writer(StreamDecoder(), ("\nUser:",))
    shown = [writer.push(byte) for byte in b"Hi\nUs\nUser: x"]
    assert "".join(shown) == "Hi\nUs"
    assert writer.stopped
    assert shown[2] == ""


def test_half_a_character_is_never_shown():
    pieces, _ = stream("a😀", ())
    assert pieces == ["a", "", "", "", "😀", ""]


def test_overlap():
    assert overlap("abc", "cd") == 1
    assert overlap("aab", "aabc") == 3
    assert overlap("abc", "abc") == 0
    assert overlap("", "x") == 0
