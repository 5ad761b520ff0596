"""The one frame rate of motions, clips and everything between."""

FPS = 25  # frames per second
