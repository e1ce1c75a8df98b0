"""Devices, progress and timing: used everywhere, importing nothing of ours but errors."""
