"""From the facts of a run to ``report.json`` and ``report.pdf``.

The template is Typst (``report.typ`` and the files it imports), compiled by the typst
wheel with the fonts inside it. The facts reach it as one JSON text and are printed as
strings; nothing in them is ever read as markup. The same facts give the same bytes.
"""

import itertools
import re
from pathlib import Path
from typing import Any

import msgspec
import typst

from hornbook.core.files import atomic_file, write_json
from hornbook.report.checks import standard_checks
from hornbook.report.facts import Facts, FunnelStep, not_recorded, to_facts
from hornbook.report.printable import for_print, visible
from hornbook.report.recipe import recipe_tables
from hornbook.report.series import thin

TEMPLATES = Path(__file__).parent


def write_report(facts: dict[str, Any], out: Path) -> None:
    """Write ``out/report.json`` and ``out/report.pdf`` from ``facts`` (see ``facts.py``).

    The checks every run can be put to are added to those given, and the curves thinned.
    Raises ``msgspec.ValidationError`` where the facts don't fit their schema.
    """
    checked = complete(to_facts(facts))
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "report.json", _storable(checked))
    pdf, _ = compile_report(checked)
    with atomic_file(out / "report.pdf") as handle:
        handle.write(pdf)


def draw_funnel(name: str, stages: list[dict[str, Any]], out: Path) -> None:
    """Draw the funnel of the data ``stages`` (their facts) as ``out``, an SVG picture."""
    steps = msgspec.convert(stages, list[FunnelStep], strict=False)
    facts = for_print({"name": name, "funnel": msgspec.to_builtins(steps)})
    picture = _compiler("funnel.typ", facts).compile(format="svg")
    assert isinstance(picture, bytes)
    with atomic_file(out) as handle:
        handle.write(picture)


def complete(facts: Facts) -> Facts:
    """The facts with the standard checks added and every curve thinned."""
    given = {check.id for check in facts.checks}
    computed = [check for check in standard_checks(facts) if check.id not in given]
    series = {
        name: msgspec.structs.replace(curve, pts=thin(curve.pts))
        for name, curve in facts.series.items()
    }
    return msgspec.structs.replace(facts, checks=facts.checks + computed, series=series)


def compile_report(facts: Facts) -> tuple[bytes, list[str]]:
    """The PDF and the compiler's warnings; a right template gives none."""
    compiler = _compiler("report.typ", _printed(facts))
    pdf, warnings = compiler.compile_with_warnings(format="pdf", timestamp=0)
    assert isinstance(pdf, bytes)
    return pdf, [warning.diagnostic for warning in warnings]


def _compiler(template: str, facts: Any) -> typst.Compiler:
    return typst.Compiler(
        TEMPLATES / template,
        root=TEMPLATES,
        font_paths=typst.Fonts(include_system_fonts=False),
        sys_inputs={"facts": msgspec.json.encode(facts).decode()},
    )


def _printed(facts: Facts) -> dict[str, Any]:
    """What the template reads: the facts ready to print, and what it can't work out itself."""
    table = msgspec.to_builtins(facts)
    for step in table["funnel"]:
        for specimen in itertools.chain(*step["examples"].values()):
            specimen["text"] = re.sub(r"\n\s*\n", "\n", specimen["text"])
    if tokenizer := table["tokenizer"]:
        tokenizer["longest"] = [visible(piece) for piece in tokenizer["longest"]]
        tokenizer["examples"] = [
            [visible(piece) for piece in example] for example in tokenizer["examples"]
        ]
    recipe = recipe_tables(facts.config, facts.config_changed)
    del table["config"], table["config_changed"]
    return for_print({**table, "recipe": recipe, "not_recorded": not_recorded(facts)})


def _storable(facts: Facts) -> Any:
    """The facts as JSON can hold them: a half of a surrogate pair has no UTF-8."""
    return _without_surrogates(msgspec.to_builtins(facts))


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list | tuple):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {
            _without_surrogates(k): _without_surrogates(v) for k, v in value.items()
        }
    return value
