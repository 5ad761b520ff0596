"""The full model at the released size (Real3D-Portrait, Ye et al., ICLR 2024).

Networks know tensors only. Files are read and written by `importer`, parts are assembled into the model by `model`,
and `speech_motion` goes from arrays to the audio-to-motion network and back.
"""
