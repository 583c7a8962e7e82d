# SPDX-License-Identifier: GPL-2.0-or-later
"""What RFC 7296 and its companions demand of a peer that meets wrong and rare messages."""
