"""Who is let in, how much they may bring, and what is said to those who are not."""

import http.client
import json
import socket
import threading

import pytest
from loopback import open_tiny, run_server, send, wait_for

LONG = {"prompt": "The cat", "max_tokens": 400, "seed": 1, "logit_bias": {"256": 5}}


@pytest.fixture(scope="module")
def guarded(model_directory):
    running = run_server(
        {"tiny": lambda: open_tiny(model_directory)},
        keys=("first key", "second key"),
        body_bytes=2000,
        waiting=4,
        read_seconds=0.5,
    )
    wait_for(lambda: running.service.worker.ready)
    yield running
    running.end()


def told(answer):
    error = answer.json["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return answer.status, error["code"]


def test_without_a_key_only_health_answers(guarded):
    for path in ("/v1/models", "/metrics", "/openapi.json", "/nothing"):
        answer = send(guarded.address, "GET", path)
        assert told(answer) == (401, "invalid_api_key")
    assert send(guarded.address, "GET", "/health").json == {"status": "ok"}


@pytest.mark.parametrize("key", ["first key", "second key"])
def test_each_key_opens(guarded, key):
    header = {"authorization": f"Bearer {key}"}
    assert send(guarded.address, "GET", "/v1/models", **header).status == 200


@pytest.mark.parametrize(
    "header", ["Bearer third", "first key", "Basic first key", "Bearer "]
)
def test_nothing_else_opens(guarded, header):
    assert (
        send(guarded.address, "GET", "/v1/models", authorization=header).status == 401
    )


KEY = {"authorization": "Bearer first key"}


def test_a_large_body_is_refused_by_its_header_and_by_its_bytes(guarded):
    body = {"prompt": "x" * 3000}
    answer = send(guarded.address, "POST", "/v1/completions", body, **KEY)
    assert told(answer) == (413, "body_too_large")
    chunks = iter([b'{"prompt": "', *[b"x" * 500] * 5, b'"}'])
    connection = http.client.HTTPConnection(guarded.address[7:], timeout=60)
    headers = {**KEY, "content-type": "application/json"}
    connection.request("POST", "/v1/completions", chunks, headers, encode_chunked=True)
    assert connection.getresponse().status == 413


def test_a_body_that_does_not_arrive_is_not_waited_for(guarded):
    with socket.create_connection(
        ("127.0.0.1", int(guarded.address.rpartition(":")[2]))
    ) as line:
        line.sendall(
            b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\n"
            b"authorization: Bearer first key\r\ncontent-type: application/json\r\n"
            b"content-length: 100\r\n\r\n{"
        )
        assert b" 408 " in line.recv(1000).partition(b"\r\n")[0]


def test_another_content_type_is_refused(address):
    answer = send(
        address, "POST", "/tokenize", b'{"prompt": "a"}', content_type="text/plain"
    )
    assert answer.status == 415


def test_a_name_that_is_not_this_machine_is_refused_on_loopback(address):
    assert send(address, "GET", "/v1/models", host="evil.example").status == 403
    assert send(address, "GET", "/v1/models", host="localhost:80").status == 200


def test_more_texts_than_may_wait_get_429_and_a_time_to_come_back(guarded):
    body = {**LONG, "n": 4}
    busy = threading.Thread(
        target=send, args=(guarded.address, "POST", "/v1/completions", body), kwargs=KEY
    )
    busy.start()
    wait_for(lambda: guarded.service.worker.admitted == 4)
    answer = send(guarded.address, "POST", "/v1/completions", {"prompt": "a"}, **KEY)
    busy.join()
    assert told(answer) == (429, "too_many_requests")
    assert answer.headers["retry-after"] == "1"
    again = send(guarded.address, "POST", "/v1/completions", {"prompt": "a"}, **KEY)
    assert again.status == 200


def test_too_many_texts_in_one_request_are_refused(address):
    answer = send(address, "POST", "/v1/completions", {"prompt": ["a"] * 33, "n": 2})
    assert told(answer) == (422, "too_many_sequences")


def test_while_the_model_loads_the_answer_is_503(model_directory):
    hold = threading.Event()

    def slowly():
        hold.wait(60)
        return open_tiny(model_directory)

    running = run_server({"tiny": slowly})
    try:
        health = send(running.address, "GET", "/health")
        assert (health.status, health.json) == (503, {"status": "loading"})
        answer = send(running.address, "POST", "/v1/completions", {"prompt": "a"})
        assert told(answer) == (503, "loading")
        assert "retry-after" in answer.headers
        hold.set()
        wait_for(lambda: running.service.worker.ready)
        answer = send(running.address, "POST", "/v1/completions", {"prompt": "a"})
        assert answer.status == 200
    finally:
        hold.set()
        running.end()


def live(running, name="tiny"):
    model = running.service.worker.models[name]
    return len(model.running), model.cache_share()


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_goes_away_frees_its_cache(running, stream):
    wait_for(lambda: live(running) == (0, 0.0))
    body = {**LONG, "n": 2, "stream": stream, "max_tokens": 500}
    connection = http.client.HTTPConnection(running.address[7:], timeout=60)

    headers = {"content-type": "application/json"}
    connection.request("POST", "/v1/completions", json.dumps(body).encode(), headers)
    wait_for(lambda: live(running)[0] == 2 or live(running)[1] > 0)
    connection.sock.close() if not stream else connection.close()
    wait_for(lambda: live(running) == (0, 0.0) and not running.service.worker.admitted)
    text = send(running.address, "GET", "/metrics").body.decode()
    assert 'finished_reason="cancelled"' in text


def test_a_failure_of_the_engine_ends_the_requests_it_hit_and_no_others(
    model_directory,
):
    running = run_server({"tiny": lambda: open_tiny(model_directory)})
    try:
        wait_for(lambda: running.service.worker.ready)
        batch = running.service.worker.models["tiny"].batch

        def broken():
            raise MemoryError("as if")

        batch.step = broken
        answer = send(running.address, "POST", "/v1/completions", {"prompt": "a"})
        assert answer.status == 500
        assert "MemoryError" in answer.json["error"]["message"]
        answer = send(running.address, "POST", "/v1/completions", {"prompt": "a"})
        assert answer.status == 200
    finally:
        running.end()


def test_the_answers_headers_forbid_what_a_page_could_be_made_to_do(address):
    headers = send(address, "GET", "/health").headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"


def test_metrics_count_what_was_written(address):
    def counted(name):
        lines = send(address, "GET", "/metrics").body.decode().splitlines()
        return sum(
            float(line.rpartition(" ")[2])
            for line in lines
            if line.startswith(f"{name} ")
        )

    before = counted("hornbook_generation_tokens_total")
    answer = send(address, "POST", "/v1/completions", {"prompt": "a", "seed": 3})
    written = answer.json["usage"]["completion_tokens"]
    assert counted("hornbook_generation_tokens_total") == before + written
    assert counted("hornbook_kv_cache_usage_perc") >= 0


def test_a_client_that_goes_away_leaves_no_traceback(running, caplog):
    connection = http.client.HTTPConnection(running.address[7:], timeout=60)
    headers = {"content-type": "application/json"}
    connection.request("POST", "/v1/completions", json.dumps(LONG).encode(), headers)
    wait_for(lambda: running.service.worker.admitted > 0)
    connection.close()
    wait_for(lambda: running.service.worker.admitted == 0)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]
