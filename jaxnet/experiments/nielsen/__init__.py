"""The networks of Nielsen's book, with the settings of the book, scored by the rule of the book and by the mean of all runs."""
