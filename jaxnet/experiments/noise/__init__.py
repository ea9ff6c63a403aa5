"""Confident nonsense: the answers of networks to images without a digit, the reasons, and the remedies."""
