"""Do networks find equally good local minima? Hundreds of networks of each width, and the cost between two networks."""
