"""Fixtures shared by the tokenizer's tests."""

import pytest

from tests.tokenizer import samples


@pytest.fixture(scope="session")
def corpus() -> list[str]:
    return samples.corpus()
