"""A program, run by `metadata.py`: asks ExifTool about one file through pyexiftool and prints its JSON.

pyexiftool waits for ExifTool without a time limit, and loops for ever once ExifTool has died. So it runs in this
process of its own, which `run_tool` confines and kills together with ExifTool. Arguments: the path of ExifTool, then
ExifTool's options and the file's constant name.
"""

import sys

from exiftool import ExifTool


def main() -> None:
    executable, *arguments = sys.argv[1:]
    # Latin-1 keeps every byte as it is: odd tags need not be valid UTF-8. An empty config file: the user's is not read.
    with ExifTool(executable, common_args=["-n"], config_file="", encoding="latin-1") as tool:
        sys.stdout.buffer.write(tool.execute(*arguments).encode("latin-1"))


if __name__ == "__main__":
    main()
