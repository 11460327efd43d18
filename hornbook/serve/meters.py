"""What the server counts, in the text form that Prometheus reads.

The names are those of vLLM, so that its dashboards fit after changing the prefix.
"""

from collections.abc import Iterable
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Meters:
    """Counters of one server; ``finished`` has the reason as its label."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        to = {"namespace": "hornbook", "registry": self.registry}
        self.prompt_tokens = Counter(
            "prompt_tokens", "Tokens of prompts taken on.", **to
        )
        self.generated = Counter("generation_tokens", "Tokens written.", **to)
        self.finished = Counter(
            "request_success",
            "Sequences that ended, by reason.",
            ["finished_reason"],
            **to,
        )
        self.refused = Counter("requests_refused", "Turned away with 429.", **to)
        self.first = Histogram(
            "time_to_first_token_seconds", "From the request on.", buckets=SECONDS, **to
        )
        self.between = Histogram(
            "inter_token_latency_seconds", "Between two tokens.", buckets=SECONDS, **to
        )
        self.whole = Histogram(
            "e2e_request_latency_seconds", "Until the end.", buckets=SECONDS, **to
        )
        self.running = Gauge("num_requests_running", "Sequences being written.", **to)
        self.waiting = Gauge("num_requests_waiting", "Sequences not begun yet.", **to)
        self.cache = Gauge(
            "kv_cache_usage_perc", "Share of the fullest cache in use, 0 to 1.", **to
        )

    def tokens(self, count: int, seconds: float, first: bool) -> None:
        """``count`` tokens came ``seconds`` after those before them, or after the request."""
        self.generated.inc(count)
        (self.first if first else self.between).observe(seconds)

    def watch(self, models: Iterable[Any]) -> None:
        """Note how full the models' batches are."""
        models = list(models)
        batches = [model.batch for model in models]
        reading = sum(batch.reading is not None for batch in batches)
        self.running.set(sum(len(batch.live) for batch in batches) + reading)
        self.waiting.set(sum(len(batch.waiting) for batch in batches))
        self.cache.set(max((model.cache_share() for model in models), default=0.0))

    def text(self) -> bytes:
        """Everything counted so far."""
        return generate_latest(self.registry)
