# SPDX-License-Identifier: GPL-2.0-or-later
"""IKEv1 (RFC 2407, 2408, 2409)."""
