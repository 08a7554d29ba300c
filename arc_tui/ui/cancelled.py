"""How work in the background ends that the user calls off; no Textual."""


class Cancelled(Exception):
    """The user has called off what was being computed."""
