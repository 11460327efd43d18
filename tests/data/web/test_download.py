"""Downloads against a server that breaks every promise: what is there in the end is whole."""

import os
import signal
import subprocess
import sys
import threading
import time
from email.utils import formatdate

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hornbook.data.web import download
from hornbook.data.web.download import Downloader, DownloadError

RAW = os.urandom(3_000_000)


class Time:
    """A clock that only sleeping moves on."""

    def __init__(self):
        self.now, self.waits = 0.0, []

    def sleep(self, seconds):
        self.waits.append(seconds)
        self.now += seconds

    def clock(self):
        return self.now


@pytest.fixture
def clock():
    return Time()


def downloader(clock, **settings):
    return Downloader(
        "tester",
        settings.pop("requests_per_second", 1e9),
        sleep=clock.sleep,
        clock=clock.clock,
        **settings,
    )


def test_a_file_is_fetched_once_and_left_alone_then(server, tmp_path, clock):
    server.files["/a"] = RAW
    for _ in range(2):
        downloader(clock).fetch(f"{server.url}/a", tmp_path / "deep" / "a")
    assert (tmp_path / "deep" / "a").read_bytes() == RAW
    assert len(server.requests) == 1
    assert server.asked("User-Agent") == ["tester"]
    assert os.listdir(tmp_path / "deep") == ["a"]


def test_a_broken_connection_goes_on_where_it_broke(server, tmp_path, clock):
    server.files["/a"] = RAW
    server.tricks = [{"break_after": 1_000_000}, {"break_after": 1_500_000}]
    downloader(clock).fetch(f"{server.url}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == RAW
    assert server.asked("Range") == [None, "bytes=1000000-", "bytes=2500000-"]
    assert server.asked("If-Range") == [None, '"one"', '"one"']


def test_another_run_goes_on_with_what_an_earlier_one_left(server, tmp_path, clock):
    server.files["/a"] = RAW
    server.tricks = [{"break_after": 2_000_000}, *[{"status": 503}] * 6]
    with pytest.raises(DownloadError, match="503, 6 times"):
        downloader(clock).fetch(f"{server.url}/a", tmp_path / "a")
    assert not (tmp_path / "a").exists()
    downloader(clock).fetch(f"{server.url}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == RAW
    assert server.asked("Range")[-1] == "bytes=2000000-"


def test_a_file_that_changed_is_begun_again(server, tmp_path, clock):
    def change():
        server.files["/a"], server.tags["/a"] = RAW[::-1], '"two"'

    server.files["/a"] = RAW
    server.tricks = [{"break_after": 1_000_000}, {"before": change}]
    downloader(clock).fetch(f"{server.url}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == RAW[::-1]


def test_a_changed_file_is_noticed_even_if_the_server_ignores_if_range(
    server, tmp_path, clock
):
    def change():
        server.files["/a"] = RAW[::-1]

    server.files["/a"] = RAW
    other = {"before": change, "headers": {"ETag": '"two"'}}
    server.tricks = [{"break_after": 1_000_000}, other]
    downloader(clock).fetch(f"{server.url}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == RAW[::-1]


@pytest.mark.parametrize("tag", ["", 'W/"weak"'])
def test_without_a_strong_tag_nothing_is_pieced_together(server, tmp_path, clock, tag):
    server.files["/a"], server.tags["/a"] = RAW, tag
    server.tricks = [{"break_after": 1_000_000}]
    downloader(clock).fetch(f"{server.url}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == RAW
    assert server.asked("Range") == [None, None]


def test_a_server_without_ranges_gives_the_whole_again(server, tmp_path, clock):
    server.files["/a"] = RAW
    server.tricks = [{"break_after": 1_000_000}, {"no_range": True}]
    downloader(clock).fetch(f"{server.url}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == RAW


def test_a_server_that_always_breaks_at_the_same_place_is_given_up(
    server, tmp_path, clock
):
    server.files["/a"] = RAW
    server.tricks = [{"break_after": 1000, "no_range": True}] * 50
    with pytest.raises(DownloadError, match="cut off after 1000 of 3000000 bytes"):
        downloader(clock).fetch(f"{server.url}/a", tmp_path / "a")
    assert len(server.requests) < 10


def test_a_complete_partial_file_needs_no_more_bytes(server, tmp_path, clock):
    server.files["/a"] = RAW
    server.tricks = [{"break_after": 1_000_000}, *[{"status": 500}] * 6]
    with pytest.raises(DownloadError):
        downloader(clock).fetch(f"{server.url}/a", tmp_path / "a")
    (tmp_path / "a.partial").write_bytes(RAW)
    downloader(clock).fetch(f"{server.url}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == RAW


@pytest.mark.parametrize("facts", [b"", b"{}", b'{"size": "x"}', b"\0"])
def test_damaged_notes_of_an_earlier_run_cost_a_new_start(
    server, tmp_path, clock, facts
):
    server.files["/a"] = RAW
    (tmp_path / "a.partial").write_bytes(b"something else")
    (tmp_path / "a.partial.json").write_bytes(facts)
    downloader(clock).fetch(f"{server.url}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == RAW


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_asks_for_patience_gets_it(server, tmp_path, clock, status):
    server.files["/a"] = RAW
    server.tricks = [
        {"status": status, "headers": {"Retry-After": "7"}},
        {"status": status, "headers": {"Retry-After": formatdate(time.time() + 100)}},
        {"status": status, "headers": {"Retry-After": "99999999"}},
        {"status": status, "headers": {"Retry-After": "soon"}},
        {"status": status},
    ]
    downloader(clock).fetch(f"{server.url}/a", tmp_path / "a")
    seven, dated, capped, *backoff = clock.waits
    assert seven == 7
    assert 90 < dated <= 100
    assert capped == download.MAX_RETRY_AFTER
    assert backoff == [16, 32]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_what_will_not_pass_is_not_tried_again(server, tmp_path, clock, status):
    server.tricks = [{"status": status}]
    with pytest.raises(DownloadError, match=str(status)):
        downloader(clock).fetch(f"{server.url}/a", tmp_path / "a")
    assert len(server.requests) == 1


def test_a_server_that_is_not_there_is_given_up_in_the_end(tmp_path, clock):
    with pytest.raises(DownloadError, match="no answer"):
        downloader(clock).fetch("http://127.0.0.1:9/a", tmp_path / "a")
    assert clock.waits == [2, 4, 8, 16, 32]


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "ftp://127.0.0.1/a", "data:,x", "nothing", "http://"]
)
def test_only_http_is_fetched(tmp_path, clock, url):
    with pytest.raises(DownloadError):
        downloader(clock).fetch(url, tmp_path / "a")


def test_a_redirect_leads_to_http_only(server, tmp_path, clock):
    server.files["/b"] = RAW
    server.tricks = [{"status": 302, "headers": {"Location": "/b"}}]
    downloader(clock).fetch(f"{server.url}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == RAW
    server.tricks = [{"status": 302, "headers": {"Location": "file:///etc/passwd"}}]
    with pytest.raises(DownloadError):
        downloader(clock).fetch(f"{server.url}/a", tmp_path / "c")


def test_the_pace_is_kept(server, tmp_path, clock):
    for name in "abcd":
        server.files[f"/{name}"] = RAW
    slow = downloader(clock, requests_per_second=0.5, bytes_per_second=1_000_000)
    for name in "abcd":
        slow.fetch(f"{server.url}/{name}", tmp_path / name)
    assert clock.now == pytest.approx(12, rel=0.1)  # 12 MB at 1 MB/s
    assert server.most_open == 1
    clock.now, clock.waits = 0.0, []
    paced = downloader(clock, requests_per_second=0.5)
    for number in range(5):
        paced.fetch_range(f"{server.url}/a", number, 10, tmp_path / f"r{number}")
    assert clock.now == pytest.approx(8)  # five requests, two seconds apart


def test_a_part_of_a_file_is_fetched_alone(server, tmp_path, clock):
    server.files["/a"] = RAW
    server.tricks = [{"break_after": 100}]
    downloader(clock).fetch_range(f"{server.url}/a", 1000, 5000, tmp_path / "p")
    assert (tmp_path / "p").read_bytes() == RAW[1000:6000]
    assert server.asked("Range") == ["bytes=1000-5999"] * 2


@pytest.mark.parametrize(
    ("trick", "offset", "why"),
    [
        ({"no_range": True}, 10, "no part"),
        ({}, 4_000_000, "no such bytes"),
        ({"status": 404}, 0, "404"),
    ],
)
def test_a_part_that_cannot_be_had_says_why(
    server, tmp_path, clock, trick, offset, why
):
    server.files["/a"] = RAW
    server.tricks = [trick]
    with pytest.raises(DownloadError, match=why):
        downloader(clock).fetch_range(f"{server.url}/a", offset, 10, tmp_path / "p")
    assert not (tmp_path / "p").exists()


TRICKS = st.one_of(
    st.builds(dict, status=st.sampled_from([500, 502, 503, 429, 408])),
    st.builds(dict, break_after=st.integers(0, 200_000)),
    st.builds(dict, break_after=st.integers(0, 200_000), no_range=st.just(True)),
)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(TRICKS, max_size=5))
def test_any_five_misfortunes_end_in_the_same_file(server, tmp_path_factory, tricks):
    folder = tmp_path_factory.mktemp("any")
    server.files["/a"], server.tricks = RAW[:200_000], list(tricks)
    downloader(Time()).fetch(f"{server.url}/a", folder / "a")
    assert (folder / "a").read_bytes() == RAW[:200_000]


def test_two_processes_share_a_download(server, tmp_path, clock):
    server.files["/a"] = RAW
    server.tricks = [{"before": lambda: time.sleep(0.3)}]
    both = [
        threading.Thread(
            target=downloader(clock).fetch, args=(f"{server.url}/a", tmp_path / "a")
        )
        for _ in range(2)
    ]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert (tmp_path / "a").read_bytes() == RAW
    assert len(server.requests) == 1


def test_killed_in_the_middle_it_goes_on(server, tmp_path, clock):
    server.files["/a"] = RAW
    code = (
        "import sys; from pathlib import Path; "
        "from hornbook.data.web.download import Downloader; "
        "Downloader('t', 9, 300_000).fetch(sys.argv[1], Path(sys.argv[2]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, f"{server.url}/a", str(tmp_path / "a")]
    )
    partial = tmp_path / "a.partial"
    deadline = time.monotonic() + 60
    while not (partial.exists() and partial.stat().st_size):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "a").exists()
    have = partial.stat().st_size
    downloader(clock).fetch(f"{server.url}/a", tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == RAW
    assert server.asked("Range")[-1] == f"bytes={have}-"
