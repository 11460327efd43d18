"""The example in docs/data-classifiers.md runs as it stands there."""

import re
from pathlib import Path


def test_the_example_trains_a_classifier(tmp_path, monkeypatch, capsys):
    page = Path(__file__).parents[3] / "docs" / "data-classifiers.md"
    (example,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, str(page), "exec"), {})
    assert float(capsys.readouterr().out) == 1.0
    assert (tmp_path / "quality" / "card.json").is_file()
