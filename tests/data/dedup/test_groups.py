"""Candidates: exactly the documents that share a key, found linearly, noted once."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hornbook.data.dedup import groups as module
from hornbook.data.dedup.groups import find_groups


def reference(keys, eligible):
    found = set()
    for band in keys:
        by_key = {}
        for document, key in enumerate(band):
            if eligible[document]:
                by_key.setdefault(int(key), []).append(document)
        found |= {tuple(group) for group in by_key.values() if len(group) > 1}
    return found


def as_tuples(groups):
    return [tuple(group) for group in np.split(groups.members, groups.ends[1:-1])]


keys_of_documents = st.integers(1, 40).flatmap(
    lambda n: st.lists(
        st.lists(st.integers(0, 12), min_size=n, max_size=n), min_size=1, max_size=5
    )
)


@settings(max_examples=150, deadline=None)
@given(keys_of_documents, st.randoms(), st.sampled_from([1, 3, 32768]))
def test_groups_are_the_documents_with_equal_keys(keys, random, part):
    spread = np.random.default_rng(0).integers(0, 2**64, 13, dtype=np.uint64)
    spread[0] = 0  # keys are hashes, and 0 and the largest number are possible ones
    spread[1] = 2**64 - 1
    bands = spread[np.array(keys)]
    eligible = np.array([random.random() < 0.8 for _ in keys[0]])
    before, module.PART = module.PART, part
    try:
        found = find_groups(bands, eligible)
    finally:
        module.PART = before
    groups = as_tuples(found) if len(found.members) else []
    assert len(set(groups)) == len(groups)  # noted once, however many bands find it
    assert set(groups) == reference(bands, eligible)


def test_many_documents_and_large_groups():
    random = np.random.default_rng(5)
    documents = 200_000
    bands = random.integers(0, 2**64, (3, documents), dtype=np.uint64)
    bands[1, ::7] = bands[1, 0]
    copies = random.integers(0, documents // 2, 30_000)
    bands[:, -30_000:] = bands[:, copies]
    everyone = np.ones(documents, bool)
    assert set(as_tuples(find_groups(bands, everyone))) == reference(bands, everyone)


def test_nobody_and_nothing_in_common():
    bands = np.arange(12, dtype=np.uint64).reshape(2, 6)
    for eligible in (np.zeros(6, bool), np.ones(6, bool)):
        found = find_groups(bands, eligible)
        assert (found.members.size, found.ends.tolist()) == (0, [0])
        assert found.among(np.arange(6)).size == 0
