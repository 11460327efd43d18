"""Exercises of the book, with checks: ``hornbook check 5`` writes a worksheet, then judges it.

Every chapter is one file, ``chapterNN.py``. Its public functions are the exercises, in
order: the docstring is the text the book prints, the body is for the reader. For each
``NAME`` there is a ``check_NAME(answer)`` that raises :class:`~hornbook.exercises.judge.Wrong`
with a hint.
"""

from hornbook.exercises.judge import Verdict, Wrong, judge
from hornbook.exercises.worksheet import CHAPTERS, exercises_in, worksheet

__all__ = ["CHAPTERS", "Verdict", "Wrong", "exercises_in", "judge", "worksheet"]
