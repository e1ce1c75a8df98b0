"""Adapters to the programs that move atoms."""
