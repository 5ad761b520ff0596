"""What a video of a person may lack for an avatar, one exception a cause."""

from __future__ import annotations

from real3d_portrait.errors import InputError


class AvatarVideoTooShortError(InputError):
    message = (
        "{what} shows the person for {seconds} s in shots of {shot} s or more, at least {minimum} s are needed; "
        "one to five minutes make a good avatar."
    )


class AvatarFaceTooSmallError(InputError):
    message = (
        "The face in '{path}' is {pixels} pixels high, at least {minimum} are needed; "
        "film from closer or give the video in its full resolution."
    )


class AvatarSeveralPeopleError(InputError):
    message = "The video '{path}' shows several people (at {seconds} s); cut it to one person."


class AvatarOtherPersonError(InputError):
    message = "The video '{path}' shows another person (at {seconds} s); keep one person's part."


class AvatarNoSpeechError(InputError):
    message = "{what} holds no speech ({reason}); an avatar learns its lips from the voice, so record it with sound."


class AvatarFaceLeavesError(InputError):
    message = "The face leaves the picture of '{path}' (at {seconds} s); cut that part out or film from further away."
