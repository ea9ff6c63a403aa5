"""How well does the network read? The film's exact network from many seeds, the tweaks, the shapes, the shared mistakes."""
