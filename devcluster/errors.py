"""What can go wrong with a development cluster; each message says what to do about it."""


class DevclusterError(Exception):
    """Told to a person as it is, without a traceback."""
