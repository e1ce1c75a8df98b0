"""The seam: structures or graphs in; energies, forces and virials out."""
