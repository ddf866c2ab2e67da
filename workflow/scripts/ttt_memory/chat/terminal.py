"""Talk to a model: tell it something, drop the text, and ask what its fast weights still know.

    ttt-chat --model results/runs/write-drop-read/0/model
    ttt-chat --web                                      # the same as a page in the browser

A line that ends in a question mark is a question, any other line is told; commands begin with "/".
An answer comes from the text until that is dropped, then from the fast weights, else from nothing.
"""

import argparse
import warnings
from collections.abc import Callable
from importlib.util import find_spec

from transformers.utils import logging

from ..errors import UserError, run
from ..study import devices
from .conversation import Chat, open_run
from .line_chat import LineChat
from .prompt import talk_here
from .session import Session

SHIPPED = "data/models/smollm2-memory/0"
LOOPBACK, PORT = "127.0.0.1", 7860


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--model",
        default=SHIPPED,
        help=f"a trained run, or saved fast weights; default: {SHIPPED}, which needs its base",
    )
    parser.add_argument("--base", help="base model of a folder that holds none, in hub format")
    parser.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    parser.add_argument("--web", action="store_true", help="a page in the browser; needs Gradio")
    parser.add_argument("--host", help=f"with --web: the address to serve on; default: {LOOPBACK}")
    parser.add_argument("--port", type=int, help=f"with --web: the port; default: {PORT}")
    args = parser.parse_args()
    if not args.web and (args.host or args.port is not None):
        raise UserError("--host and --port go with --web")
    if args.web:
        serve = _server()  # before the model, which takes seconds to load
    logging.disable_progress_bar()
    warnings.simplefilter("ignore", FutureWarning)  # what libraries tell each other
    opened = open_run(args.model, args.base, devices.pick(args.device))
    if args.web:
        port = PORT if args.port is None else args.port
        serve(*opened, args.model, args.host or LOOPBACK, port)
    else:
        talk_here(LineChat(Session(Chat(*opened))))


def _server() -> Callable:
    """`web.serve`, if Gradio is there."""
    if find_spec("gradio") is None:
        raise UserError("--web needs Gradio 6; install it with: pip install '.[web]'")
    from .web.server import serve

    return serve


def main() -> None:
    """The command `ttt-chat`."""
    run(_main)


if __name__ == "__main__":
    main()
