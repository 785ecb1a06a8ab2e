"""Strict YAML: what is read, and what each trap of YAML is answered with."""

import pytest
from study_texts import BASE, complaint, read

from tandembench.study.strict_yaml import parse

GENERAL_FIX = "check indentation, brackets and quotes there and above"


def test_values_are_plain_and_every_key_has_its_line() -> None:
    values, lines = parse(
        "a: 1\nb:\n  c: [1.5, no]\n  d:\n    - {e: true}\n    - ~\nf: 'x' # y\n", "x.yaml"
    )

    assert values == {"a": 1, "b": {"c": [1.5, "no"], "d": [{"e": True}, None]}, "f": "x"}
    assert [type(value) for value in (values, values["b"], values["b"]["c"])] == [dict, dict, list]
    assert [type(one) for one in (values["a"], *values["b"]["c"])] == [int, float, str]
    of_b = {("b",): 2, ("b", "c"): 3, ("b", "c", 0): 3, ("b", "c", 1): 3, ("b", "d"): 4}
    of_d = {("b", "d", 0): 5, ("b", "d", 0, "e"): 5, ("b", "d", 1): 6}
    assert lines == {(): 1, ("a",): 1, **of_b, **of_d, ("f",): 7}


@pytest.mark.parametrize("word", ["no", "yes", "on", "off", "NO", "y", "1:30", "12e", "0x"])
def test_words_stay_words(word: str) -> None:
    assert parse(f"a: {word}", "x.yaml")[0] == {"a": word}


def test_windows_line_ends_and_a_byte_order_mark_change_nothing() -> None:
    assert read("\ufeff" + BASE.replace("\n", "\r\n")) == read(BASE)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "1: nothing in it; write 'key: value' lines"),
        ("- a\n- b\n", "1: not a mapping; write 'key: value' lines"),
        ("a: 1\n\tb: 2\n", "2: a tab; use spaces"),
        ("a:\n\t- 1\n", "2: a tab; use spaces"),
        ("a: 1\nb: 2\na: 3\n", '3: duplicate key "a"; remove one of the two'),
        ("a: 1\n'a': 2", '2: duplicate key "a"; remove one of the two'),
        ("a: &x 1", "1: an anchor (&x); delete it and write the value out where it is used"),
        ("a: 1\nb: *x", "2: an alias (*x); write the value out"),
        ("a: 1\n<<: {b: 1}", "2: a merge key (<<); write its keys out"),
        ("a: !!str 1", "1: a tag (!!str); delete it"),
        ("a:\n  - !mine 1", "2: a tag (!mine); delete it"),
        ("a: ! 1", "1: a tag (!); delete it"),
        ("%YAML 1.1\n---\na: no\n", "2: a % directive above this line; delete it"),
        ("%TAG ! tag:x,2000:\n---\na: 1\n", "2: a % directive above this line; delete it"),
        ("a: 1\n---\nb: 2\n", "2: a second document begins here; keep one in the file"),
        ("a: 1\nb: 2026-01-31\n", "2: 2026-01-31 is a date in YAML; quote it: '2026-01-31'"),
        ("a: 1\n3: b\n", "2: the key 3 is not text; write a name there"),
        *(
            (f"a: 1\n{key}: b\n", "2: brackets or braces where a key is expected; write a name")
            for key in ("{{ name }}", "{{c: 1}: 2}", "[a]", "? {c: 1}\n")
        ),
        ("true: b\n", "1: the key true is not text; write a name there"),
        (": b\n", "1: the key null is not text; write a name there"),
        ("a: |\n  b\n  c\n", "1: a text of several lines; write it in one line"),
        ('a: 1\nb: "x\\n"', "2: a text of several lines; write it in one line"),
        ('"a\\nb": 1', "1: a text of several lines; write it in one line"),
        ('a: "\\e[31m"', "1: an invisible character (U+001B); delete it"),
        ('a: "x\\u202ey"', "1: an invisible character (U+202E); delete it"),
        ('a: "\\ud800"', "1: an invisible character (U+D800); delete it"),
        ("a: 1\nb: x\u200by", "2: an invisible character (U+200B); delete it"),
        ("a: 1\nb: \0", "2: a character that YAML forbids (U+0000); delete it"),
        ("a: 1\nb: \ud800", "2: a character that YAML forbids (U+D800); delete it"),
        ("a: 1\nb: " + "9" * 5000, "2: a value of 5000 characters; shorten it to 1000"),
        ("a: " + "[" * 30 + "]" * 30, "1: over 20 levels deep; remove some brackets"),
        ("a: b: c", f"1: no valid YAML: mapping values are not allowed here; {GENERAL_FIX}"),
        (
            "a: 1\nb: [1, 2",
            f"2: no valid YAML: expected ',' or ']', but got '<stream end>'; {GENERAL_FIX}",
        ),
        (
            "a: 1\nb: @x",
            f"2: no valid YAML: found character '@' that cannot start any token; {GENERAL_FIX}",
        ),
    ],
)
def test_each_trap_is_named_with_line_and_fix(text: str, line: str) -> None:
    assert complaint(text).startswith(f"my.yaml:{line}")
