"""A module of the suite's that is imported only after the student's program has run."""

ANSWER = 42
