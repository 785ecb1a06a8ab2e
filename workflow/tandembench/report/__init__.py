"""report: a dataset -> its technical report, Markdown and page. Numbers come from the tables."""
