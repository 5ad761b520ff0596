"""`real3d-portrait verify`: the sub-command, apart so that the others start without cryptography."""

from __future__ import annotations

import argparse
import sys
from typing import Any


def add_verify_command(commands: Any) -> None:
    """Add `verify` to what `ArgumentParser.add_subparsers` returned."""
    parser = commands.add_parser("verify", help="whether a file was made here, elsewhere, altered, or is unmarked")
    parser.set_defaults(run=_verify, verbose=False)
    parser.add_argument("files", nargs="+", metavar="FILE", help="a video, GIF or PNG, or a folder of PNG pictures")


def _verify(arguments: argparse.Namespace) -> None:
    from real3d_portrait.provenance.verify import verify

    for file in arguments.files:
        verdict = verify(file)
        sys.stdout.write(f"{file}: {verdict.marking}: {verdict}\n")
