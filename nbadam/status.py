"""Numbers that know what they mean: the base of what stands in the `status` arrays of results."""

from enum import IntEnum


class Status(IntEnum):
    """Base of the enumerations whose members stand in the `status` arrays of results.

    Each member is a number and a message.
    """

    message: str

    def __new__(cls, value: int, message: str = ""):
        """Make a member."""
        member = int.__new__(cls, value)
        member._value_ = value
        member.message = message
        return member
