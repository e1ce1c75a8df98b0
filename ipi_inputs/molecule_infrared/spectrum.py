"""Compute an infrared spectrum from dipoles: python spectrum.py simulation.dipole_0 [0.5].

Writes spectrum.txt with the wave number in 1/cm and the intensity (power spectrum of the time
derivative of the dipole, arbitrary unit). The second argument is the time between dipoles in
femtoseconds.
"""

import sys

import numpy as np

dipoles = np.loadtxt(sys.argv[1])
step = float(sys.argv[2]) if len(sys.argv) > 2 else 0.5
currents = np.diff(dipoles[len(dipoles) // 10 :], axis=0) / step  # without the first tenth
window = np.hanning(len(currents))[:, None]
intensity = (np.abs(np.fft.rfft(currents * window, axis=0)) ** 2).sum(axis=1)
per_centimetre = np.fft.rfftfreq(len(currents), step * 1e-15) / 2.99792458e10
# Smoothed over 20 1/cm.
width = max(int(20.0 / per_centimetre[1]), 1)
smooth = np.convolve(intensity, np.ones(width) / width, mode="same")
np.savetxt("spectrum.txt", np.column_stack([per_centimetre, smooth])[per_centimetre < 4500.0])
