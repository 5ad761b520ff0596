"""Which data no training step may see: identities of the clips, and a fixed share of the portraits."""

from __future__ import annotations

from hashlib import sha1
from pathlib import Path

_LIST = Path(__file__).with_name("heldout.txt")


def heldout_identities() -> frozenset[str]:
    lines = _LIST.read_text().splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


def is_heldout_portrait(group: str) -> bool:
    """About 15 % of the portraits, by a hash of the person's group so that no person is on both sides."""
    return int(sha1(group.encode()).hexdigest(), 16) % 100 < 15
