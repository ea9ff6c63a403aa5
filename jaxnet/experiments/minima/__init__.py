"""Are the local minima that networks find equally good? Hundreds of networks of each width, and the cost between two."""
