"""Run by the Python of LSDB's own environment: does what it is told, prints JSON.

Usage: reader.py TASK ARGUMENT…; nothing of dvo is there.
"""

import json
import logging
import sys
import warnings

warnings.simplefilter("ignore")


def validate(path):
    """Strict validation of the HATS library, and what it says of the catalogs."""
    import hats
    from hats.io.file_io import read_fits_image
    from hats.io.validation import is_valid_catalog

    said = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())
    logging.getLogger().addHandler(handler)
    is_valid = bool(is_valid_catalog(path, strict=True))
    collection = hats.read_hats(path)
    main = collection.main_catalog
    sky = read_fits_image(main.catalog_base_dir / "skymap.fits")
    return {
        "is_valid": is_valid,
        "warnings": said,
        "type": main.catalog_info.catalog_type,
        "rows": main.catalog_info.total_rows,
        "pixels": len(main.get_healpix_pixels()),
        "skymap": int(sky.sum()),
        "margins": collection.all_margins,
    }


def rows(path, target):
    """Open a catalog and write all its rows to a file."""
    import lsdb

    catalog = lsdb.open_catalog(path)
    frame = catalog.compute()
    frame.reset_index().to_parquet(target)
    margin = catalog.margin
    return {
        "rows": len(catalog),
        "computed": len(frame),
        "index": frame.index.name,
        "margin": None if margin is None else len(margin),
    }


def cone(path, ra, dec, radius):
    """Rows within a circle."""
    import lsdb

    return len(lsdb.open_catalog(path).cone_search(float(ra), float(dec), float(radius)).compute())


def crossmatch(left, right, radius, target):
    """Match two catalogs, with their margins."""
    import lsdb

    one, two = lsdb.open_catalog(left), lsdb.open_catalog(right)
    found = one.crossmatch(
        two, radius_arcsec=float(radius), suffixes=("_a", "_b"), suffix_method="all_columns"
    ).compute()
    found[["ext_id_a", "ext_id_b", "_dist_arcsec"]].reset_index(drop=True).to_parquet(target)
    return len(found)


def write(path, target):
    """Open a catalog and write it as LSDB does."""
    import lsdb

    lsdb.open_catalog(path).write_catalog(target, catalog_name="again")
    return True


def units(path):
    """Units of the columns, as astropy reads them from the description of the catalog."""
    import io

    import pyarrow.parquet as pq
    from astropy.io import votable

    schema = pq.read_schema(f"{path}/dataset/_common_metadata")
    document = schema.metadata[b"IVOA.VOTable-Parquet.content"]
    table = votable.parse(io.BytesIO(document)).get_first_table()
    return {f.name: [str(f.unit or ""), f.ucd or ""] for f in table.fields}


if __name__ == "__main__":
    import dask

    # Threads start at once, and the tables are small.
    dask.config.set(scheduler="threads")
    print(json.dumps(globals()[sys.argv[1]](*sys.argv[2:])))
