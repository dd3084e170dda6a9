"""SecFilt: mean photometry, one row for every object and average filter.

The table has no ids. Row ``i * n_secfilt + k`` belongs to row ``i`` of Average and to
the k-th SEC photcode. The four percentiles have columns of their own; the original kept
them in columns of the stack and warp photometry.
"""

from __future__ import annotations

from dvo.tables.schema import Column, TableSchema

__all__ = ["SECFILT"]

_APERTURES = (("psf", "PSF"), ("kron", "Kron"), ("ap", "aperture"))


def _chip() -> tuple[Column, ...]:
    out: list[Column] = []
    for stem, words in (("mag", "PSF"), ("mag_ap", "aperture"), ("mag_kron", "Kron")):
        out += [
            Column(
                stem, "f4", f"mean {words} magnitude of chip images", "mag", "phot.mag;stat.mean"
            ),
            Column(f"{stem}_err", "f4", f"error of {stem}", "mag", "stat.error;phot.mag"),
            Column(
                f"{stem}_stdev",
                "f4",
                f"scatter of the measurements behind {stem}",
                "mag",
                "stat.stdev;phot.mag",
            ),
        ]
    return tuple(out)


def _stack() -> tuple[Column, ...]:
    out: list[Column] = []
    for stem, words in _APERTURES:
        out += [
            Column(f"mag_{stem}_stk", "f4", f"stack {words} magnitude", "mag", "phot.mag"),
            Column(f"flux_{stem}_stk", "f4", f"stack {words} flux", "Jy", "phot.flux"),
            Column(
                f"flux_{stem}_stk_err",
                "f4",
                f"error of flux_{stem}_stk",
                "Jy",
                "stat.error;phot.flux",
            ),
        ]
    return tuple(out)


def _warp() -> tuple[Column, ...]:
    out: list[Column] = []
    for stem, words in _APERTURES:
        out += [
            Column(
                f"mag_{stem}_wrp", "f4", f"mean forced-warp {words} magnitude", "mag", "phot.mag"
            ),
            Column(f"flux_{stem}_wrp", "f4", f"mean forced-warp {words} flux", "Jy", "phot.flux"),
            Column(
                f"flux_{stem}_wrp_err",
                "f4",
                f"error of flux_{stem}_wrp",
                "Jy",
                "stat.error;phot.flux",
            ),
            Column(
                f"flux_{stem}_wrp_std",
                "f4",
                f"scatter behind flux_{stem}_wrp",
                "Jy",
                "stat.stdev;phot.flux",
            ),
        ]
    return tuple(out)


def _count(name: str, meaning: str) -> Column:
    return Column(name, "u4", meaning, "", "meta.number")


SECFILT = TableSchema(
    name="SecFilt",
    suffix="cps",
    extname="DVO_SECFILT",
    meaning="mean photometry of an object in one average filter",
    columns=(
        *_chip(),
        Column("psf_qf_max", "f4", "best psf_qf", "", "meta.code.qual"),
        Column("psf_qf_perf_max", "f4", "best psf_qf_perfect", "", "meta.code.qual"),
        Column("mag_min", "f4", "least (brightest) magnitude used", "mag", "phot.mag;stat.min"),
        Column("mag_max", "f4", "greatest (faintest) magnitude used", "mag", "phot.mag;stat.max"),
        Column("mag_p10", "f4", "10th percentile of the magnitudes", "mag", "phot.mag;stat"),
        Column("mag_p20", "f4", "20th percentile of the magnitudes", "mag", "phot.mag;stat"),
        Column("mag_p80", "f4", "80th percentile of the magnitudes", "mag", "phot.mag;stat"),
        Column("mag_p90", "f4", "90th percentile of the magnitudes", "mag", "phot.mag;stat"),
        Column("mag_chi", "f4", "reduced chi-square of mag", "", "stat.fit.chi2"),
        _count("ncode", "measurements in this filter"),
        _count("nused", "measurements that made mag"),
        _count("nused_kron", "measurements that made mag_kron"),
        _count("nused_ap", "measurements that made mag_ap"),
        Column("flags", "u4", "photometry flags (SecFiltFlag)", "", "meta.code"),
        *_stack(),
        _count("nstack", "stacks that cover the object"),
        _count("nstack_det", "stacks that detect the object"),
        Column(
            "stack_primary_off",
            "i4",
            "primary stack: offset into the object's measures",
            "",
            "meta.record",
            null=-1,
        ),
        Column(
            "stack_best_off",
            "i4",
            "best stack: offset into the object's measures",
            "",
            "meta.record",
            null=-1,
        ),
        *_warp(),
        _count("nused_wrp", "warps that made mag_psf_wrp"),
        _count("nused_kron_wrp", "warps that made mag_kron_wrp"),
        _count("nused_ap_wrp", "warps that made mag_ap_wrp"),
        _count("nwarp", "warps that cover the object"),
        _count("nwarp_good", "warps with psf_qf_perfect above 0.85"),
        Column(
            "ubercal_dist",
            "i4",
            "steps to an image with an ubercal zero point",
            "",
            "meta.number",
            null=-1,
        ),
    ),
)
