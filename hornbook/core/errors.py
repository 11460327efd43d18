"""The one exception a user's mistake may raise.

The command line prints a :class:`UserError` as one sentence and exits with status 1.
Everything else that escapes is a bug of ours and keeps its traceback.
"""


class StoppedEarly(Exception):
    """A signal asked a run to stop, and it has saved; the message says where it stands.

    The command line ends with status 75, which asks whoever started it to start it again.
    """


class UserError(Exception):
    """Something the user can mend.

    The message is one sentence (or two) that names the place (file, line or key), says
    what is wrong, and what to do about it.
    """
