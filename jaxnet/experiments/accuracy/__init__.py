"""How well does the network read? The film's network from many seeds, with tweaks, with other layers; and shared mistakes."""
