"""Settings of the data room: where text comes from and what is kept of it."""

from typing import Annotated, Literal

import msgspec

from hornbook.core.settings import (
    Count,
    Fraction,
    NonNegative,
    NonNegativeFloat,
    Positive,
    Settings,
)
from hornbook.data.classify.config import ClassifyConfig
from hornbook.data.dedup.config import DedupConfig
from hornbook.data.filter.config import FilterConfig
from hornbook.data.read.config import CleanConfig, Source


class DecontaminateConfig(Settings, frozen=True):
    """Which benchmarks no document may share a run of words with."""

    # Files, or folders of files: of .jsonl and .csv all strings of a record are one item,
    # of others a line; relative to benchmarks_folder, so that a name may be enough.
    benchmarks: tuple[str, ...]
    benchmarks_folder: str = ""
    ngram: Count = 13  # words a document and an item must share in a row (GPT-3: 13)
    min_share: Fraction = 0.0  # of an item's runs that the document must hold, too
    max_documents: NonNegative = 0  # a run that more of them hold is common; 0: none is


class MixtureConfig(Settings, frozen=True):
    """How much of each source training sees: by weight of its name, or by size.

    The mix is made while training, so that another needs no new shards.
    """

    weights: dict[str, NonNegativeFloat] = {}  # noqa: RUF012  (msgspec copies it)
    temperature: Positive = 1.0  # above 1 evens the sources' sizes out
    max_epochs: Positive = 4.0  # no source is seen more often


class SplitConfig(Settings, frozen=True):
    """The held-out validation set: whole documents by hash, or the tail of every document."""

    by: Literal["document", "tail"] = "document"
    holdout: Annotated[float, msgspec.Meta(gt=0.0, lt=1.0)] = 0.05


class DataConfig(Settings, frozen=True):
    """From sources to documents."""

    sources: tuple[Source, ...]
    # where the stages' units are worked on: this machine, or a Ray cluster
    engine: Literal["local", "ray"] = "local"
    # processes; 0 takes all cores, once it is worth starting them
    workers: NonNegative = 0
    clean: CleanConfig = CleanConfig()
    filters: FilterConfig = FilterConfig()
    dedup: DedupConfig = DedupConfig()
    # one or several
    classify: ClassifyConfig | tuple[ClassifyConfig, ...] | None = None
    decontaminate: DecontaminateConfig | None = None
    split: SplitConfig = SplitConfig()
    mixture: MixtureConfig | None = None
    # What a training sample is: a window of the running text, or whole documents side by
    # side that do not see each other.
    packing: Literal["windows", "documents"] = "windows"
