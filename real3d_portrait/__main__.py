"""`python -m real3d_portrait`, the same as the command `real3d-portrait`."""

from real3d_portrait.cli import entry

if __name__ == "__main__":
    entry()
