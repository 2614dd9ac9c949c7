"""Arrays inside JSON: base64 of gzip of little-endian float32, which every browser unpacks by itself."""

import base64
import gzip
import json
from typing import Any

import numpy as np

MANTISSA_BITS = 12  # kept of a rounded number; a relative error of 1/8192 at most


def pack(values: Any, rounded: bool = False) -> dict[str, Any]:
    """Returns an array as `{"shape": [...], "data": "..."}`.

    Args:
      values: anything that NumPy takes, of any shape.
      rounded: whether to keep 12 bits after the leading one, with which what hardly changes compresses well.
    """
    array = np.ascontiguousarray(values, np.dtype("<f4"))
    if rounded:
        array = round_mantissa(array)
    data = gzip.compress(array.tobytes(), compresslevel=5, mtime=0)
    return {"shape": list(array.shape), "data": base64.b64encode(data).decode("ascii")}


def unpack(packed: dict[str, Any]) -> np.ndarray:
    """Returns the array that `pack` was given, as float32."""
    data = gzip.decompress(base64.b64decode(packed["data"]))
    return np.frombuffer(data, np.dtype("<f4")).reshape(packed["shape"])


def round_mantissa(array: np.ndarray) -> np.ndarray:
    """Rounds float32 to `MANTISSA_BITS` bits after the leading one."""
    dropped = 23 - MANTISSA_BITS
    bits = array.view(np.uint32) + np.uint32(1 << (dropped - 1))
    return (bits & np.uint32(2**32 - (1 << dropped))).view(np.float32)


def to_json(content: Any) -> bytes:
    """Returns JSON as UTF-8. Raises an error for NaN, which is not valid JSON."""
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode()
