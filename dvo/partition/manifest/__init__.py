"""The manifest: which files, and which rows of them, make up each snapshot.

One SQLite database in write-ahead mode. A *part* is a run of rows of one file that
belongs to one region; it is visible from the snapshot that added it until the one that
removed it. So a snapshot is one number, an old one can be read while a new one is made,
and a commit is one transaction here after its files are safe on disk.
"""

from __future__ import annotations

from dvo.partition.manifest.commits import (
    build_manifest,
    drop_new_manifest,
    new_manifest_differs,
    place_manifest,
)
from dvo.partition.manifest.connection import copy_manifest
from dvo.partition.manifest.manifest import Manifest
from dvo.partition.manifest.parts import CatalogCounts, Change, PartRun, PartSizes, PartTable
from dvo.partition.manifest.rows import (
    ALL_SKY,
    CatalogRow,
    FileRow,
    ImageRow,
    Part,
    Reach,
    SnapshotRow,
    TagRow,
)
from dvo.partition.manifest.schema import FORMAT

__all__ = [
    "ALL_SKY",
    "FORMAT",
    "CatalogCounts",
    "CatalogRow",
    "Change",
    "FileRow",
    "ImageRow",
    "Manifest",
    "Part",
    "PartRun",
    "PartSizes",
    "PartTable",
    "Reach",
    "SnapshotRow",
    "TagRow",
    "build_manifest",
    "copy_manifest",
    "drop_new_manifest",
    "new_manifest_differs",
    "place_manifest",
]
