# SPDX-License-Identifier: GPL-2.0-or-later
"""The dialect of a SEIL router: its keys, its defaults."""
