"""Re-makes the four .xz files beside this program from the raw MNIST files (gzip or plain).

    python gan_utils/data_files/pack_mnist.py FOLDER

FOLDER holds train-images-idx3-ubyte(.gz) and its three companions; each is checked against the published md5 sum.
"""

import gzip
import hashlib
import lzma
import sys
from pathlib import Path

from gan_utils.data import MNIST_MD5


def main(folder: Path) -> None:
    for name, md5 in MNIST_MD5.items():
        plain, packed = folder / name, folder / f"{name}.gz"
        raw = plain.read_bytes() if plain.exists() else gzip.decompress(packed.read_bytes())
        found = hashlib.md5(raw).hexdigest()
        if found != md5:
            sys.exit(f"{name}: md5 {found}, the published file has {md5}; fetch it again")
        out = Path(__file__).with_name(f"{name}.xz")
        out.write_bytes(lzma.compress(raw, preset=9))
        print(f"{out.name}: {len(raw):,} -> {out.stat().st_size:,} bytes")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
