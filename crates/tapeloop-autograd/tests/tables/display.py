"""Writes display.txt: arrays and what NumPy prints for them. `python display.py > display.txt`"""

import numpy as np

rng = np.random.default_rng(0)


def case(dtype, shape, listed, decimals=None):
    listed = np.array(listed).astype(dtype)
    size = int(np.prod(shape))
    x = np.resize(listed, size).reshape(shape).astype(dtype) if size else np.zeros(shape, dtype)
    text = str(x) if decimals is None else np.array2string(x, precision=decimals, floatmode="fixed")
    elements = " ".join(str(int(v)) if dtype == "bool" else str(v) for v in listed)
    lengths = ",".join(map(str, shape))
    print(dtype, lengths, elements, "-" if decimals is None else decimals, text.replace("\n", "|"), sep="\t")


nan, inf = float("nan"), float("inf")
for dtype in ["float32", "float64"]:
    for scalar in [0.0, -0.0, 1.0, 1 / 3, -2.5, 1e-4, 9e-5, 1.5e-4, 999999, 1e6, 1e15, 1e16, 1.5e20, -1e-30, nan, inf, -inf]:
        case(dtype, (), [scalar])
    for row in [
        [1, 2.5, -3, 4],
        [0.1, 0.2, 0.3],
        [1 / 3, 2 / 3, -1e-3],
        [1e8, 1],
        [99999999, 1e5],
        [1e-4, 1e-2],
        [9.9e-5, 1e-3],
        [1, 1001],
        [1, 1000],
        [1.5, nan, -inf],
        [nan, nan],
        [inf, nan],
        [-inf, inf],
        [nan, 100000, 200000],
        [0, -0.0],
        [0, 1e-20],
        [1e-5, 123456, inf],
        [1.25e-7, -3.5e10, nan, -inf],
        [1e100 if dtype == "float64" else 1e30, 1e-8],
        [0.123456789, 0.5],
        [2.000000001, 1.00000000499, 0.000244140625],
        [12345678.9, 87654321.1],
        [0.1 + 0.2, 1e3],
        [5e-9 + 1],
    ]:
        case(dtype, (len(row),), row)
    case(dtype, (2, 3), [1, 2.5, -3, 4, 0.25, 100])
    case(dtype, (2, 1, 2), [0])
    case(dtype, (2, 2, 2, 1), [1, -1, 0.5])
    case(dtype, (30,), rng.normal(size=30))
    case(dtype, (3, 30), rng.normal(size=30) * 100)
    case(dtype, (2, 40), rng.normal(size=40) * 1e9)
    case(dtype, (1001,), [1, 2, 3.25])
    case(dtype, (1000,), [1, 20.5, -3.25])
    case(dtype, (40, 40), rng.normal(size=37))
    case(dtype, (10, 4, 30), [0.5, -1.5, 2])
    case(dtype, (3, 7, 5, 11), [0.5, 1e-9, 2])
    case(dtype, (0, 3), [])
    case(dtype, (2, 0), [])
    for decimals in [0, 2, 5]:
        case(dtype, (3,), [0.5, 1, 100.125], decimals)
        case(dtype, (3,), [0.5, 1e9, -1], decimals)
        case(dtype, (3,), [nan, 2.675, -inf], decimals)
case("int64", (), [3])
case("int64", (4,), [1, -20, 300, 0])
case("int64", (3, 40), [7, -8, 12345])
case("int64", (2000,), [5, 1234567])
case("int64", (0,), [])
case("bool", (), [True])
case("bool", (), [False])
case("bool", (2,), [True, True])
case("bool", (2, 3), [True, False, False])
case("bool", (50,), [True, False])
