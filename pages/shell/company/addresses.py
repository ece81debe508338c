"""Which addresses only this machine can reach: without a login, Dimshift listens on no other."""

from __future__ import annotations

import ipaddress

from engine.errors import AccessError

WITHOUT_LOGIN = "DIMSHIFT_WITHOUT_LOGIN"
"""Set by --without-login: the address is reached only by people who may do everything, as behind a proxy."""


def check_address(address: str | None, *, has_login: bool, is_open: bool) -> None:
    """Raise AccessError when others could reach `address`, None for every one, nobody signs in, and nobody said so."""
    if has_login or is_open or is_local(address):
        return
    raise AccessError(
        "without a login Dimshift listens on this machine only",
        found=f"the address {address or '0.0.0.0'}",  # noqa: S104  # what the absence of an address means
        hint="Configure a login, as the section In company of the README says, or start with --without-login and know "
        "that everybody who reaches the port may do everything",
    )


def is_local(address: str | None) -> bool:
    """Tell whether only this machine can reach `address`.

    >>> is_local("localhost"), is_local("127.0.0.1"), is_local("0.0.0.0"), is_local(None)
    (True, True, False, False)
    """
    if not address:
        return False
    if address == "localhost" or address.startswith("unix://"):
        return True
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False
