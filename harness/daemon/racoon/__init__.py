# SPDX-License-Identifier: GPL-2.0-or-later
"""The dialect of KAME's racoon: a lexer, a small parser, what its blocks mean."""
