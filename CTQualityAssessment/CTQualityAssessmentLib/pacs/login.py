"""Who is asking: a login from the environment or the keyring, read where it is used, and never passed on."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

USER, PASSWORD, TOKEN = "CTQA_PACS_USER", "CTQA_PACS_PASSWORD", "CTQA_PACS_TOKEN"
#: Under which name a keyring holds the password of an archive, with the archive's host and port behind it.
SERVICE = "ctqa-pacs "


@dataclass(frozen=True)
class Login:
    """User and password, or a bearer token, or nothing at all."""

    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)


def login_for(place: str) -> Login:
    """The login of an archive: the token of the environment, its user and password, or those of the keyring.

    Args:
        place: host and port of the archive, as in its address.
    """
    if token := os.environ.get(TOKEN):
        return Login(token=token)
    user, password = os.environ.get(USER), os.environ.get(PASSWORD)
    if user and password:
        return Login(user, password)
    return _from_keyring(place, user)


def _from_keyring(place: str, user: str | None) -> Login:
    try:
        import keyring

        found = keyring.get_credential(SERVICE + place, user)
    except Exception:  # no keyring on this computer, or a locked one: the archive will tell whether it needs a login
        return Login()
    return Login(found.username, found.password) if found and found.password else Login()
