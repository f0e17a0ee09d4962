"""The CRC-32 of texts one behind the other, from those of the texts. Pure.

A text before another one counts, in the checksum of both, as if it had been multiplied by as many
powers of x as the other one has bits, modulo the polynomial of the checksum. zlib has this as
``crc32_combine``, which Python does not hand on. Polynomials are numbers here, the highest power
in the lowest bit, as in RFC 1952.
"""

from typing import Final

_POLYNOMIAL: Final = 0xEDB88320
_ONE: Final = 1 << 31
_EIGHTH_POWER: Final = 1 << 23


def behind(crc: int, other: int, shift: int) -> int:
    """Return the checksum of two texts from those of each; ``shift`` is the second one's."""
    return _product(crc, shift) ^ other


def shift_of(size: int) -> int:
    """Return what stands for a text of so many bytes behind another one."""
    shift, power = _ONE, _EIGHTH_POWER
    while size:
        if size & 1:
            shift = _product(shift, power)
        power = _product(power, power)
        size >>= 1
    return shift


def _product(one: int, other: int) -> int:
    product = 0
    bit = _ONE
    while bit:
        if one & bit:
            product ^= other
        other = other >> 1 ^ (_POLYNOMIAL if other & 1 else 0)
        bit >>= 1
    return product
