"""Exercises for the notebooks: `question` gives the question, and `check` checks an answer and says why it is wrong."""

from jaxnet.exercises.checking import check, question

__all__ = ["check", "question"]
