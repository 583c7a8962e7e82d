# SPDX-License-Identifier: GPL-2.0-or-later
"""ikelabd's own dialect: TOML, with file, line and key for each mistake."""
