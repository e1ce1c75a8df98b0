"""Commands and words of a LAMMPS input script."""

from __future__ import annotations

import shlex

from ...errors import PetDriverError


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
    return f"'{word}'" if '"' in word else f'"{word}"'


def join_lines(text: str) -> list[str]:
    """Commands of a script; lines that end in ``&`` and triple-quoted blocks are joined."""
    commands: list[str] = []
    pending = ""
    for line in text.splitlines():
        pending += line
        if pending.count('"""') % 2:
            pending += "\n"
        elif pending.rstrip().endswith("&"):
            pending = pending.rstrip()[:-1] + " "
        else:
            commands.append(pending)
            pending = ""
    if pending:
        commands.append(pending)
    return commands


def split_words(line: str) -> list[str]:
    """Words of a command without its comment; words in quotes stay together."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.escape = ""
    try:
        return list(lexer)
    except ValueError:  # an unbalanced quote: LAMMPS itself reports it
        return line.split()
