# SPDX-License-Identifier: GPL-2.0-or-later
"""The results of runs, for programs and for people."""
