# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's ESP as ikelabd's data plane, over NETLINK_XFRM."""
