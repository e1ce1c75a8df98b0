"""Model files, and the conversion of models trained elsewhere."""
