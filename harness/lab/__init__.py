# SPDX-License-Identifier: GPL-2.0-or-later
"""A running topology with its daemons, its oracles and its evidence."""
