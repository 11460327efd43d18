"""The recipe as printed: every key once, in TOML's spelling, changes marked."""

from hornbook.report.recipe import recipe_tables, wording


def test_nested_tables_and_lists_of_tables_get_their_dotted_names():
    config = {
        "seed": 1,
        "data": {
            "sources": [{"kind": "files"}, {"kind": "web"}],
            "split": {"by": "tail"},
        },
    }
    assert recipe_tables(config, {"data.sources.1.kind": "files", "seed": None}) == [
        ("", [("seed", "1", "none")]),
        ("data.sources.0", [("kind", '"files"', None)]),
        ("data.sources.1", [("kind", '"web"', '"files"')]),
        ("data.split", [("by", '"tail"', None)]),
    ]


def test_a_long_list_gets_a_row_for_each_item_and_tuples_are_lists():
    config = {"stop": ("a", "b"), "prompts": ("x" * 20, "y" * 20)}
    assert recipe_tables(config, {"prompts": []}) == [
        (
            "",
            [
                ("stop", '["a", "b"]', None),
                ("prompts.0", f'"{"x" * 20}"', "[]"),
                ("prompts.1", f'"{"y" * 20}"', ""),
            ],
        )
    ]


def test_values_are_spelt_as_in_toml():
    assert wording(True) == "true"
    assert wording(3e-4) == "0.0003"
    assert wording(1e-10) == "1e-10"
    assert wording(2.0) == "2.0"
    assert wording(['a"b', "ü"]) == '["a\\"b", "ü"]'
    assert wording([]) == "[]"
    assert wording(None) == "none"
