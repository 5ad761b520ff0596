"""The full model at the released size: networks that know tensors only (Real3D-Portrait, Ye et al., ICLR 2024)."""
