# SPDX-License-Identifier: GPL-2.0-or-later
"""What an administrator types at a router, and what is shown for it."""
