"""dataset: run files -> tables with a descriptor. Nothing outside this room touches Parquet."""
