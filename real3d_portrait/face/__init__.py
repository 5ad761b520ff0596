"""Faces: tracking, matting, the face model, fitting, cameras and the rasteriser."""
