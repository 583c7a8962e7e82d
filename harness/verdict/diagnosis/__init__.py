# SPDX-License-Identifier: GPL-2.0-or-later
"""Why a negotiation failed: from decrypted packets and both configurations.

`explanation.diagnose` finds each failure and says why; `text` writes it for people. A cause is
stated only where packets or configurations decide it; where they do not, the sentence says what is
known.
"""
