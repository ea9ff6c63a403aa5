"""Reports: the pictures and numbers of a run in one HTML file. This file needs no other file."""
