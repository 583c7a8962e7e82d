# SPDX-License-Identifier: GPL-2.0-or-later
"""The catalogue: one folder a family, each test a scenario."""
