"""Reference of the commands, from their parsers."""

from __future__ import annotations

import argparse

from pet_driver.cli.main import build_parser
from pet_driver.engines.lammps import launcher

from .writing import Writer, cell, code, plain, table


def make(writer: Writer) -> None:
    """Write the part about all commands."""
    parser = build_parser()
    lines = []
    for name, verb in verbs(parser).items():
        lines += _described(f"pet-driver {name}", verb, _help(parser, name))
    lines += ["## pet-lmp", "", str(launcher.__doc__).replace("``", "`"), ""]
    lines += ["```text", launcher._USAGE, "```"]
    writer.text("parts/commands.md", lines)


def verbs(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Parsers of the verbs by their names."""
    return dict(_choices(parser).choices)


def _choices(parser: argparse.ArgumentParser) -> argparse._SubParsersAction:
    kinds = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return next(kinds)


def _help(parser: argparse.ArgumentParser, name: str) -> str:
    return next(
        str(choice.help) for choice in _choices(parser)._choices_actions if choice.dest == name
    )


def _described(name: str, parser: argparse.ArgumentParser, summary: str) -> list[str]:
    """Section of a command: what it does, its usage, its arguments."""
    text = " ".join(str(parser.description or "").split())
    lines = [f"## {name}", "", f"{summary[:1].upper()}{summary[1:].rstrip('.')}."]
    lines += ["", plain(text)] if text and text != summary else []
    actions = [action for action in parser._actions if action.dest != "help"]
    return [*lines, *table(("argument", "meaning"), map(_argument, actions))]


def _argument(action: argparse.Action) -> tuple[str, str]:
    """How an argument is written, and its description."""
    formatter = argparse.HelpFormatter("pet-driver")
    value = formatter._format_args(action, formatter._get_default_metavar_for_optional(action))
    if action.option_strings:
        name = ", ".join(f"{flag} {value}".strip() for flag in action.option_strings)
    else:
        positional = formatter._get_default_metavar_for_positional(action)
        name = formatter._format_args(action, positional)
    text = formatter._expand_help(action) if action.help else ""
    if action.option_strings and "default" not in text and not _is_unset(action):
        text = f"{text} (default: {action.default})"
    return code(cell(name)), plain(text)


def _is_unset(action: argparse.Action) -> bool:
    return action.default in (None, False, True, [], argparse.SUPPRESS)
