"""Draw the infrared spectrum: python picture.py, after a run, in its folder.

Reads spectrum.txt, which spectrum.py makes,, writes picture.png.
"""

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

wave, intensity = np.loadtxt("spectrum.txt").T
figure, axis = plt.subplots(figsize=(6.0, 2.6), layout="constrained")
axis.plot(wave, intensity / intensity[wave > 500].max())
axis.set(xlabel="wave number, 1/cm", ylabel="intensity", xlim=(4000, 500), ylim=(0, 1.05))
figure.savefig("picture.png", dpi=90)
