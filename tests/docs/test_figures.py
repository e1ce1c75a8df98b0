"""Documents quote figures from files only, and a figure written by hand is found."""

from __future__ import annotations

import check_figures
import figures
import pytest


def test_documents_quote_figures_from_files_only():
    found = [
        sentence for path in check_figures.documents() for sentence in check_figures.problems(path)
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "a step takes 108 ms",
        "an error of 4.5 meV/atom",
        "85 meV/Å, as the table shows",
        "| 192 | 88 % |",
        "about 2.3 times faster than before",
        "a modulus of 150 GPa",
        "(29 GB)",
        "| 64 boxes | 1.9 s |",
    ],
)
def test_a_figure_written_by_hand_is_found(text):
    assert check_figures.by_hand(text)


@pytest.mark.parametrize(
    "text",
    [
        "it waits 60 s",
        "a time step of 0.5 fs at 300 K and 0.1 MPa, cutoff 4.25 Å",
        "```text\n92.0 % of 13.3 ms\n```\n",
        "`--memory-share 40 %`",
        'a step takes {{ result("versions", "cases", "x") | fixed(0) }} ms',
        'a step takes <!-- figure: result("x") -->12<!-- end --> ms',
        "an aim of 5 meV/Å <!-- not measured -->",
        "the barrier is 70 meV <!-- checked by a test -->",
    ],
)
def test_others_are_not(text):
    assert not check_figures.by_hand(text)


def test_values_are_filled_in_and_unknown_ones_are_errors():
    text = '<!-- figure: result("silicon", "model") -->x<!-- end -->'
    assert figures.filled(text) == '<!-- figure: result("silicon", "model") -->silicon<!-- end -->'
    assert figures.rendered("{{ 1.234 | fixed(1) }} {{ 0.0123 | significant }}") == "1.2 0.012"
    with pytest.raises(KeyError, match="silicon has no 'no such'"):
        figures.rendered('{{ result("silicon", "no such") }}')
