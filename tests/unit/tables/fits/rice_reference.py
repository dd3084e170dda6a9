"""Rice coding the slow way, as strings of bits: what the kernels are held against."""

from __future__ import annotations

import numpy as np

PARAMETERS = {1: (3, 6), 2: (4, 14), 4: (5, 25)}


def encode(values: list[int], n_bytes: int) -> bytes:
    """Encode unsigned integers, 32 in a block."""
    fs_bits, fs_max = PARAMETERS[n_bytes]
    width = 8 * n_bytes
    mask = 2**width - 1
    bits = f"{values[0]:0{width}b}"
    last = values[0]
    for first in range(0, len(values), 32):
        codes = []
        for value in values[first : first + 32]:
            step = (value - last) & mask
            step -= 2**width if step >> (width - 1) else 0
            codes.append((-2 * step - 1 if step < 0 else 2 * step) & mask)
            last = value
        n, total = len(codes), sum(codes)
        mean = max(0.0, (total - n // 2 - 1) / n)
        fs = ((int(mean) & mask) >> 1).bit_length()
        if fs >= fs_max:
            bits += f"{fs_max + 1:0{fs_bits}b}" + "".join(f"{c:0{width}b}" for c in codes)
        elif total == 0:
            bits += "0" * fs_bits
        else:
            bits += f"{fs + 1:0{fs_bits}b}"
            for code in codes:
                bits += "0" * (code >> fs) + "1"
                bits += f"{code & (2**fs - 1):0{fs}b}" if fs else ""
    bits += "0" * (-len(bits) % 8)
    return bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))


def decode(data: bytes, n: int, n_bytes: int) -> np.ndarray:
    """Undo `encode`."""
    fs_bits, fs_max = PARAMETERS[n_bytes]
    width = 8 * n_bytes
    bits = "".join(f"{b:08b}" for b in data)
    last, at = int(bits[:width], 2), width
    out: list[int] = []
    while len(out) < n:
        fs = int(bits[at : at + fs_bits], 2) - 1
        at += fs_bits
        for _ in range(min(32, n - len(out))):
            if fs < 0:
                code = 0
            elif fs == fs_max:
                code = int(bits[at : at + width], 2)
                at += width
            else:
                one = bits.index("1", at)
                code = (one - at) << fs | (int(bits[one + 1 : one + 1 + fs], 2) if fs else 0)
                at = one + 1 + fs
            last = (last + (-(code + 1) // 2 if code & 1 else code // 2)) % 2**width
            out.append(last)
    return np.array(out, f"u{n_bytes}")
