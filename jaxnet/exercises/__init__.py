"""Exercises for the notebooks. `question` gives the question. `check` checks an answer and says why a wrong answer is wrong."""

from jaxnet.exercises.checking import check, question

__all__ = ["check", "question"]
