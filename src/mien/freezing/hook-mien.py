"""PyInstaller's hook: the files that Mien ships, and the modules that its names are imported from when first used."""

from PyInstaller.utils.hooks import collect_data_files

from mien import _HOMES

datas = collect_data_files("mien")
hiddenimports = sorted(set(_HOMES.values()))
