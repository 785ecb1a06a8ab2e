"""figures: a dataset and its answer -> SVGs, each with its words and its table."""
