"""Errors that a person reads: each message is one sentence naming the input and the remedy."""

from ingredients.core.printable import printable_lines


class IngredientsError(Exception):
    """Anything this package raises on purpose; what its message quotes of files and names is made fit to print."""

    def __str__(self) -> str:
        """The message, without commands to a terminal."""
        return printable_lines(super().__str__())


class UserInputError(IngredientsError):
    """The user gave something that cannot be used; the command line prints the message and exits with code 2."""


class PhotoError(UserInputError):
    """A photo that cannot be opened or used."""


class NoFaceError(PhotoError):
    """A photo in which no face was found."""


class PhotographError(PhotoError):
    """A photograph, given to a model that knows drawn people only."""


class PromptError(UserInputError):
    """A prompt that the text encoder cannot read."""


class ShapeError(UserInputError):
    """A size or a number of frames that the model cannot make."""


class ArgumentError(UserInputError, ValueError):
    """An argument of a call, or of a pipeline's settings, that cannot be used."""


class NotFiniteError(UserInputError):
    """Values that are no numbers (NaN), or without end, in weights, in what was given or in what came out."""


class OutputError(UserInputError):
    """A result that cannot be written where it was asked for."""


class ModelFolderError(UserInputError):
    """A model folder with a part missing, or a tensor of the wrong shape."""


class HubError(UserInputError):
    """A model that cannot be fetched from the hub."""


class MissingDependencyError(UserInputError):
    """An optional library that is not installed; the message holds the command that installs it."""


class OutOfMemoryError(UserInputError):
    """A video for which the device, or the machine, has too little memory in the memory mode in use."""


class SpeedOptionError(UserInputError):
    """A speed option that does not exist, or that cannot be used here or with another one."""
