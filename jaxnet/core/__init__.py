"""The mathematics of one image, one step and one loop, and the small plumbing that everything stands on."""
