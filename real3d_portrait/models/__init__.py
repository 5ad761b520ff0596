"""Networks and renderers. They know arrays and tensors only: no files, no hub."""
