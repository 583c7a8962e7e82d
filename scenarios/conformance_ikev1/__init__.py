# SPDX-License-Identifier: GPL-2.0-or-later
"""What RFC 2408, RFC 2409 and their companions demand of a peer that meets wrong and rare messages.

RFC 2408 has a check for nearly every field and one demand: a message that fails it is discarded. It
may be said so with a notify, which nothing here asks for.
"""
