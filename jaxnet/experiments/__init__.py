"""One file a question of the film or of a paper: pure functions of settings that return arrays, and a verdict that follows."""
