"""Meanings of the flag bits in Measure, Average, SecFilt and Image.

The values are those of the original system, so that its users and files need no table of
translation.
"""

from __future__ import annotations

import enum
from typing import Final

__all__ = [
    "CHIP_FLAGS",
    "STACK_FLAGS",
    "AverageFlag",
    "ImageFlag",
    "MeasureFlag",
    "PhotFlag",
    "PhotFlag2",
    "SecFiltFlag",
]


class MeasureFlag(enum.IntFlag):
    """Bits of ``Measure.db_flags``: what the calibration made of a measurement."""

    NOCAL = 0x1
    """not used for calibration"""
    POOR_PHOTOM = 0x2
    """poor photometry (old databases only)"""
    SKIP_PHOTOM = 0x4
    """photometry ignored (old databases only)"""
    AREA = 0x8
    """outside the good area of its chip"""
    POOR_ASTROM = 0x10
    """astrometric outlier"""
    SKIP_ASTROM = 0x20
    """astrometry ignored"""
    USED_OBJ = 0x40
    """used for the position of its object"""
    USED_CHIP = 0x80
    """used for the astrometry of its chip"""
    BLEND_MEAS = 0x100
    """within the match radius of another detection of its image"""
    BLEND_OBJ = 0x200
    """within the match radius of more than one object"""
    WARP_USED = 0x400
    """used for the mean warp photometry"""
    UNMASKED_ASTRO = 0x800
    """not masked in the last fit of the position"""
    BLEND_MEAS_X = 0x1000
    """as BLEND_MEAS, for detections of other images"""
    ARTIFACT = 0x2000
    """thought not to be of the sky"""
    SYNTH_MAG = 0x4000
    """synthetic magnitude, not measured"""
    PHOTOM_UBERCAL = 0x8000
    """zero point of its image fixed by ubercal"""
    STACK_PRIMARY = 0x10000
    """in the primary stack of its object"""
    STACK_PHOT_SRC = 0x20000
    """supplied the stack photometry of its object"""
    ICRF_QSO = 0x40000
    """measurement of a quasar of the ICRF"""
    IMAGE_EPOCH = 0x80000
    """position is of the epoch of the image, not of the catalog"""
    PHOTOM_PSF = 0x100000
    """used for the mean psf magnitude"""
    PHOTOM_APER = 0x200000
    """used for the mean aperture magnitude"""
    PHOTOM_KRON = 0x400000
    """used for the mean kron magnitude"""
    MASKED_PSF = 0x1000000
    """masked by the robust mean of the psf magnitude"""
    MASKED_APER = 0x2000000
    """masked by the robust mean of the aperture magnitude"""
    MASKED_KRON = 0x4000000
    """masked by the robust mean of the kron magnitude"""
    OBJECT_HAS_2MASS = 0x10000000
    """its object has a 2MASS measurement"""
    OBJECT_HAS_GAIA = 0x20000000
    """its object has a Gaia measurement"""
    OBJECT_HAS_TYCHO = 0x40000000
    """its object has a Tycho measurement"""


class AverageFlag(enum.IntFlag):
    """Bits of ``Average.flags``: what is known of an object."""

    FEW = 0x1
    """too few measurements for an average position"""
    POOR = 0x2
    """poor average position (old databases only)"""
    ICRF_QSO = 0x4
    """quasar of the ICRF"""
    HERN_QSO_P60 = 0x8
    """likely quasar (Hernitschek et al., P > 0.60)"""
    HERN_QSO_P05 = 0x10
    """possible quasar (Hernitschek et al., P > 0.05)"""
    HERN_RRL_P60 = 0x20
    """likely RR Lyrae star (Hernitschek et al., P > 0.60)"""
    HERN_RRL_P05 = 0x40
    """possible RR Lyrae star (Hernitschek et al., P > 0.05)"""
    HERN_VARIABLE = 0x80
    """variable (Hernitschek et al.)"""
    TRANSIENT = 0x100
    """not seen at most epochs"""
    HAS_SOLSYS_DET = 0x200
    """at least one detection is of a known body of the solar system"""
    MOST_SOLSYS_DET = 0x400
    """most detections are of a known body of the solar system"""
    LARGE_PM = 0x800
    """moves fast"""
    RAW_AVE = 0x1000
    """plain mean position was made"""
    FIT_AVE = 0x2000
    """mean position was fitted"""
    FIT_PM = 0x4000
    """proper motion was fitted"""
    FIT_PAR = 0x8000
    """parallax was fitted"""
    USE_AVE = 0x10000
    """mean position is the one kept"""
    USE_PM = 0x20000
    """proper motion fit is the one kept"""
    USE_PAR = 0x40000
    """parallax fit is the one kept"""
    NO_MEAN_ASTROM = 0x80000
    """no mean position could be made"""
    STACK_FOR_MEAN = 0x100000
    """mean position is that of the stack"""
    MEAN_FOR_STACK = 0x200000
    """stack position is the mean position"""
    BAD_PM = 0x400000
    """proper motion failed"""
    EXT = 0x800000
    """extended in our data"""
    EXT_ALT = 0x1000000
    """extended in external data"""
    GOOD = 0x2000000
    """good measurement in our data"""
    GOOD_ALT = 0x4000000
    """good measurement in external data"""
    GOOD_STACK = 0x8000000
    """good in at least one stack"""
    BEST_STACK = 0x10000000
    """the primary stack is the best one"""
    SUSPECT_STACK = 0x20000000
    """suspect in the stack"""
    BAD_STACK = 0x40000000
    """poor in all stacks"""


class SecFiltFlag(enum.IntFlag):
    """Bits of ``SecFilt.flags``: where the mean magnitude of one filter comes from."""

    STAR_FEW = 0x1
    """too few measurements for relphot"""
    STAR_POOR = 0x2
    """too much scatter for relphot"""
    USE_SYNTH = 0x4
    """synthetic magnitude used"""
    USE_UBERCAL = 0x8
    """ubercal measurements used"""
    HAS_PS1 = 0x10
    """has chip photometry"""
    HAS_PS1_STACK = 0x20
    """has stack photometry"""
    HAS_TYCHO = 0x40
    """has Tycho photometry"""
    FIX_SYNTH = 0x80
    """synthetic magnitude held fixed"""
    RANK_0 = 0x100
    """mean of measurements of rank 0, the best"""
    RANK_1 = 0x200
    """mean of measurements of rank 1"""
    RANK_2 = 0x400
    """mean of measurements of rank 2"""
    RANK_3 = 0x800
    """mean of measurements of rank 3"""
    RANK_4 = 0x1000
    """mean of measurements of rank 4, the worst"""
    OBJ_EXT_PSPS = 0x2000
    """extended; the place of OBJ_EXT in PSPS"""
    STACK_PRIMARY = 0x4000
    """stack photometry is of the primary stack"""
    STACK_BESTDET = 0x8000
    """stack photometry is of the best detection"""
    STACK_PRIMDET = 0x10000
    """stack photometry is of a detection in the primary stack"""
    STACK_PRIMARY_MULTIPLE = 0x20000
    """more than one primary stack detection"""
    HAS_SDSS = 0x100000
    """has SDSS photometry"""
    HAS_HSC = 0x200000
    """has HSC photometry"""
    HAS_CFH = 0x400000
    """has CFHT photometry"""
    HAS_DES = 0x800000
    """has DES photometry"""
    OBJ_EXT = 0x1000000
    """extended in this filter"""


class ImageFlag(enum.IntFlag):
    """Bits of ``Image.flags``: how the calibration of an image went."""

    PHOTOM_NOCAL = 0x1
    """zero point not to be fitted"""
    PHOTOM_POOR = 0x2
    """zero point is an outlier"""
    PHOTOM_SKIP = 0x4
    """zero point ignored"""
    PHOTOM_FEW = 0x8
    """too few stars for a zero point"""
    ASTROM_NOCAL = 0x10
    """astrometry not to be fitted"""
    ASTROM_POOR = 0x20
    """astrometry is an outlier"""
    ASTROM_FAIL = 0x40
    """fit of the astrometry failed"""
    ASTROM_SKIP = 0x80
    """astrometry ignored"""
    ASTROM_FEW = 0x100
    """too few stars for astrometry"""
    PHOTOM_UBERCAL = 0x200
    """zero point from ubercal"""
    ASTROM_GMM = 0x400
    """astrometry fitted with the galaxy motion model"""
    MOSAIC_POOR = 0x800
    """its exposure is an outlier in zero point"""
    NIGHT_POOR = 0x1000
    """its night is an outlier in zero point"""
    TGROUP_PHOTCAL = 0x2000
    """zero point fitted for the night"""
    MOSAIC_PHOTCAL = 0x4000
    """zero point fitted for the exposure"""
    IMAGE_PHOTCAL = 0x8000
    """zero point fitted for the image"""
    LOOKED_MISSING = 0x10000
    """known objects that it has no measure of are in Missing (not of the original)"""


class PhotFlag(enum.IntFlag):
    """Bits of ``Measure.phot_flags``: the FLAGS of psphot, set when the source was measured."""

    PSFMODEL = 0x1
    """fitted with the psf model"""
    EXTMODEL = 0x2
    """fitted with an extended model"""
    FITTED = 0x4
    """non-linear fit done"""
    FAIL = 0x8
    """fit failed"""
    POOR = 0x10
    """fit of low signal to noise or poor chi squared"""
    PAIR = 0x20
    """fitted as a double star"""
    PSFSTAR = 0x40
    """used to make the psf model"""
    SATSTAR = 0x80
    """saturated star"""
    BLEND = 0x100
    """blended with another source"""
    EXTERNAL = 0x200
    """position supplied from outside"""
    BADPSF = 0x400
    """psf model failed here"""
    DEFECT = 0x800
    """thought to be a defect"""
    SATURATED = 0x1000
    """has saturated pixels"""
    CR_LIMIT = 0x2000
    """thought to be a cosmic ray"""
    EXT_LIMIT = 0x4000
    """thought to be extended"""
    MOMENTS_FAILURE = 0x8000
    """moments could not be measured"""
    SKY_FAILURE = 0x10000
    """sky could not be measured"""
    SKYVAR_FAILURE = 0x20000
    """variance of the sky could not be measured"""
    BELOW_MOMENTS_SN = 0x40000
    """too faint for moments"""
    BIG_RADIUS = 0x100000
    """poor moments for a small radius"""
    AP_MAGS = 0x200000
    """has an aperture magnitude"""
    BLEND_FIT = 0x400000
    """fitted together with its neighbours"""
    EXTENDED_FIT = 0x800000
    """fitted with a full extended model"""
    EXTENDED_STATS = 0x1000000
    """extended statistics measured"""
    LINEAR_FIT = 0x2000000
    """linear fit done"""
    NONLINEAR_FIT = 0x4000000
    """non-linear fit is the one kept"""
    RADIAL_FLUX = 0x8000000
    """radial fluxes measured"""
    SIZE_SKIPPED = 0x10000000
    """size not judged"""
    ON_SPIKE = 0x20000000
    """on a diffraction spike"""
    ON_GHOST = 0x40000000
    """on a ghost"""
    OFF_CHIP = 0x80000000
    """centre outside the chip"""


class PhotFlag2(enum.IntFlag):
    """Bits of ``Measure.phot_flags2``: the FLAGS2 of psphot."""

    DIFF_WITH_SINGLE = 0x1
    """difference source matched to one detection"""
    DIFF_WITH_DOUBLE = 0x2
    """difference source matched to detections in both images"""
    MATCHED = 0x4
    """matched to a source found elsewhere"""
    ON_SPIKE = 0x8
    """more than a quarter of the flux on a diffraction spike"""
    ON_STARCORE = 0x10
    """more than a quarter of the flux on a star core"""
    ON_BURNTOOL = 0x20
    """more than a quarter of the flux on a burntool trail"""
    ON_CONVPOOR = 0x40
    """more than a quarter of the flux on poorly convolved pixels"""
    PASS1_SRC = 0x80
    """found in the first pass"""
    HAS_BRIGHTER_NEIGHBOR = 0x100
    """not the brightest of its group"""
    BRIGHT_NEIGHBOR_1 = 0x200
    """neighbours send as much flux as its own"""
    BRIGHT_NEIGHBOR_10 = 0x400
    """neighbours send ten times its own flux"""
    DIFF_SELF_MATCH = 0x800
    """positive and negative difference source at one place"""
    SATSTAR_PROFILE = 0x1000
    """saturated star, flux from its wings"""
    ECONTOUR_FEW_PTS = 0x2000
    """too few points for the elliptical contour"""
    RADBIN_NAN_CENTER = 0x4000
    """too many bad pixels at the centre for radial bins"""
    PETRO_NAN_CENTER = 0x8000
    """too many bad pixels at the centre for Petrosian values"""
    PETRO_NO_PROFILE = 0x10000
    """no radial profile for Petrosian values"""
    PETRO_INSIG_RATIO = 0x20000
    """Petrosian ratio not significant"""
    PETRO_RATIO_ZEROBIN = 0x40000
    """Petrosian ratio met in the first bin"""
    EXT_FITS_RUN = 0x80000
    """extended fits tried"""
    EXT_FITS_FAIL = 0x100000
    """at least one extended fit failed"""
    EXT_FITS_RETRY = 0x200000
    """at least one extended fit tried again"""
    EXT_FITS_NONE = 0x400000
    """all extended fits failed"""
    ON_GHOST = 0x800000
    """more than a quarter of the flux on a ghost"""
    ON_CROSSTALK = 0x1000000
    """more than a quarter of the flux on crosstalk"""
    ON_CTE = 0x2000000
    """more than a quarter of the flux on pixels of poor charge transfer"""


CHIP_FLAGS: Final = SecFiltFlag(0x01003F1F)
"""Bits of SecFilt.flags that a new mean of the chip magnitudes sets afresh."""

STACK_FLAGS: Final = SecFiltFlag(0x0003C020)
"""Bits of SecFilt.flags that a new choice of stacks sets afresh."""
