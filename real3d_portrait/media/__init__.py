"""Images, sound and video: decoding and encoding as streams, independent of faces."""
