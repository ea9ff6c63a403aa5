"""Are some real digits easier than others, and is noise different? Learning in one epoch, and loss-sensitivity."""
