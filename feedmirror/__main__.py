"""The mirror from the command line: `python -m feedmirror COMMAND ...`."""

import argparse
import logging
import sys
from collections.abc import Callable, Sequence

from feedmirror.command_line import ended
from feedmirror.commands import parse, poll, remove, sources

_COMMANDS = (parse, poll, remove, sources)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name; its exit status."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    return ended(lambda: run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m feedmirror")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add_to(commands)
    return parser


if __name__ == "__main__":
    logging.raiseExceptions = False  # a line that no program reads any more (`| head`) is no error
    sys.exit(main())
