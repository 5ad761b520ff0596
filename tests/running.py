"""Recipes and benchmarks run as from the command line, inside the tests' process."""

from __future__ import annotations

import importlib
import logging
import sys
from pathlib import Path
from unittest.mock import patch

import cv2
import torch


def run_module(name: str, *arguments: str | Path | float) -> None:
    """As `python -m NAME ARGUMENTS`; threads, the generator of torch and logging are as before afterwards."""
    threads, cv_threads = torch.get_num_threads(), cv2.getNumThreads()
    try:
        with torch.random.fork_rng(devices=[]), patch.object(sys, "argv", [name, *map(str, arguments)]):
            importlib.import_module(name).main()
    finally:
        torch.set_num_threads(threads)
        cv2.setNumThreads(cv_threads)
        logging.disable(logging.NOTSET)
