"""audit: what was printed against what runs give: claims and published tables, one engine."""
