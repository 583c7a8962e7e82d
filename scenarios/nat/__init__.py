# SPDX-License-Identifier: GPL-2.0-or-later
"""Address translation between the peers (RFC 3947, RFC 3948, RFC 7296 2.23)."""
