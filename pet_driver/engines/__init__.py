"""Thin adapters between the engines' conventions and the potential."""
