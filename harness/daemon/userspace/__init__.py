# SPDX-License-Identifier: GPL-2.0-or-later
"""ESP in this process, on a TUN device, for hosts whose kernel has none."""
