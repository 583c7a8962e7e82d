# SPDX-License-Identifier: GPL-2.0-or-later
"""Sabotage controls: what a scenario claims is broken on purpose, and it must turn red for that."""
