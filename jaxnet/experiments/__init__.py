"""Experiments: one folder for each question of the film or of a paper, with measurement, verdict and pictures."""
