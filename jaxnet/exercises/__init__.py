"""Exercises for the notebooks: a question each, an answer that is checked, and the reason where it is wrong."""

from jaxnet.exercises.checking import check, question

__all__ = ["check", "question"]
