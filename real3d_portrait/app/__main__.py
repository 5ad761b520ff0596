"""`python -m real3d_portrait.app`: the app, from wherever the package is installed."""

from real3d_portrait.app import launch

if __name__ == "__main__":
    launch()
