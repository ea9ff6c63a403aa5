"""How well does the network read? Many seeds of the film's network, tweaks, other layers, and common mistakes."""
