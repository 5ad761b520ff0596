"""Names for the kinds of NumPy arrays that go through the package; shapes stand beside each use."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

UInt8Array = NDArray[np.uint8]
Int32Array = NDArray[np.int32]
UInt16Array = NDArray[np.uint16]
BoolArray = NDArray[np.bool_]
Float32Array = NDArray[np.float32]
Float64Array = NDArray[np.float64]
FloatArray = NDArray[np.floating]

Frame = UInt8Array  # (H, W, 3) RGB, or (H, W, 4) with straight alpha
Matte = Float32Array  # (H, W) alpha in 0..1
Landmarks = Float32Array  # (478, 3) pixels: x right, y down, z
