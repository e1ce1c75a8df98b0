"""Lines of input scripts are joined and split as LAMMPS does it."""

import pytest

from pet_driver.engines.lammps.script_text import (
    expanded_words,
    join_lines,
    quoted,
    split_branches,
    split_words,
)
from pet_driver.errors import PetDriverError


def test_lines_are_joined():
    text = 'fix a all &\n nve # note\nprint """one\ntwo"""\nrun 1'
    assert [split_words(line)[0] for line in join_lines(text)] == ["fix", "print", "run"]
    assert join_lines("variable long string ab&\ncd") == ["variable long string abcd"]
    assert join_lines("run &\n  5") == ["run   5"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("fix a all   nve # note", ["fix", "a", "all", "nve"]),
        ("run 5# note", ["run", "5"]),
        ("# note", []),
        ("", []),
        ("""print "it's" 'say "x"' end""", ["print", "it's", 'say "x"', "end"]),
        ('print "a # b"', ["print", "a # b"]),
        ('if "1 == 1" then """print "hello world" """', None),
        ("if $(2 > (1 + 0)) then run", ["if", "$(2 > (1 + 0))", "then", "run"]),
        ("variable a equal (1+2)*3 end", ["variable", "a", "equal", "(1+2)*3", "end"]),
        ('print "open', ["print", '"open']),
    ],
)
def test_words(line, words):
    if words is None:
        words = ["if", "1 == 1", "then", 'print "hello world" ']
    assert split_words(line) == words


def test_a_variable_may_hold_several_words():
    values = {"${model}": "water skin 0.4", "${path}": "my model", "${none}": ""}
    line = "pair_style pet ${model} ${none} '${path}'  # ${model}"
    words = expanded_words(line, values.__getitem__)
    assert words == ["pair_style", "pet", "water", "skin", "0.4", "my model"]


def test_a_word_can_be_quoted_whatever_it_holds():
    for word in ("plain", "it's", 'say "x"', """it's "x" """):
        assert split_words(f"print {quoted(word)}") == ["print", word]


def test_branches():
    words = split_words('a then "run 1" "run 2" elif b "run 3" else "run 4"')
    assert split_branches(words) == (["a", "b"], [["run 1", "run 2"], ["run 3"], ["run 4"]])
    assert split_branches(["a", "then", "b"]) == (["a"], [["b"], []])
    with pytest.raises(PetDriverError, match="lacks a condition"):
        split_branches(["a", "b"])
