"""DATASUM and CHECKSUM, against astropy."""

import numpy as np
from astropy.io import fits as astropy_fits

from dvo.tables.fits.checksum import (
    add_sums,
    checksum_cards,
    encode_checksum,
    place_sum,
    sum_bytes,
)
from dvo.tables.fits.header import format_cards, header_bytes


def naive(data: bytes) -> int:
    data += bytes(-len(data) % 4)
    total = sum(int.from_bytes(data[i : i + 4], "big") for i in range(0, len(data), 4))
    while total >> 32:
        total = (total & 0xFFFFFFFF) + (total >> 32)
    return total


def test_sums(rng):
    for size in (0, 1, 3, 4, 5, 1000, 4097):
        data = rng.integers(0, 256, size).astype("u1").tobytes()
        assert sum_bytes(data) == naive(data)
        assert sum_bytes(memoryview(b"xyz" + data)[3:]) == naive(data)


def test_sums_of_pieces_make_the_sum(rng):
    pieces = [rng.integers(0, 256, n).astype("u1").tobytes() for n in (5, 1, 2, 100, 7)]
    total, at = 0, 0
    for piece in pieces:
        total = add_sums(total, place_sum(sum_bytes(piece), at))
        at += len(piece)
    assert total == naive(b"".join(pieces))


def test_checksum_is_letters_and_digits(rng):
    for value in [0, 0xFFFFFFFF, *rng.integers(0, 2**32, 200).tolist()]:
        text = encode_checksum(value)
        assert len(text) == 16
        assert text.isalnum()


def test_an_hdu_sums_to_minus_zero(rng):
    for n in range(1, 60):
        cards = format_cards([("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 0)])
        cards += format_cards({f"KEY{i}": int(rng.integers(2**40)) for i in range(n)})
        block = header_bytes(checksum_cards(cards, 0))
        assert naive(block) == 0xFFFFFFFF


def test_astropy_agrees(tmp_path, rng):
    values = rng.integers(0, 255, 999).astype("u1")
    data = np.pad(values, (0, 2880 - 999)).tobytes()
    head = [("SIMPLE", True), ("BITPIX", 8), ("NAXIS", 1), ("NAXIS1", 999)]
    path = tmp_path / "x.fits"
    path.write_bytes(header_bytes(checksum_cards(format_cards(head), sum_bytes(data))) + data)
    with astropy_fits.open(path, checksum=True) as hdus:
        assert hdus[0].verify_datasum() == 1
        assert hdus[0].verify_checksum() == 1
