"""How does gradient descent find its way down? Functions of one and two numbers, and the film's cost of 13,002 numbers."""
