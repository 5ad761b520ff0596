"""Marking of outputs as AI-generated, and telling whether a file was made here.

Every output gets a signed C2PA manifest (Content Credentials) that calls it trained algorithmic media, beside the
plain words in the container's metadata: `manifest.marker()` signs, `verify.verify()` reads, `badge.add_badge()` draws
a visible mark. Knows files and media, nothing about faces or models.
"""
