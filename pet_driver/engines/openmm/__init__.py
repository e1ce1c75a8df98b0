"""OpenMM: ``MLPotential("pet", model="water")`` of OpenMM-ML, which finds `factory` by itself.

Importing this package imports neither torch nor OpenMM.
"""
