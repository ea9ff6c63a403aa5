"""The mathematics of one image, one step and one loop, and small tools that all other modules use."""
