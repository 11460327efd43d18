"""How much the server takes on before it says no."""

from hornbook.core.settings import Count, Positive, Settings


class Limits(Settings, frozen=True):
    """What one request, and all of them together, may ask for.

    A sequence is one text being written: a request for ``n`` answers to each of several
    prompts is that many.
    """

    body_bytes: Count = 1 << 20  # more: 413
    sequences: Count = 64  # of one request; more: 422
    waiting: Count = 128  # sequences of all requests together; more: 429
    read_seconds: Positive = 30.0  # for a body to arrive whole; longer: 408
    write_seconds: Positive = (
        60.0  # for a reader to take what it was sent; longer: dropped
    )
    drain_seconds: Count = (
        30  # for what is being written when the server is told to end
    )
