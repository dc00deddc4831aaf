"""`python -m worker.child ROLE FD PARENT DEVICE`: become a child of that role and serve requests until the line closes."""

from __future__ import annotations

import signal
import socket
import sys
import traceback

from headstart.errors import HeadstartError
from headstart.processes import die_with_parent
from worker.child.channel import Channel, Fenced, Serve
from worker.messages import Message

MOST_TRACE = 10_000
"""Characters of a traceback that go to the supervisor's log."""


def main() -> None:
    role, descriptor, parent = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    die_with_parent(parent, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the supervisor decides when to stop
    channel = Channel(socket.socket(fileno=descriptor))
    serve = _prepare(role, channel, sys.argv[4])
    while True:
        _attempt(serve, channel.next_request(), channel)


def _prepare(role: str, channel: Channel, device: str) -> Serve:
    """Import what the role needs, so that the child is warm, and say so."""
    if role == "reader":
        from worker.child import reading  # noqa: PLC0415 - each role imports only what it needs

        return reading.prepare(channel)
    from worker.child import engine  # noqa: PLC0415

    return engine.prepare(channel, device)


def _attempt(serve: Serve, request: Message, channel: Channel) -> None:
    """The attempt edge: everything that can be thrown ends here, in words for the user and a traceback for the log."""
    try:
        serve(request, channel)
    except Fenced:
        sys.exit(0)
    except (KeyboardInterrupt, SystemExit):
        raise
    except HeadstartError as error:
        channel.failed(error, trace=traceback.format_exc()[-MOST_TRACE:])
    except BaseException as error:  # noqa: BLE001 - tokenizers raise PanicException, which is not an Exception
        channel.say("crashed", error=type(error).__name__, trace=traceback.format_exc()[-MOST_TRACE:])


if __name__ == "__main__":
    main()
