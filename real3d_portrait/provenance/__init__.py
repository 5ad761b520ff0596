"""Marking of outputs as AI-generated, and checking whether a file was made here.

Every output gets a signed C2PA manifest (Content Credentials) that calls it trained algorithmic media, beside the
plain statement in the container's metadata: `manifest.marker()` signs, `verify.verify()` reads, `badge.add_badge()`
draws a visible mark. It depends on files and media alone, not on faces or models.
"""
