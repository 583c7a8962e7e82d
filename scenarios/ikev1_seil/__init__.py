# SPDX-License-Identifier: GPL-2.0-or-later
"""A SEIL router against strongSwan, over IKEv1 (RFC 2407 to 2409)."""
