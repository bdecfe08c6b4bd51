"""The one exception that the command line turns into a single line on stderr and exit code 2."""


class UserError(Exception):
    """Bad input that the user can mend: the message names the file or argument and the remedy, in one line."""
