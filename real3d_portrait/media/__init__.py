"""Pictures, sound and video: decoding and encoding as streams. Knows nothing about faces."""
