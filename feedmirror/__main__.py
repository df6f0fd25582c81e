"""The mirror from the command line: `python -m feedmirror COMMAND ...`."""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Sequence

from feedmirror.commands import parse, poll, sources
from feedmirror.errors import ConfigError

_COMMANDS = (parse, poll, sources)
_MISCONFIGURED = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name; its exit status."""
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        status = run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # which Python flushes once more at its end
        return 0
    except ConfigError as error:
        sys.stderr.writelines(f"feedmirror: {mistake}\n" for mistake in error.mistakes)
        return _MISCONFIGURED
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m feedmirror")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add_to(commands)
    return parser


if __name__ == "__main__":
    logging.raiseExceptions = False  # a line that no program reads any more (`| head`) is no error
    sys.exit(main())
