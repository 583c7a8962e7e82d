# SPDX-License-Identifier: GPL-2.0-or-later
"""SAs and policies keyed by hand (RFC 4301 4.5.1)."""
