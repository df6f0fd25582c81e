"""How a command or a program ends: what it says when it fails, and its exit status.

0    done
1    the work failed
2    what was asked, or how this is configured, has to change
130  interrupted
"""

import os
import sys
from collections.abc import Callable

from pymongo.errors import PyMongoError

from feedmirror.errors import ConfigError, FeedmirrorError, exit_code

INTERRUPTED = 130


def tell(error: FeedmirrorError | PyMongoError) -> int:
    """Say why it ends, in a line for each reason; its exit status."""
    reasons = error.mistakes if isinstance(error, ConfigError) else [str(error)]
    sys.stderr.writelines(f"feedmirror: {' '.join(reason.split())}\n" for reason in reasons)
    return exit_code(error)


def ended(command: Callable[[], int]) -> int:
    """The exit status of a command; a reader that went away (`| head`) or Ctrl-C ends it without a traceback."""
    try:
        status = command()
        sys.stdout.flush()
    except BrokenPipeError:
        # what is left in the buffer would fail once more when the interpreter ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        sys.stderr.write("feedmirror: interrupted\n")
        return INTERRUPTED
    return status
