"""The networks of Nielsen's book, which the film recommends: his settings, scored by his rule and by the mean of all runs."""
