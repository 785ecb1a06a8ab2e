"""tables: the columns of every table, and how tables are kept in Parquet files."""
