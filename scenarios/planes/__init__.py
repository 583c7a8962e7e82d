# SPDX-License-Identifier: GPL-2.0-or-later
"""Who does ESP at either end: the kernel, or the daemon on a TUN device."""
