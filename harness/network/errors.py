# SPDX-License-Identifier: GPL-2.0-or-later
"""What goes wrong in an emulated network; each text is one sentence for the user."""


class NetworkError(Exception):
    """The emulated network could not do what was asked; one sentence says why."""


class CommandFailed(NetworkError):
    """A program could not be started or did not end as expected; one sentence says how."""
