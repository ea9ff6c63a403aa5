"""Are some real digits easier than others, unlike noise? Learning in one epoch, and the loss-sensitivity of each example."""
