"""Admission: which images go in, under which number, and in place of which others.

An image is known by its number in the system it came from, or by its name; its content by
a checksum. The same content again is passed over, other content under the same name is
refused or replaces what was there. A number that belongs to an image of another name or time
is a mistake of the input, and replaces nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from dvo.errors import BadCatalogError, DuplicateImageError, PhotcodeError
from dvo.ingest.batch import BatchImage
from dvo.ingest.detections import ImageMeta, InputImage, RefSource
from dvo.ingest.report import AddstarOptions, AddstarReport
from dvo.ingest.selection import select_detections
from dvo.partition.manifest import ImageRow, Manifest
from dvo.tables.photcode import PhotClass, PhotcodeTable

__all__ = ["PLANE", "Admission", "Admitted"]

_BATCH_IMAGES = 2000
_SAME_START_S = 1.0  # starts farther apart than this are of two exposures
_DAY_S = 86400.0

PLANE = "plane:"
"""How the identity of a focal plane begins; it has an Image row, and is no image."""


@dataclass(slots=True)
class Admitted:
    """A batch of images that are to be added in one commit.

    Parameters
    ----------
    images : list of BatchImage
        The images, in order.
    identities : list of str
        What each of them is known by.
    parents : dict of str to (int, ImageMeta)
        New focal planes with their numbers, by what they are known by.
    replaced : list of int
        Numbers of images that go, for those that come in their place.
    n_rows : int
        Detections of the images.
    """

    images: list[BatchImage] = field(default_factory=list)
    identities: list[str] = field(default_factory=list)
    parents: dict[str, tuple[int, ImageMeta]] = field(default_factory=dict)
    replaced: list[int] = field(default_factory=list)
    n_rows: int = 0

    def manifest_rows(self) -> list[ImageRow]:
        """How all of these will be recognised; reference catalogs under negative numbers."""
        rows = []
        for image, identity in zip(self.images, self.identities, strict=True):
            content = image.source.meta.content
            if image.meta is None:
                rows.append(ImageRow(-image.image_id, identity, content, image.match_mjd))
            else:
                rows.append(ImageRow(image.image_id, identity, content))
        return rows + [ImageRow(n, key, m.content) for key, (n, m) in self.parents.items()]


class Admission:
    """Decides, image by image, for one run of addstar.

    Parameters
    ----------
    manifest : Manifest
        Knows the images that are in.
    options : AddstarOptions
        What to do with them.
    report : AddstarReport
        Where images passed over and detections left out are counted.
    find_image : callable
        Gives name and start (MJD [d]) of an image that is in, by its number.
    """

    def __init__(
        self,
        manifest: Manifest,
        options: AddstarOptions,
        report: AddstarReport,
        find_image: Callable[[int], tuple[str, float]],
    ) -> None:
        self._manifest = manifest
        self._find_image = find_image
        self._options = options
        self._report = report
        self.last_number = int(manifest.meta.get("last_image", "0"))
        # What this run has admitted so far: it may not be in the manifest yet.
        self._contents: dict[str, str] = {}
        self._images: dict[str, tuple[str, float]] = {}
        self._planes: dict[str, int] = {}

    def batches(
        self, files: Iterable[list[InputImage]], photcodes: PhotcodeTable
    ) -> Iterator[Admitted]:
        """Gather images that are to be added into batches.

        Parameters
        ----------
        files : iterable of list of InputImage
            The images of each file, in order.
        photcodes : PhotcodeTable
            The photcodes of the database.

        Yields
        ------
        Admitted
            A batch.

        Raises
        ------
        DuplicateImageError
            If an image is in with other content and is not to be replaced.
        UnknownPhotcodeError
            If an image has a photcode that is not in the table.
        """
        batch = Admitted()
        for images in files:
            for source in images:
                is_alone = isinstance(source.meta, RefSource)
                if is_alone and batch.images:
                    # Motions that a catalog gives are known to what comes after it.
                    yield batch
                    batch = Admitted()
                self._admit(source, photcodes, batch)
                full = batch.n_rows >= self._options.batch_rows
                if batch.images and (is_alone or full or len(batch.images) >= _BATCH_IMAGES):
                    yield batch
                    batch = Admitted()
        if batch.images:
            yield batch

    def _admit(self, source: InputImage, photcodes: PhotcodeTable, batch: Admitted) -> None:
        meta = source.meta
        identity = _identity(meta)
        known = self._manifest.image(self._manifest.latest(), identity)
        content = self._contents.get(identity, known.content if known else None)
        if content == meta.content:
            self._report.n_skipped += 1
            return
        is_ref = isinstance(meta, RefSource)
        photcode = photcodes.get(meta.photcode, PhotClass.REF if is_ref else PhotClass.DEP)
        if is_ref and photcode.kind is not PhotClass.REF:
            raise PhotcodeError(
                f"photcode {photcode.name} is a {photcode.kind.name}, but {meta.name} an outside "
                "catalog; give it a photcode of class ref, so that its magnitudes stay as they are"
            )
        # What is refused must not have sent away the image that it was to replace.
        try:
            source = select_detections(source, self._options.selection)
        except BadCatalogError as error:
            if not self._options.skip_bad:
                raise
            self._report.left_out.append(str(error))
            return
        if content is not None:
            if isinstance(meta, ImageMeta) and meta.extern_id is not None:
                self._check_same(meta, self._images.get(identity), known)
            self._replace(meta, None if identity in self._contents else known, batch)
            self._report.n_replaced += 1
        self._tell(source)
        has_plane = isinstance(meta, ImageMeta) and meta.parent is not None
        image = BatchImage(
            source,
            photcode,
            self._number(),
            self._options.radius_arcsec,
            self._match_mjd(meta),
            self._plane(meta.parent, batch) if has_plane else 0,  # type: ignore[union-attr,arg-type]
        )
        self._contents[identity] = meta.content
        if isinstance(meta, ImageMeta):
            self._images[identity] = (meta.name, meta.mjd)
        batch.images.append(image)
        batch.identities.append(identity)
        batch.n_rows += len(source.detections)

    def _check_same(
        self, meta: ImageMeta, given: tuple[str, float] | None, known: ImageRow | None
    ) -> None:
        """Refuse an image that has the number of another one: replacing would lose that."""
        if given is None and known is not None:
            given = self._find_image(known.image_id)
        if given is None:
            return
        name, mjd = given
        if name == meta.name and abs(mjd - meta.mjd) * _DAY_S <= _SAME_START_S:
            return
        raise DuplicateImageError(
            f"SOURCEID {meta.source_id}, IMAGEID {meta.extern_id} belong already to {name} "
            f"(MJD {mjd:.5f}); this file is {meta.name} (MJD {meta.mjd:.5f}): two images cannot "
            "have the same numbers. Correct SOURCEID or IMAGEID in the header of this file; if "
            "it is the same exposure under a new name or time, delete the old image first "
            "(dvo delete images)"
        )

    def _replace(
        self, meta: ImageMeta | RefSource, known: ImageRow | None, batch: Admitted
    ) -> None:
        if known is None:
            hint = "give one of them" if isinstance(meta, ImageMeta) else "name them with --name"
            raise DuplicateImageError(f"{meta.name} is given twice with different content; {hint}")
        if not isinstance(meta, ImageMeta):
            raise DuplicateImageError(
                f"reference catalog {meta.name} ({meta.photcode}) is in the database with other "
                "content. If this is another catalog, give it a name of its own (--name). If it "
                "is a new version: measures of a catalog have no image and cannot be replaced; "
                "roll back to before it (dvo log, dvo rollback)"
            )
        if not self._options.replace:
            raise DuplicateImageError(
                f"image {meta.name} is in the database with other content: its header or its "
                "detections have changed since; to put the new ones in their place use --replace"
            )
        batch.replaced.append(known.image_id)

    def _plane(self, meta: ImageMeta, batch: Admitted) -> int:
        """Number of the focal plane of an exposure, giving it one if it is new."""
        identity = PLANE + meta.name
        if identity in self._planes:
            return self._planes[identity]
        known = self._manifest.image(self._manifest.latest(), identity)
        if known is None:
            number = self._number()
            batch.parents[identity] = (number, meta)
        else:
            # It keeps its number: chips that stay as they are go on naming it.
            number = known.image_id
            if known.content != meta.content:
                self._replace(meta, known, batch)
                batch.parents[identity] = (number, meta)
        self._planes[identity] = number
        return number

    def _number(self) -> int:
        self.last_number += 1
        return self.last_number

    def _match_mjd(self, meta: ImageMeta | RefSource) -> float:
        if isinstance(meta, ImageMeta):
            return meta.mjd
        asked = self._options.match_epoch_mjd
        return meta.epoch_mjd if asked is None else asked

    def _tell(self, source: InputImage) -> None:
        """Add what the reader has to say of an image to the report of the run."""
        dropped, notes = source.report.get("dropped", {}), source.report.get("notes", [])
        for reason, n in dropped.items() if isinstance(dropped, dict) else ():
            counts = self._report.n_dropped
            counts[reason] = counts.get(reason, 0) + n
        for note in notes if isinstance(notes, list) else ():
            self._report.notes.setdefault(note, []).append(source.meta.name)


def _identity(meta: ImageMeta | RefSource) -> str:
    """What an image is known by: its number in the system it came from, or its name."""
    if isinstance(meta, RefSource):
        return meta.identity()
    if meta.extern_id is not None:
        return f"extern:{meta.source_id}:{meta.extern_id}"
    return f"name:{meta.name}"
