"""`arc-tui serve`: console and browsers in a web page, for who has the token."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Annotated

import typer

from arc_core.base.extras import require
from arc_core.base.paths import expanded
from arc_core.base.text import printable
from arc_core.run.directory import open_run
from arc_tui.commands.completion import run_names
from arc_tui.commands.options import EVALS_DIR, RUNS_DIR, EvalsDir, RunsDir
from arc_tui.commands.output import echo


def serve(
    run: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN]",
            autocompletion=run_names,
            help="A run's name, or the start of it, or latest; the list of runs if left out.",
        ),
    ] = None,
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Where to listen; 0.0.0.0 is everywhere.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", metavar="N", min=0, max=65535, help="The port; 0 takes a free one.")
    ] = 0,
    read_only: Annotated[
        bool | None,
        typer.Option(
            "--read-only/--no-read-only",
            help="Whether pages only look; if left out, those from other machines do.",
        ),
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(
            "--token-file",
            metavar="FILE",
            parser=expanded,
            help="A file of mode 0600 with the token; else ARC_TUI_SERVE_TOKEN, else a new one.",
        ),
    ] = None,
    runs_dir: RunsDir = RUNS_DIR,
    evals_dir: EvalsDir = EVALS_DIR,
) -> None:
    """Show console and browsers in a web page, with a token."""
    require("arc-tui serve", "serve", ("aiohttp",))
    # Here, as it is the extra that brings what these import.
    from arc_tui.serve.access import Access, is_loopback, token_of
    from arc_tui.serve.server import Server, listening, views_of
    from arc_tui.serve.server import run as run_server

    name = open_run(runs_dir, run).name if run is not None else None
    token = token_of(token_file)
    with listening(host, port) as on:
        address, at = on.getsockname()[:2]
        only_here = is_loopback(address)
        server = Server(views_of(name, runs_dir, evals_dir), Access(token, only_here, read_only), at)

        def begun() -> None:
            what = f"The run {printable(name)}" if name is not None else f"The runs in {runs_dir}"
            echo(f"{printable(what)} in a browser; Ctrl+C ends this and leaves training alone:\n")
            echo(f"    http://{_shown(address)}:{at}/?token={token}\n")
            if not only_here:
                echo(
                    "Other machines reach this, and nothing is encrypted: the network can read the token. "
                    "ssh -L is safer (docs/serve.md)."
                )

        asyncio.run(run_server(server, on, begun))


def _shown(address: str) -> str:
    """Write an address as a browser takes it; for one that stands for all, this machine's name."""
    if address in ("0.0.0.0", "::"):
        return printable(socket.gethostname())
    return f"[{address}]" if ":" in address else address
