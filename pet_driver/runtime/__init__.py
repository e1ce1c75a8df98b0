"""Devices, progress, timing and printing of warnings; imports nothing of ours but errors."""
