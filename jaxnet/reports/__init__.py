"""Reports: the pictures and numbers of a run in one HTML file, which needs no other file."""
