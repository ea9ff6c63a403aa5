"""How does it find its way down? Functions of one and two numbers, the film's cost of 13,002 numbers, and why it must be smooth."""
