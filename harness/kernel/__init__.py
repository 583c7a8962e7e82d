# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's IPsec: SAs, policies and events over NETLINK_XFRM, counters, capabilities."""
