"""Where the real data is; tests that need it are skipped where it is absent."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real datasets (its README says what each is)."""
    beside = Path(__file__).parents[3] / "shared" / "data"
    folder = Path(os.environ.get("HORNBOOK_TEST_DATA", beside))
    if not folder.is_dir():
        pytest.skip(f"the real data is not at {folder} (HORNBOOK_TEST_DATA)")
    return folder
