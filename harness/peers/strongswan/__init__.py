# SPDX-License-Identifier: GPL-2.0-or-later
"""strongSwan's charon: started in a node, configured and watched over VICI, or by its own files."""

from harness.peers.strongswan.peer import StrongSwan

__all__ = ["StrongSwan"]
