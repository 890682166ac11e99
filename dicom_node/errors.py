"""Every error that the DICOM node raises on purpose.

    WetreadError
     +- ConfigurationError      something an administrator typed is wrong; the message says where and what to do
     |   +- InvalidAETitle
     |   +- DatabaseNotReady    absent, older or newer than this program
     +- StoreFailure            a C-STORE cannot be answered with success
     |   +- OutOfResources      0xA700: our trouble (disk, database); the sender keeps the object and resends
     |   +- DatasetMismatch     0xA900: the data set contradicts the request or its SOP Class
     |   +- CannotUnderstand    0xC000: the bytes are no usable data set
     +- LeaseLost               another process owns the workitem or delivery now; drop what you did
     +- WrongState              a transition that the tables do not allow
     +- NotFound                no such study, workitem, delivery or peer
     +- StoreAway               the folder of stored objects is not there; what needs it waits
     +- SendFailure             a peer did not take an object; says whether it is worth trying again

`reports` and `agent` derive theirs beside the code that raises them.
No message holds a patient's name, an identifier of a person, or report text.
"""

from __future__ import annotations


class WetreadError(Exception):
    """Anything that wetread raises on purpose."""


class ConfigurationError(WetreadError):
    """A setting is wrong. The message names it and what to do."""


class InvalidAETitle(ConfigurationError):
    """Not an AE title (PS3.5 6.2, VR AE)."""


class DatabaseNotReady(ConfigurationError):
    """The database is absent, or of another version than this program."""


class StoreAway(WetreadError, OSError):
    """The folder of stored objects is not there: a disk that is not mounted says nothing of what was on it."""


class StoreFailure(WetreadError):
    """A C-STORE request that cannot be answered with 0x0000 (PS3.4 B.2.3).

    `comment` goes to the peer as Error Comment (0000,0902), at most 64 characters.
    """

    status = 0xC000
    reason = "cannot-understand"

    def __init__(self, comment: str) -> None:
        super().__init__(comment)
        self.comment = comment[:64]


class OutOfResources(StoreFailure):
    """Our disk or database has trouble; the peer should keep the object and send it again."""

    status = 0xA700
    reason = "out-of-resources"


class DatasetMismatch(StoreFailure):
    """The data set does not match the SOP Class or the request's UIDs."""

    status = 0xA900
    reason = "dataset-mismatch"


class CannotUnderstand(StoreFailure):
    """The bytes cannot be read as a data set with the UIDs that identify it."""


class LeaseLost(WetreadError):
    """The claim token is no longer the current one: another process has the work."""


class WrongState(WetreadError):
    """The transition table does not allow this change."""


class NotFound(WetreadError):
    """The named study, workitem, delivery or peer does not exist."""


class SendFailure(WetreadError):
    """A peer did not take, or did not prove, an object.

    permanent: sending the same bytes again cannot help until a person changes something.
    unreachable: nobody answers at its address, so whatever else is for it need not be tried now.
    may_be_there: the bytes left, or may have left, and no answer came.
    class_refused: it takes no objects of this SOP Class; it may take the same content in another form.
    code: of the dead letter that it becomes, where there is one of its own.
    lost_by: the name of the peer that has a study or film no more; it need not be the one that the object is for.
    """

    def __init__(
        self,
        message: str,
        *,
        permanent: bool = False,
        unreachable: bool = False,
        may_be_there: bool = False,
        class_refused: bool = False,
        code: str = "",
        lost_by: str = "",
    ) -> None:
        super().__init__(message)
        self.permanent = permanent or class_refused
        self.unreachable = unreachable
        self.may_be_there = may_be_there
        self.class_refused = class_refused
        self.code = code
        self.lost_by = lost_by
