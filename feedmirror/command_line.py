"""How a command or a program ends: what it says when it fails, and its exit status.

0    done
1    the work failed
2    what was asked, or how this is configured, has to change
130  interrupted
"""

import errno
import os
import sys
from collections.abc import Callable
from pathlib import Path

from pymongo.errors import PyMongoError

from feedmirror.errors import ConfigError, FeedmirrorError, exit_code

INTERRUPTED = 130

# What an output gives that takes no more: of a full disk, and of a device that fails.
_OUTPUT_FAILS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


def tell(error: FeedmirrorError | PyMongoError) -> int:
    """Say why it ends, in a line for each reason; its exit status."""
    reasons = error.mistakes if isinstance(error, ConfigError) else [str(error)]
    sys.stderr.writelines(f"feedmirror: {' '.join(reason.split())}\n" for reason in reasons)
    return exit_code(error)


def ended(command: Callable[[], int]) -> int:
    """The exit status of a command. No traceback where its output ends early (`| head`, a full disk), nor at Ctrl-C."""
    if sys.stdout is None:  # the shell has closed it: `>&-`
        sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 - for as long as the program runs
    try:
        status = command()
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return 0
    except OSError as error:
        if error.filename is not None or error.errno not in _OUTPUT_FAILS:
            raise
        _drop_output()
        sys.stderr.write(f"feedmirror: the output cannot be written: {error.strerror}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("feedmirror: interrupted\n")
        return INTERRUPTED
    return status


def _drop_output() -> None:
    """What is left in the buffer would fail once more when the interpreter ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
