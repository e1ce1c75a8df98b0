"""Evaluation of structures and graphs: energies, forces and virials."""
