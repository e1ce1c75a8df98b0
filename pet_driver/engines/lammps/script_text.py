"""Commands and words of a LAMMPS input script."""

from __future__ import annotations

from collections.abc import Callable

from ...errors import PetDriverError

_TRIPLE = '"' * 3


def split_branches(words: list[str]) -> tuple[list[str], list[list[str]]]:
    """Split an `if` command into its conditions and the commands of its branches.

    :param words: after `if`: a condition, `then`, commands, `elif`, a condition, commands ...
    :return: conditions, and one list of commands more than conditions: the last is that of `else`
    :raises PetDriverError: if a condition or `then` is missing
    """
    rest = iter(words[2:])
    conditions: list[str] = words[:1]
    branches: list[list[str]] = [[]]
    for word in rest:
        if word == "elif":
            conditions.append(next(rest, ""))
            branches.append([])
        elif word == "else":
            branches.append([])
        else:
            branches[-1].append(word)
    if words[1:2] != ["then"] or "" in conditions:
        raise PetDriverError(
            f"`if {' '.join(words)}` lacks a condition or `then`; write `if CONDITION then COMMAND`"
        )
    if len(branches) == len(conditions):
        branches.append([])
    return conditions, branches


def quoted(word: str) -> str:
    """A word in the kind of quotes that it does not hold itself."""
    mark = next((mark for mark in ('"', "'") if mark not in word), _TRIPLE)
    return f"{mark}{word}{mark}"


def join_lines(text: str) -> list[str]:
    """Commands of a script; lines that end in ``&`` and triple-quoted blocks are joined."""
    commands: list[str] = []
    pending = ""
    for line in text.splitlines():
        pending += line
        if pending.count(_TRIPLE) % 2:
            pending += "\n"
        elif pending.rstrip().endswith("&"):
            pending = pending.rstrip()[:-1]
        else:
            commands.append(pending)
            pending = ""
    if pending:
        commands.append(pending)
    return commands


def split_words(line: str) -> list[str]:
    """Words of a command without its comment.

    What stands in single, double or triple quotes is one word, and so is ``$(...)``, a formula that
    LAMMPS replaces by its value before it splits the line.
    """
    return [word for word, _ in _marked_words(line)]


def expanded_words(line: str, expand: Callable[[str], str]) -> list[str]:
    """Words of a command with the values of variables in the place of their names.

    LAMMPS replaces variables before it splits a line, so a value of several words is several words,
    except in quotes.

    :param expand: value of a word with variables
    """
    words: list[str] = []
    for word, is_quoted in _marked_words(line):
        value = expand(word) if "$" in word else word
        words += [value] if is_quoted else split_words(value)
    return words


def without_words(line: str, count: int) -> str:
    """A command without its first words, quotes and all."""
    rest = line.lstrip()
    for _ in range(count):
        _, rest, _ = _first_word(rest)
    return rest


def _marked_words(line: str) -> list[tuple[str, bool]]:
    """Words of a command without its comment, and whether each is quoted."""
    words: list[tuple[str, bool]] = []
    rest = line.lstrip()
    while rest and not rest.startswith("#"):
        is_quoted = rest.startswith(('"', "'"))
        word, rest, closed = _first_word(rest)
        if not closed:  # LAMMPS itself reports it
            return [(word, False) for word in line.split()]
        words.append((word, is_quoted))
    return words


def _first_word(text: str) -> tuple[str, str, bool]:
    """First word, the text after it, and whether its quote is closed."""
    mark = next((mark for mark in (_TRIPLE, '"', "'") if text.startswith(mark)), "")
    if mark:
        word, closed, rest = text[len(mark) :].partition(mark)
        return word, rest.lstrip(), bool(closed)
    end = _end_of_word(text)
    return text[:end], text[end:].lstrip(), True


def _end_of_word(text: str) -> int:
    """Where the first word of a text ends, which begins with no quote."""
    depth = 0  # of parentheses inside ``$(...)``
    for index, character in enumerate(text):
        if character == "(" and (depth or text[index - 1 : index] == "$"):
            depth += 1
        elif character == ")" and depth:
            depth -= 1
        elif not depth and (character.isspace() or character == "#"):
            return index
    return len(text)
