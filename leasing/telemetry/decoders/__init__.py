"""Protocols by which batteries report. A decoder is pure: bytes or text in, structures out, no
input or output and no clock; whatever cannot be read is a `FrameError`."""
