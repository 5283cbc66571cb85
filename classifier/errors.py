"""The error that a user can do something about."""


class UserError(Exception):
    """Something outside the code is wrong: an input, a full disk, a program that is missing.

    The message is one line that says what is wrong and what to do.
    """
