"""What a report is made of: the facts of one run, as ``report.json`` holds them.

Everything but :class:`Run` may be missing; a missing section drops its page and is listed
under "not recorded". Numbers are plain (bytes, seconds, nats); the template words them.
Series are named ``stage/quantity``: ``pretrain/loss``, ``pretrain/validation``,
``pretrain/learning_rate``, ``sft/loss``, ``dpo/margin`` and so on. ``loss`` and
``validation`` of a stage share a picture, every other quantity gets its own.
"""

from typing import Any

import msgspec

Scalar = str | int | float | bool | None


class Part(msgspec.Struct, forbid_unknown_fields=True):
    """Base of every section: a key nobody reads is a mistake, and said so."""


class Run(Part):
    """Which run this is. ``started`` is text, as it shall be printed."""

    name: str
    started: str = ""
    seconds: float | None = None
    status: str = "complete"
    seed: int | None = None
    version: str = ""  # of Hornbook
    commit: str = ""
    restarts: int = 0


class Source(Part):
    """Where raw text came from."""

    name: str
    documents: int
    bytes: int
    licence: str = ""


class Removed(Part):
    """How much one rule removed."""

    documents: int
    bytes: int


class Specimen(Part):
    """A text that was removed, or its beginning."""

    text: str
    path: str = ""
    note: str = ""  # what exactly the rule found
    id: str = ""


class Skipped(Part):
    """A thing that never became a document: a stray file, a broken record."""

    path: str
    reason: str


class SourceCounts(msgspec.Struct):
    """What one source brought into a step of the curation, and what of it was left."""

    documents_in: int
    documents_out: int
    bytes_in: int
    bytes_out: int


class FunnelStep(msgspec.Struct):
    """One step of the curation: what went in, what came out, why the rest did not.

    ``examples`` holds texts that were removed, by the reason they were removed for. Steps
    may measure more than is printed, so other keys are welcome here.
    """

    name: str
    documents_in: int
    documents_out: int
    bytes_in: int
    bytes_out: int
    reasons: dict[str, Removed] = {}
    examples: dict[str, list[Specimen]] = {}
    skipped: list[Skipped] = []
    skipped_count: dict[str, int] = {}  # of all, listed or not, by reason
    by_source: dict[str, SourceCounts] = {}


class Tokenizer(Part):
    """``examples`` are texts as the list of their pieces."""

    kind: str
    vocab_size: int
    bytes_per_token: dict[str, float] = {}
    longest: list[str] = []
    examples: list[list[str]] = []
    facts: dict[str, Scalar] = {}


class Model(Part):
    """``shape`` in the words of the recipe; ``parameters`` by part, which add up."""

    shape: dict[str, Scalar]
    parameters: dict[str, int]
    memory_bytes: dict[str, int] = {}
    flops_per_token: float | None = None


class Training(Part):
    """``tokens`` were seen, out of ``train_tokens`` different ones.

    ``references`` are losses to compare with, in nats per token, drawn as dashed lines:
    ``{"frequencies only": 6.1}``. The uniform guess is added from the vocabulary's size.
    """

    steps: int
    tokens: int
    train_tokens: int | None = None
    validation_tokens: int | None = None
    references: dict[str, float] = {}
    facts: dict[str, Scalar] = {}


class Series(Part):
    """One curve: what ``x`` counts (``step``, ``tokens``), the unit of y, the points."""

    pts: list[tuple[float, float]]
    x: str = "step"
    unit: str = ""


class Event(Part):
    """Something that happened at a step: a restart, a spike, a skipped batch."""

    step: int
    kind: str
    text: str
    stage: str = ""


class Eval(Part):
    """One measured result, its 95 % interval, and what else scored on the same task."""

    task: str
    metric: str
    value: float
    n: int | None = None
    ci95: tuple[float, float] | None = None
    higher_is_better: bool = True
    baselines: dict[str, float] = {}
    note: str = ""


class Sample(Part):
    """What the model wrote after ``prompt`` at ``step``."""

    step: int
    prompt: str
    text: str


class Turn(Part):
    """One message of a conversation."""

    role: str
    content: str


class Transcript(Part):
    """A conversation; ``failed`` and ``note`` say what is wrong with it, where known."""

    turns: list[Turn]
    note: str = ""
    failed: bool = False


class Stage(Part):
    """How long a stage of the run took."""

    name: str
    seconds: float
    note: str = ""


class Check(Part):
    """An automatic check: it holds or not; ``text`` says what was compared, in numbers."""

    id: str
    ok: bool
    text: str


class Artifact(Part):
    """A file that belongs to the run."""

    path: str
    sha256: str
    bytes: int


class Facts(Part):
    """The facts of one run."""

    run: Run
    environment: dict[str, Scalar] = {}
    config: dict[str, Any] = {}
    config_changed: dict[str, Any] = {}  # dotted key -> the default it differs from
    sources: list[Source] = []
    funnel: list[FunnelStep] = []
    tokenizer: Tokenizer | None = None
    model: Model | None = None
    training: Training | None = None
    series: dict[str, Series] = {}
    events: list[Event] = []
    post: dict[str, dict[str, Scalar]] = {}  # stage -> facts, in the order to print
    evals: list[Eval] = []
    samples: list[Sample] = []
    transcripts: list[Transcript] = []
    transcript_rule: str = ""  # how the transcripts were chosen
    stages: list[Stage] = []
    checks: list[Check] = []
    artifacts: list[Artifact] = []
    commands: list[str] = []  # that repeat the run and use what it made
    schema: int = 1


SECTIONS = {
    "funnel": "the data funnel",
    "tokenizer": "the tokenizer",
    "model": "the model",
    "training": "tokens and steps of training",
    "pretrain": "the curves of pretraining",
    "post": "post-training",
    "evals": "evaluations",
    "samples": "samples over time",
    "transcripts": "chat transcripts",
    "stages": "the time of each stage",
    "config": "the recipe",
    "environment": "the environment",
    "artifacts": "digests of the files made",
}


def not_recorded(facts: Facts) -> list[str]:
    """The sections this run has no facts for, in words."""
    recorded = {
        "pretrain": any(name.startswith("pretrain/") for name in facts.series),
        "post": facts.post
        or any(name.startswith(("sft/", "dpo/")) for name in facts.series),
    }
    return [
        words
        for section, words in SECTIONS.items()
        if not recorded.get(section, getattr(facts, section, None))
    ]


def to_facts(table: dict[str, Any]) -> Facts:
    """Check a plain dictionary against the schema above.

    Raises ``msgspec.ValidationError`` naming the key: wrong facts are a mistake of the
    program that gathers them, not of its user.
    """
    return msgspec.convert(table, Facts)
