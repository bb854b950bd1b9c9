"""What can go wrong while converting.

derm_sdk.errors.DermError
`-- ConversionError (ValueError)    a graph cannot be converted, or the converted one does not answer as the trained one
"""

from __future__ import annotations

from derm_sdk.errors import DermError


class ConversionError(DermError, ValueError):
    """A graph cannot be converted, or the converted one does not answer as the trained one."""
