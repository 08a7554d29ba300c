"""What can go wrong that the user can mend: one sentence each, exit code 2, no traceback."""


class ArcError(Exception):
    """Base of every error whose message is meant for the user.

    The message is one sentence that names the file, key or value and says what is allowed.
    Anything else that is raised is a bug and keeps its traceback.
    """


class MissingPackageError(ArcError):
    """A package of an extra that is not installed."""


class ConfigError(ArcError):
    """A setting that is unknown, of the wrong type or outside its range."""


class DataError(ArcError):
    """A dataset that cannot be read; names file, task and cell."""


class GridSizeError(DataError):
    """A grid side outside 1..30."""


class NoSplitError(DataError):
    """A dataset that has no such split."""


class LanguageModelError(ArcError):
    """A language model that cannot be found, loaded or trained as asked."""


class RunError(ArcError):
    """A run directory that cannot be created, opened or locked."""


class CheckpointError(ArcError):
    """A checkpoint that is missing, incomplete or does not fit the model."""


class HubError(ArcError):
    """A hub of models that cannot be reached, or a repository there that cannot be read or written."""


class PreflightError(ArcError):
    """The run needs more memory or disk than there is."""


class RecipeError(ArcError):
    """A recipe that cannot be found, imported or used as it is."""


class TrackError(ArcError):
    """Something that a loop of one's own tells, gives or asks for and that cannot be had."""


class RankError(ArcError):
    """A process of a run that trains in several has ended."""
