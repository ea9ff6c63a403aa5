"""Networks, losses, one step of gradient descent and the training loop, and small tools that all other modules use."""
